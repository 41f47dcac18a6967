//! What every part of the service shares, and the writing of events about requests.

use crate::agenda::{Agenda, Extent};
use crate::assignment::LOOK_AHEAD;
use crate::fault::Fault;
use crate::meters::Meters;
use crate::process::duty::Shift;
use crate::role_limits::RoleLimits;
use crate::sweep::{Asked, Ledgers};
use crate::traffic::Traffic;
use crate::{Ports, Settings};
use aws::{Attempt, AwsError, GroupId, Limits};
use command::aggregate::RequestAggregate;
use command::{CachedSource, Command, CommandError, Commander};
use domain::{AccountId, Entitlement, EventId, PermissionSetArn, RequestId, SignedDuration, Timestamp};
use event_log::Position;
use journal::{Fact, Service, Stream};
use lifecycle::assignment::AssignmentKey;
use lifecycle::{Rejection, Request, RequestEvent};
use service_runtime::trace;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::OnceCell;
use tracing::Instrument as _;
use views::{Story, Views};

/// Streams whose state is remembered between commands: what is worked on.
const REMEMBERED_STREAMS_MAX: usize = 20_000;

/// What every part shares.
pub(crate) struct Core {
    pub(crate) views: Views,
    pub(crate) commander: Commander,
    /// Up to where the read model was waited for in vain.
    unseen: AtomicU64,
    pub(crate) ports: Ports,
    pub(crate) settings: Settings,
    pub(crate) agenda: Agenda,
    pub(crate) shift: Shift,
    identity_center: Traffic,
    account_access: Traffic,
    pub(crate) ledgers: Ledgers,
    pub(crate) asked: Asked,
    /// Whether the log knows what is in AWS, once that was seen.
    pub(crate) knows_aws: AtomicBool,
    /// Where everything ends that a backup has, if the log was restored from one; read once.
    pub(crate) cut: OnceCell<Option<Position>>,
    pub(crate) meters: Meters,
    /// Whether we are a role session ourselves, so that every role we assume is chained; asked of AWS once.
    pub(crate) chained: OnceCell<bool>,
    pub(crate) role_limits: RoleLimits,
    /// The groups through which users hold what they have an assignment for, and when AWS said so.
    pub(crate) held_by_groups: Mutex<BTreeMap<AssignmentKey, (Timestamp, BTreeSet<GroupId>)>>,
    /// Where AWS did not say so, when and why not.
    pub(crate) asked_in_vain: Mutex<BTreeMap<AssignmentKey, (Timestamp, AwsError)>>,
    /// What permission sets are called, or were before they were deleted.
    pub(crate) set_names: Mutex<BTreeMap<PermissionSetArn, String>>,
    /// Accounts of which this process has told that what denies sessions there cannot be lifted.
    pub(crate) unlifted: Mutex<BTreeSet<AccountId>>,
    /// Accounts of which this process has told that what is denied there cannot be read.
    pub(crate) unreadable_denials: Mutex<BTreeSet<AccountId>>,
}

impl Core {
    pub(crate) fn new(views: Views, ports: Ports, settings: Settings) -> Self {
        let commander = Commander::new(Arc::clone(&views.log), Service::Activation, Arc::clone(&views.clock))
            .with_source(Arc::new(CachedSource::new(REMEMBERED_STREAMS_MAX)));
        Self {
            agenda: Agenda::new(settings.outstanding_max, settings.start_lead().max(LOOK_AHEAD)),
            shift: Shift::new(settings.replica.clone().unwrap_or_else(|| crate::process::duty::name(&views))),
            identity_center: Traffic::new(settings.calls_per_second, settings.outstanding_max),
            account_access: Traffic::new(
                Limits::ACCOUNT_ACCESS.calls_per_second,
                Limits::ACCOUNT_ACCESS.outstanding_max,
            ),
            meters: Meters::new(&ports.meter),
            views,
            commander,
            unseen: AtomicU64::new(0),
            ports,
            settings,
            ledgers: Ledgers::default(),
            asked: Asked::default(),
            knows_aws: AtomicBool::new(false),
            cut: OnceCell::new(),
            chained: OnceCell::new(),
            role_limits: RoleLimits::default(),
            held_by_groups: Mutex::default(),
            asked_in_vain: Mutex::default(),
            set_names: Mutex::default(),
            unlifted: Mutex::default(),
            unreadable_denials: Mutex::default(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.views.clock.now()
    }

    /// The fence of an attempt that the log dates `at`. The log's time may be ahead of the real one, because somebody's clock was;
    /// AWS takes no signature from the future, so the call is signed with our time, and never later than the attempt.
    pub(crate) fn signed(&self, at: Timestamp) -> Attempt {
        let signed_at = self.now().min(at);
        Attempt { signed_at, start_before: later(signed_at, self.settings.start_within) }
    }

    /// The limits of the service that makes an assignment.
    pub(crate) fn traffic(&self, key: &AssignmentKey) -> &Traffic {
        match key.target.entitlement() {
            Entitlement::PermissionSet(_) => &self.identity_center,
            Entitlement::Role(_) => &self.account_access,
        }
    }

    /// The limits of Identity Center.
    pub(crate) fn identity_center_traffic(&self) -> &Traffic {
        &self.identity_center
    }

    /// The limits of Account Access Manager.
    pub(crate) fn account_access_traffic(&self) -> &Traffic {
        &self.account_access
    }

    /// How long an operation takes of the service that makes an assignment, as far as this process has seen any.
    pub(crate) fn usual_operation(&self, key: &AssignmentKey) -> Option<std::time::Duration> {
        self.traffic(key).usual()
    }

    /// Takes up what has changed since the last time, and at the start as much as `extent` says; says whether that was all.
    pub(crate) fn take_up(&self, extent: Extent<'_>) -> Result<bool, Fault> {
        self.agenda.refresh(&self.views.requests, self.now(), extent)
    }

    /// Takes up what has changed since the last time; waits at the start until everything is taken up, by the reconciler.
    pub(crate) async fn refresh(&self) -> Result<(), Fault> {
        while !self.take_up(Extent::Due)? {
            self.agenda.until_whole(true).await;
        }
        Ok(())
    }

    /// Returns once the read model shows what was written at `position`.
    pub(crate) async fn see(&self, position: Position) -> Result<(), Fault> {
        if self.views.caught_up_to(position).await {
            return Ok(());
        }
        self.unseen.fetch_max(position.0, Ordering::Relaxed);
        Err(Fault::Behind)
    }

    /// Whoever does not see what they wrote intends nothing more: they could only give it up, and would seem to be at work.
    pub(crate) fn sees_what_was_written(&self) -> Result<(), Fault> {
        let seen = self.views.requests.projection().applied().0;
        if seen < self.unseen.load(Ordering::Relaxed) { Err(Fault::Behind) } else { Ok(()) }
    }

    /// Writes what the service itself decides about a request, once: every replica gives the event of one `operation` on one
    /// request the same id. A refusal means that the story went on meanwhile, and is fine. Says whether the event was written now.
    pub(crate) async fn react(
        &self,
        id: RequestId,
        operation: &str,
        decide: impl Fn(&Request, Timestamp) -> Result<RequestEvent, Rejection>,
    ) -> Result<bool, Fault> {
        let event_id =
            EventId::from_parts([b"activation".as_slice(), id.as_bytes().as_slice(), operation.as_bytes()]);
        let cause = self.cause(&id);
        let span = trace::caused("react", cause.as_deref());
        let trace = trace::context_of(&span).or(cause);
        let command = Command { event_id, actor: None, digest: None, trace };
        let outcome = self
            .commander
            .execute::<RequestAggregate, Rejection>(Stream::Request(id), command, |loaded, at| {
                let request = loaded.state.as_ref().ok_or(Rejection::NotFound)?;
                decide(request, at).map(Fact::Request)
            })
            .instrument(span)
            .await;
        match outcome {
            Ok(outcome) => {
                if !outcome.repeated {
                    tracing::info!(request = %id, operation, "recorded");
                }
                Ok(!outcome.repeated)
            }
            Err(CommandError::Refused(rejection)) => {
                tracing::debug!(request = %id, operation, %rejection, "overtaken");
                Ok(false)
            }
            Err(error) => Err(Fault::of_command(&error)),
        }
    }
}

impl Core {
    /// The trace context that what is done about a request is part of.
    pub(crate) fn cause(&self, id: &RequestId) -> Option<String> {
        self.views.requests.get(id).ok().flatten().as_ref().and_then(Story::trace).map(str::to_owned)
    }
}

/// `at + by`, within the calendar.
pub(crate) fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

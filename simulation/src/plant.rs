//! Bugs that are planted on purpose, to see that the invariants find them. Nothing is planted unless a switch says so.

use crate::people;
use aws::Contents;
use domain::{
    AccountId, Endorsement, Entitlement, EventId, PrincipalId, RequestId, SignedDuration, Target, Timestamp,
    Window,
};
use event_log::{Position, Recorded, StreamName};
use journal::{Event, Fact, Service, Stream};
use lifecycle::event::{ApprovalBasis, Approved, ClosedHow, Rejected, RejectedBecause};
use lifecycle::{Request, RequestEvent};
use policy::{PlanSource, PolicyEvent};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, clap::ValueEnum)]
pub enum Plant {
    /// Of several requests about one assignment, the one that was raised first is looked at alone.
    Overlap,
    /// An assignment that Daypass did not make is deleted.
    DeleteStanding,
    /// An operation that AWS has begun counts as done.
    NoFinalStatus,
    /// A removal that has failed five times is given up.
    FiveTries,
    /// Credentials are handed out without the policy that binds them to the window.
    UnboundCredentials,
    /// Now and then an event is passed over.
    SkipRecord,
    /// A rule that asks nobody frees all others.
    RuleLeak,
    /// Who is in which group stays as it was when it was first looked at.
    FrozenApprovers,
    /// That two identities are one human is not known to who compares them.
    EmailSelfApproval,
    /// Who signs in under another letter case is someone else.
    LetterCase,
    /// What a process has not seen happen itself, it does not know.
    StateInMemory,
    /// AWS is changed without an event that intends it.
    EffectiveBeforeRecorded,
    /// What is over is removed when the hour is full.
    HourlySweep,
    /// A request is closed although its assignment is there: its story and the ledger are out of step.
    TwoStreamsOutOfStep,
    /// A creation arrives minutes after it was intended, and AWS takes it.
    ZombieCreate,
    /// Nobody goes on with what another has left.
    LostTakeOver,
    /// Of two decisions at once both are written: the log is no lock.
    DoubleApproval,
    /// The requester's own yes counts.
    ApproveOwn,
    /// What is over is approved after all.
    ApproveEnded,
    /// The log acknowledges an event and forgets it.
    ForgetAcknowledged,
    /// The justification is stored as it was written.
    StorePlainText,
    /// A creation of which no answer came is tried again at once.
    BlindRetry,
    /// A policy that cannot be read counts as the one before.
    SkipUnreadable,
    /// To end some sessions of a person, all are denied.
    DenyEverything,
    /// A denial of sessions is never lifted.
    DenyForEver,
    /// A denial of sessions is never settled where the account has left the organisation.
    DenyTheGone,
    /// Clocks are seconds ahead, and nobody knows.
    FastClocks,
    /// Credentials live for an hour, whatever their user was told.
    LongCredentials,
    /// Credentials may chain, although their user was told nothing of that.
    UntoldChaining,
    /// The end of a window is compared without its year: it has not come yet, or comes again.
    YearlessEnds,
    /// A creation that AWS has refused in the end counts as done.
    SilentFailure,
    /// What is active counts as there: nobody looks again.
    NeverRestored,
    /// What was removed is still listed, for ever.
    StaleLists,
}

impl Plant {
    /// All of them.
    pub fn all() -> &'static [Self] {
        clap::ValueEnum::value_variants()
    }

    /// What it is called on the command line.
    pub fn name(self) -> String {
        clap::ValueEnum::to_possible_value(&self).map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Where it went wrong, as docs/regressions.md calls it; or the property of AWS and of logs that it disregards.
    pub const fn origin(self) -> &'static str {
        match self {
            Self::Overlap => "TEAM #104, #279",
            Self::DeleteStanding => "TEAM (source): a standing assignment; elevator #108",
            Self::NoFinalStatus => "TEAM (source): the status is never read",
            Self::FiveTries => "TEAM #255, #513",
            Self::UnboundCredentials => "TEAM #195; broker, TEAM: credentials outlive the window",
            Self::SkipRecord => "TEAM #507",
            Self::RuleLeak => "TEAM (source): one rule frees others",
            Self::FrozenApprovers => "TEAM (source), Glide",
            Self::EmailSelfApproval => "TEAM (source): self-approval by e-mail",
            Self::LetterCase => "TEAM #30, elevator #102",
            Self::StateInMemory => "TEAM #149",
            Self::EffectiveBeforeRecorded => "Lambda article: granted before stored",
            Self::HourlySweep => "Lambda article: hourly sweep",
            Self::TwoStreamsOutOfStep => "Lambda article: the row is deleted before the removal is known",
            Self::ZombieCreate => "any of this kind: a paused process creates",
            Self::LostTakeOver => "any of this kind: a replica dies",
            Self::DoubleApproval => "elevator #47",
            Self::ApproveOwn => "Teleport #13416; broker: reviewer from another token",
            Self::ApproveEnded => "approve against withdraw, against expiry",
            Self::ForgetAcknowledged => "JetStream acknowledges before it stores",
            Self::StorePlainText => "canary secrets",
            Self::BlindRetry => "creating an assignment has no client token",
            Self::SkipUnreadable => "Cedar skips a policy whose evaluation errs",
            Self::DenyEverything => "the documented deny hits all sessions of a person",
            Self::DenyForEver => "a control policy has room for little",
            Self::DenyTheGone => "accounts leave the organisation",
            Self::LongCredentials => "broker, TEAM: credentials outlive what was told",
            Self::UntoldChaining => "any of this kind: a role chained from credentials outlives them",
            Self::FastClocks => "any of this kind: a clock is ahead",
            Self::YearlessEnds => "broker (source): `MM/DD/YY` strings",
            Self::SilentFailure => "Glide `access.go`",
            Self::NeverRestored => "others change AWS as well",
            Self::StaleLists => "AWS's lists lag behind its changes",
        }
    }
}

/// Whether and when a bug strikes; and what it has to remember, which outlives processes. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Planted {
    plant: Option<Plant>,
    chances: Arc<AtomicU32>,
    remembered: Arc<Mutex<Remembered>>,
}

#[derive(Debug, Default)]
struct Remembered {
    head: Option<Position>,
    raised_at: BTreeMap<StreamName, Position>,
    /// The request about an assignment that is looked at.
    first: BTreeMap<(PrincipalId, Target), RequestId>,
    overlooked: BTreeSet<StreamName>,
    /// Stories of what became active.
    activated: BTreeSet<StreamName>,
    /// What requests are about; and those of them that are active.
    about: BTreeMap<StreamName, aws::AssignmentKey>,
    active: BTreeMap<StreamName, aws::AssignmentKey>,
    organisation: Option<Contents>,
    removals_failed: BTreeMap<aws::AssignmentKey, u32>,
    removed: BTreeSet<aws::AssignmentKey>,
}

/// The chance that is taken by what strikes once.
const STRIKES_AT: u32 = 3;

/// How often a removal is tried.
const TRIES_MAX: u32 = 5;

/// How much later the same day and month is.
const YEAR: SignedDuration = SignedDuration::from_hours(365 * 24);

/// Every how manieth event is passed over.
const PASSED_OVER: u64 = 9;

impl Planted {
    pub(crate) fn new(plant: Option<Plant>) -> Self {
        Self { plant, chances: Arc::default(), remembered: Arc::default() }
    }

    /// Whether this bug is there.
    pub(crate) fn is(&self, plant: Plant) -> bool {
        self.plant == Some(plant)
    }

    /// Whether `plant` strikes here: the third time that it could, once.
    pub(crate) fn strikes(&self, plant: Plant) -> bool {
        self.is(plant) && self.chances.fetch_add(1, Ordering::Relaxed) + 1 == STRIKES_AT
    }

    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which services see the log otherwise than it is; `None`: all of them, and what is shown.
    pub(crate) fn misleads(&self, service: Option<Service>) -> bool {
        match self.plant {
            Some(Plant::Overlap | Plant::StateInMemory | Plant::YearlessEnds) => {
                service == Some(Service::Activation)
            }
            Some(Plant::RuleLeak) => matches!(service, Some(Service::Request | Service::Approval)),
            Some(Plant::EmailSelfApproval) => service == Some(Service::Approval),
            Some(Plant::SkipUnreadable) => service.is_some(),
            Some(Plant::SkipRecord) => service.is_none(),
            _other => false,
        }
    }

    /// Notes what a bug has to know of the log.
    pub(crate) fn note(&self, recorded: &Recorded) {
        if self.plant.is_none() {
            return;
        }
        let mut remembered = self.lock();
        remembered.head = Some(recorded.position);
        let Some(event) = decoded(recorded) else { return };
        let (Fact::Request(fact), Stream::Request(id)) = (&event.fact, &event.stream) else { return };
        if let RequestEvent::Activated(_) = fact {
            remembered.activated.insert(recorded.stream.clone());
            let about = remembered.about.get(&recorded.stream).cloned();
            remembered.active.extend(about.map(|key| (recorded.stream.clone(), key)));
        }
        if let RequestEvent::Ended(_) | RequestEvent::Revoked(_) = fact {
            remembered.active.remove(&recorded.stream);
        }
        if let RequestEvent::Requested(raised) = fact {
            remembered.raised_at.insert(recorded.stream.clone(), recorded.position);
            let Some(principal) = raised.grounds.principal.clone() else { return };
            let key = aws::AssignmentKey::of_target(principal.clone(), &raised.target);
            remembered.about.insert(recorded.stream.clone(), key);
            let first = *remembered.first.entry((principal, raised.target.clone())).or_insert(*id);
            if first != *id {
                remembered.overlooked.insert(recorded.stream.clone());
            }
        }
        let over = matches!(
            fact,
            RequestEvent::Withdrawn
                | RequestEvent::Rejected(_)
                | RequestEvent::Expired(_)
                | RequestEvent::Closed(_)
        );
        if over {
            remembered.first.retain(|_, first| first != id);
        }
    }

    /// The latest event that was noted.
    pub(crate) fn head(&self) -> Position {
        self.lock().head.unwrap_or(Position::START)
    }

    /// Whether an event is not seen by a process that began when the log had come to `began_at`.
    pub(crate) fn hides(&self, recorded: &Recorded, began_at: Position) -> bool {
        match self.plant {
            Some(Plant::Overlap) => self.lock().overlooked.contains(&recorded.stream),
            Some(Plant::StateInMemory) => {
                self.lock().raised_at.get(&recorded.stream).is_some_and(|at| *at <= began_at)
            }
            Some(Plant::EmailSelfApproval) => recorded.stream.as_str().starts_with("person-"),
            Some(Plant::SkipRecord) => recorded.position.0.is_multiple_of(PASSED_OVER),
            Some(Plant::SkipUnreadable) => decoded(recorded).is_none(),
            _other => false,
        }
    }

    /// An event as it is seen.
    pub(crate) fn distorts(&self, mut recorded: Recorded) -> Recorded {
        let distorted = match self.plant {
            Some(Plant::RuleLeak) => decoded(&recorded).and_then(leaking),
            // Later would be too long for whoever asks whether it may begin: it is the end that is compared so.
            Some(Plant::YearlessEnds) if self.lock().activated.contains(&recorded.stream) => {
                decoded(&recorded).and_then(yearless)
            }
            _other => None,
        };
        if let Some(event) = distorted {
            recorded.envelope.body = journal::encode(&event).into();
        }
        recorded
    }

    /// By how much clocks are ahead without anybody's knowledge: too little for AWS to prove it.
    pub(crate) fn clock_ahead(&self) -> SignedDuration {
        if self.is(Plant::FastClocks) { SignedDuration::from_secs(4) } else { SignedDuration::ZERO }
    }

    /// The organisation as it is believed to be.
    pub(crate) fn believed(&self, contents: Contents) -> Contents {
        if !self.is(Plant::FrozenApprovers) {
            return contents;
        }
        self.lock().organisation.get_or_insert(contents).clone()
    }

    /// Who holds `entitlement` in `account`, as a bug would have it that AWS lists `holders`.
    pub(crate) fn listed(
        &self,
        mut holders: BTreeSet<PrincipalId>,
        account: &AccountId,
        entitlement: &Entitlement,
    ) -> BTreeSet<PrincipalId> {
        let remembered = self.lock();
        let listed: Vec<_> = match self.plant {
            Some(Plant::NeverRestored) => remembered.active.values().collect(),
            Some(Plant::StaleLists) => remembered.removed.iter().collect(),
            _other => Vec::new(),
        };
        let here = listed.iter().filter(|key| key.account() == account && key.entitlement() == entitlement);
        holders.extend(here.map(|key| key.principal().clone()));
        holders
    }

    /// A removal was called for.
    pub(crate) fn removes(&self, key: &aws::AssignmentKey) {
        if self.is(Plant::StaleLists) {
            self.lock().removed.insert(key.clone());
        }
    }

    /// A removal has failed: whether it is given up.
    pub(crate) fn gives_up(&self, key: &aws::AssignmentKey) -> bool {
        if !self.is(Plant::FiveTries) {
            return false;
        }
        let mut remembered = self.lock();
        let failed = remembered.removals_failed.entry(key.clone()).or_default();
        *failed += 1;
        *failed >= TRIES_MAX
    }

    /// The event that a bug would write now about `request`, whose latest event is `previous`, and whose assignment is in AWS.
    pub(crate) fn event(
        &self,
        request: &Request,
        previous: EventId,
        is_in_aws: bool,
        now: Timestamp,
    ) -> Option<Event> {
        let pending = request.pending().is_ok();
        let (fits, writer) = match self.plant {
            Some(Plant::ApproveOwn | Plant::StorePlainText) => (pending, Service::Approval),
            Some(Plant::ApproveEnded) => (!pending && request.approved().is_err(), Service::Approval),
            Some(Plant::TwoStreamsOutOfStep) => (request.is_closing() && is_in_aws, Service::Activation),
            _other => return None,
        };
        if !fits || !self.strikes(self.plant?) {
            return None;
        }
        let fact = match self.plant {
            Some(Plant::StorePlainText) => {
                let mut sealed = request.raised.justification.clone();
                sealed.ciphertext = crate::order::CANARY.as_bytes().to_vec();
                let because = RejectedBecause::Approver { comment: Some(sealed) };
                RequestEvent::Rejected(Rejected { because, policy_event: None })
            }
            Some(Plant::TwoStreamsOutOfStep) => RequestEvent::Closed(ClosedHow::Deleted.into()),
            _approvals => RequestEvent::Approved(approved_by_themselves(request, now)?),
        };
        let stream = Stream::Request(request.raised.id);
        Some(Event {
            id: EventId::from_parts([b"planted".as_slice(), stream.to_string().as_bytes()]),
            stream,
            at: request.time_of_next(now),
            writer,
            actor: (writer == Service::Approval).then(|| people::actor("bob")),
            previous: Some(previous),
            trace: None,
            command_digest: None,
            fact: Fact::Request(fact),
        })
    }
}

/// A policy whose rules ask nobody, if one of them does not.
fn leaking(mut event: Event) -> Option<Event> {
    let Fact::Policy(PolicyEvent::Applied(applied)) = &mut event.fact else { return None };
    let rules = &mut applied.policy.rules;
    if rules.iter().all(|rule| rule.plan != PlanSource::None) {
        return None;
    }
    for rule in rules {
        rule.plan = PlanSource::None;
    }
    Some(event)
}

/// An approval whose window ends on the same day of the next year.
fn yearless(mut event: Event) -> Option<Event> {
    let Fact::Request(RequestEvent::Approved(approved)) = &mut event.fact else { return None };
    let window = approved.window;
    approved.window = Window::new(window.start(), window.end().checked_add(YEAR).ok()?).ok()?;
    Some(event)
}

/// The event that was recorded, if it is one.
pub(crate) fn decoded(recorded: &Recorded) -> Option<Event> {
    let envelope = &recorded.envelope;
    let (stream, writer) = (recorded.stream.as_str(), envelope.writer.as_str());
    journal::decode_recorded(stream, &envelope.event_id, writer, &envelope.body).ok()
}

/// An approval of a request by its own requester.
pub(crate) fn approved_by_themselves(request: &Request, now: Timestamp) -> Option<Approved> {
    let raised = &request.raised;
    let yes = Endorsement {
        approver: people::actor(raised.requester.subject.as_str()),
        principal: raised.grounds.principal.clone(),
        groups: BTreeSet::from([people::group("approvers"), people::group("admins")]),
        at: now,
    };
    Some(Approved {
        window: Window::from_duration(now, SignedDuration::from_mins(5)).ok()?,
        basis: ApprovalBasis::People,
        approvers: vec![yes],
        policy_event: raised.grounds.policy_event,
        comment: None,
    })
}

//! One incarnation of a process: all services over views of its own, rebuilt from the log. What survives it is the world's, or
//! its machine's.

use crate::line::{Cloud, Line};
use crate::machine::Machine;
use crate::people::{self, ByName};
use crate::schedule::{Owner, Scheduler};
use crate::weather::{EFFECT_WITHIN, LIST_LAG_MAX, SIGNATURE_AGE_MAX};
use activation::ActivationService;
use approval::ApprovalService;
use audit::{AuditService, Events};
use aws::{CachedDirectory, RefreshPace};
use domain::ports::{SharedClock, SharedEntropy};
use domain::{Groups, LogId, Sighting, SignedDuration};
use event_log::EventLog;
use identity::Caller;
use journal::key_store::KeyStore;
use projection::Projection;
use request::RequestService;
use service_runtime::{DirectoryGroups, Gate, Guarded, Roles};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use views::clock_health::SKEW_MAX;
use views::{Authorities, PolicyBook, Requests, RequestsModel, Views, WatchedClock, who};

const POLICY: &str = include_str!("policy.toml");

/// The longest call of a person.
pub(crate) const CALL_MAX: Duration = Duration::from_secs(30);

/// When to offer the first policy again, while the log cannot take it.
const SEED_AGAIN: Duration = Duration::from_secs(5);

/// How old a directory may be by which the gate tells an administrator.
const ROLE_AGE_MAX: SignedDuration = SignedDuration::from_mins(3);

/// What outlives every process.
#[derive(Clone)]
pub(crate) struct Outside {
    pub(crate) log_id: LogId,
    pub(crate) cloud: Cloud,
    pub(crate) keys: Arc<dyn KeyStore>,
    pub(crate) entropy: SharedEntropy,
}

/// How old the directory may be by which anything is given; as in policy.toml.
pub(crate) const DIRECTORY_AGE_MAX: SignedDuration = SignedDuration::from_mins(3);

/// From a request's end to the moment at which what is left of it counts as late.
pub(crate) const REMOVAL_LATE_AFTER: SignedDuration = SignedDuration::from_mins(2);

/// A running process, as people reach it.
#[derive(Clone)]
pub(crate) struct Process {
    pub(crate) owner: Owner,
    pub(crate) views: Views,
    pub(crate) activation: ActivationService,
    pub(crate) index: Events,
    pub(crate) requests: Guarded,
    pub(crate) approvals: Guarded,
    pub(crate) activations: Guarded,
    pub(crate) history: Guarded,
}

/// The bounds of the activation service, cut to an AWS whose signatures age fast.
fn settings(replica: &str) -> activation::Settings {
    activation::Settings {
        replica: Some(replica.to_owned()),
        signature_lifetime: SIGNATURE_AGE_MAX.saturating_add(SignedDuration::from_secs(30)),
        effect_within: EFFECT_WITHIN,
        list_lag_max: LIST_LAG_MAX,
        retry_horizon: SignedDuration::from_mins(4),
        backoff_max: Duration::from_mins(1),
        sweep_interval: SignedDuration::from_mins(2),
        removal_late_after: REMOVAL_LATE_AFTER,
        organisation_sweep_interval: SignedDuration::from_mins(5),
        ..activation::Settings::default()
    }
}

impl Process {
    /// Starts a process on `machine`: its tasks begin when the scheduler comes to them.
    pub(crate) fn start(
        owner: Owner,
        machine: &Machine,
        outside: &Outside,
        scheduler: &mut Scheduler,
    ) -> Result<Self, String> {
        let told = |what: &str, error: &dyn std::fmt::Display| format!("{what}: {error}");
        let log: Arc<dyn EventLog> = machine.log.clone();
        let clock: SharedClock = Arc::new(WatchedClock::new(machine.clock.clone(), SKEW_MAX));
        let line = Arc::new(Line {
            cloud: outside.cloud.clone(),
            clock: Arc::clone(&machine.clock),
            watched: clock.clone(),
            told_at: Arc::clone(&machine.told_at),
        });
        let (projection, follower) = Projection::open(None, RequestsModel::default(), Arc::clone(&log))
            .map_err(|error| told("the read model of requests", &error))?;
        let hearing = clock.clone();
        let follower = follower.hearing(move |event| hearing.compare(&Sighting::Written { at: event.at }));
        let pace = RefreshPace {
            interval: Duration::from_mins(1),
            backoff_max: Duration::from_secs(30),
            ..RefreshPace::default()
        };
        let directory =
            Arc::new(CachedDirectory::new(line.clone(), clock.clone(), outside.entropy.clone(), pace));
        let administrators = std::collections::BTreeSet::from([people::group("admins")]);
        let auditors = std::collections::BTreeSet::from([people::group("auditors")]);
        let authorities = Authorities {
            administrators: administrators.clone(),
            auditors: auditors.clone(),
            raisers: std::collections::BTreeSet::new(),
        };
        let views = Views {
            log_id: outside.log_id,
            requests: Requests::new(projection),
            policy: Arc::new(PolicyBook::new(Arc::clone(&log)).map_err(|error| told("the policy", &error))?),
            directory: Arc::clone(&directory),
            keys: Arc::clone(&outside.keys),
            authorities: Arc::new(authorities),
            clock: clock.clone(),
            entropy: outside.entropy.clone(),
            log,
        };
        let roles = Roles { administrators, auditors, services: Vec::new() };
        let groups = GroupsOfDirectory { directory: Arc::clone(&directory), clock: clock.clone() };
        let gate = Gate::new(Arc::new(ByName), roles, clock).with_directory(Arc::new(groups));

        let request = RequestService::new(views.clone());
        let approval = ApprovalService::new(views.clone());
        let activation = ActivationService::new(
            views.clone(),
            activation::Ports::new(line.clone(), line),
            settings(machine.name),
        );
        let (audit, index) =
            AuditService::open(views.clone(), None).map_err(|error| told("the index of events", &error))?;
        let process = Self {
            owner,
            requests: Guarded::new(request.routes(), &gate, CALL_MAX),
            approvals: Guarded::new(approval.routes(), &gate, CALL_MAX),
            activations: Guarded::new(activation.routes(), &gate, CALL_MAX),
            history: Guarded::new(audit.routes(), &gate, CALL_MAX),
            index: audit.events().clone(),
            activation: activation.clone(),
            views,
        };
        // Nobody asks it to stop: it crashes.
        scheduler.spawn(owner, follower.run(std::future::pending()));
        scheduler.spawn(owner, index.run(std::future::pending()));
        scheduler.spawn(owner, async move { directory.run(|_error| ()).await });
        let seeding = approval.clone();
        scheduler.spawn(owner, async move {
            while seeding.seed(POLICY, people::actor("carol")).await.is_err() {
                tokio::time::sleep(SEED_AGAIN).await;
            }
        });
        scheduler.spawn(owner, async move { approval.run(CancellationToken::new()).await });
        scheduler.spawn(owner, async move { Box::pin(activation.run(CancellationToken::new())).await });
        Ok(process)
    }
}

/// Groups for the gate.
struct GroupsOfDirectory {
    directory: Arc<CachedDirectory>,
    clock: SharedClock,
}

impl DirectoryGroups for GroupsOfDirectory {
    fn groups_of(&self, caller: &Caller) -> Groups {
        who::groups_of_caller(&self.directory, caller, self.clock.now(), ROLE_AGE_MAX)
    }
}

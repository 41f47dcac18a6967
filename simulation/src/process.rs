//! One incarnation of the process: all services over views of its own, rebuilt from the log. What survives it is the world's.

use crate::people::{self, ByName};
use crate::plant::PlantedAssignments;
use crate::schedule::{Owner, Scheduler};
use crate::weather::{EFFECT_WITHIN, LIST_LAG_MAX, SIGNATURE_AGE_MAX};
use activation::ActivationService;
use approval::ApprovalService;
use audit::AuditService;
use aws::simulated::SimulatedAws;
use aws::{CachedDirectory, RefreshPace};
use domain::ports::{SharedClock, SharedEntropy};
use domain::{Groups, LogId, SignedDuration};
use event_log::EventLog;
use identity::Caller;
use journal::key_store::KeyStore;
use projection::Projection;
use request::RequestService;
use service_runtime::{DirectoryGroups, Gate, Guarded, Roles};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use views::{Authorities, PolicyBook, Requests, RequestsModel, Views, who};

const POLICY: &str = include_str!("policy.toml");

/// The longest call of a person.
pub(crate) const CALL_MAX: Duration = Duration::from_secs(30);

/// How old a directory may be by which the gate tells an administrator.
const ROLE_AGE_MAX: SignedDuration = SignedDuration::from_mins(5);

/// What outlives every process.
#[derive(Clone)]
pub(crate) struct Outside {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) log_id: LogId,
    pub(crate) aws: Arc<SimulatedAws>,
    pub(crate) assignments: Arc<PlantedAssignments>,
    pub(crate) keys: Arc<dyn KeyStore>,
    pub(crate) clock: SharedClock,
    pub(crate) entropy: SharedEntropy,
}

/// A running process, as people reach it.
#[derive(Clone)]
pub(crate) struct Process {
    pub(crate) owner: Owner,
    pub(crate) views: Views,
    pub(crate) requests: Guarded,
    pub(crate) approvals: Guarded,
    pub(crate) activations: Guarded,
    pub(crate) history: Guarded,
}

/// The bounds of the activation service, cut to an AWS whose signatures age fast.
fn settings() -> activation::Settings {
    activation::Settings {
        signature_lifetime: SIGNATURE_AGE_MAX.saturating_add(SignedDuration::from_secs(30)),
        effect_within: EFFECT_WITHIN,
        list_lag_max: LIST_LAG_MAX,
        retry_horizon: SignedDuration::from_mins(4),
        backoff_max: Duration::from_mins(1),
        sweep_interval: SignedDuration::from_mins(2),
        ..activation::Settings::default()
    }
}

impl Process {
    /// Starts a process: its tasks begin when the scheduler comes to them.
    pub(crate) fn start(owner: Owner, outside: &Outside, scheduler: &mut Scheduler) -> Result<Self, String> {
        let told = |what: &str, error: &dyn std::fmt::Display| format!("{what}: {error}");
        let (projection, follower) =
            Projection::open(None, RequestsModel::default(), Arc::clone(&outside.log))
                .map_err(|error| told("the read model of requests", &error))?;
        let pace = RefreshPace { interval: Duration::from_mins(1), ..RefreshPace::default() };
        let directory = Arc::new(CachedDirectory::new(
            outside.aws.clone(),
            outside.clock.clone(),
            outside.entropy.clone(),
            pace,
        ));
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
            policy: Arc::new(
                PolicyBook::new(Arc::clone(&outside.log)).map_err(|error| told("the policy", &error))?,
            ),
            directory: Arc::clone(&directory),
            keys: Arc::clone(&outside.keys),
            authorities: Arc::new(authorities),
            clock: outside.clock.clone(),
            entropy: outside.entropy.clone(),
            log: Arc::clone(&outside.log),
        };
        let roles = Roles { administrators, auditors, services: Vec::new() };
        let groups = GroupsOfDirectory { directory: Arc::clone(&directory), clock: outside.clock.clone() };
        let gate = Gate::new(Arc::new(ByName), roles, outside.clock.clone()).with_directory(Arc::new(groups));

        let request = RequestService::new(views.clone());
        let approval = ApprovalService::new(views.clone());
        let activation = ActivationService::new(
            views.clone(),
            activation::Ports::new(outside.assignments.clone(), outside.aws.clone()),
            settings(),
        );
        let (audit, index) =
            AuditService::open(views.clone(), None).map_err(|error| told("the index of events", &error))?;
        let process = Self {
            owner,
            requests: Guarded::new(request.routes(), &gate, CALL_MAX),
            approvals: Guarded::new(approval.routes(), &gate, CALL_MAX),
            activations: Guarded::new(activation.routes(), &gate, CALL_MAX),
            history: Guarded::new(audit.routes(), &gate, CALL_MAX),
            views,
        };
        // Nobody asks it to stop: it crashes.
        scheduler.spawn(owner, follower.run(std::future::pending()));
        scheduler.spawn(owner, index.run(std::future::pending()));
        scheduler.spawn(owner, async move { directory.run(|_error| ()).await });
        scheduler.spawn(owner, async move {
            while approval.seed(POLICY, people::actor("carol")).await.is_err() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            approval.run(CancellationToken::new()).await;
        });
        scheduler.spawn(owner, async move { activation.run(CancellationToken::new()).await });
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

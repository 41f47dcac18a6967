//! One incarnation of a process: all services over views of its own, rebuilt from the log. What survives it is the world's, or
//! its machine's.

use crate::line::assigner::Assigner;
use crate::line::{Cloud, Denier, Line};
use crate::machine::Machine;
use crate::mirage::Mirage;
use crate::people::{self, ByName};
use crate::plant::{Plant, Planted};
use crate::schedule::{Owner, Scheduler};
use crate::weather::{EFFECT_WITHIN, LIST_LAG_MAX, SIGNATURE_SKEW_MAX, Settings};
use activation::ActivationService;
use approval::ApprovalService;
use audit::{AuditService, Events};
use aws::simulated::SimulatedAccountAccess;
use aws::{Assignments, CachedDirectory, RefreshPace, SessionDenials};
use domain::ports::{SharedClock, SharedEntropy};
use domain::{Groups, LogId, Sighting, SignedDuration};
use event_log::EventLog;
use identity::Caller;
use journal::Service;
use journal::key_store::KeyStore;
use projection::{Follower, Projection};
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
    pub(crate) settings: Settings,
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
fn settings(replica: &str, chosen: Settings, planted: &Planted) -> activation::Settings {
    let settings = activation::Settings {
        missing: chosen.missing,
        start_lead_max: chosen.start_lead,
        replica: (!chosen.renamed).then(|| replica.to_owned()),
        signature_lifetime: SIGNATURE_SKEW_MAX.saturating_add(SignedDuration::from_secs(30)),
        effect_within: EFFECT_WITHIN,
        list_lag_max: LIST_LAG_MAX,
        retry_horizon: SignedDuration::from_mins(4),
        backoff_max: Duration::from_mins(1),
        sweep_interval: chosen.sweep_interval,
        removal_late_after: REMOVAL_LATE_AFTER,
        organisation_sweep_interval: SignedDuration::from_mins(5),
        ..activation::Settings::default()
    };
    if planted.is(Plant::LostTakeOver) {
        let duty_patience = SignedDuration::from_hours(24);
        return activation::Settings { replica: None, duty_patience, ..settings };
    }
    settings
}

/// The views of a service that sees another log.
fn over(log: Arc<dyn EventLog>, views: &Views) -> Result<(Views, Follower<RequestsModel>), String> {
    let opened = Projection::open(None, RequestsModel::default(), Arc::clone(&log));
    let (projection, follower) = opened.map_err(|error| format!("the read model of requests: {error}"))?;
    let policy = PolicyBook::new(Arc::clone(&log)).map_err(|error| format!("the policy: {error}"))?;
    let views = Views { log, requests: Requests::new(projection), policy: Arc::new(policy), ..views.clone() };
    Ok((views, follower))
}

/// AWS over the line of a machine.
fn ports(line: &Arc<Line>) -> activation::Ports {
    let cloud = &line.cloud;
    let assigner = |service: Arc<dyn Assignments>| Arc::new(Assigner { line: Arc::clone(line), service });
    let denier = cloud.scps.as_ref().map(|scps| {
        Arc::new(Denier { line: Arc::clone(line), scps: Arc::clone(scps) }) as Arc<dyn SessionDenials>
    });
    activation::Ports::new(assigner(cloud.aws.clone()), line.clone())
        .with_account_access(assigner(Arc::new(SimulatedAccountAccess::new(Arc::clone(&cloud.aws)))))
        .with_federation(line.clone())
        .with_session_denials(denier)
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
        let planted = &outside.cloud.planted;
        let mirage = |log: &Arc<dyn EventLog>| {
            Arc::new(Mirage::new(Arc::clone(log), planted.clone())) as Arc<dyn EventLog>
        };
        let mut log: Arc<dyn EventLog> = machine.log.clone();
        if planted.misleads(None) {
            log = mirage(&log);
        }
        let clock: SharedClock = Arc::new(WatchedClock::new(machine.clock.clone(), SKEW_MAX));
        let line = Arc::new(Line {
            cloud: outside.cloud.clone(),
            clock: Arc::clone(&machine.clock),
            watched: clock.clone(),
            told_at: Arc::clone(&machine.told_at),
            cut: Arc::clone(&machine.cut_from_aws),
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
        let by_name = ByName { by_spelling: planted.is(Plant::LetterCase) };
        let gate = Gate::new(Arc::new(by_name), roles, clock).with_directory(Arc::new(groups));

        let mut misled = None;
        if [Service::Request, Service::Approval, Service::Activation]
            .into_iter()
            .any(|s| planted.misleads(Some(s)))
        {
            let (views, follower) = over(mirage(&views.log), &views)?;
            scheduler.spawn(owner, follower.run(std::future::pending()));
            misled = Some(views);
        }
        let of = |service: Service| {
            misled.as_ref().filter(|_| planted.misleads(Some(service))).unwrap_or(&views).clone()
        };
        let request = RequestService::new(of(Service::Request)).with_account_access(true);
        let approval = ApprovalService::new(of(Service::Approval));
        let settings = settings(machine.name, outside.settings, planted);
        let activation = ActivationService::new(of(Service::Activation), ports(&line), settings);
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

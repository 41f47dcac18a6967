//! All services over one set of views, and what has happened there before a call.

use crate::callers::{ByName, ISSUER, Kind, roles};
use crate::messages::{self, Given};
use crate::raw;
use activation::ActivationService;
use api::approval::v1 as approval_api;
use api::request::v1 as request_api;
use api::types::v1 as wire;
use approval::ApprovalService;
use audit::AuditService;
use aws::simulated::{Behaviour, SimulatedAws, sample};
use aws::{CachedDirectory, RefreshPace};
use domain::ports::{Clock, Entropy, SharedClock, SharedEntropy};
use domain::{Actor, ActorKind, Groups, LogId, Person, SignedDuration, Timestamp};
use event_log::EventLog;
use event_log::memory::MemoryLog;
use identity::Caller;
use journal::key_store::MemoryKeyStore;
use messaging::memory::MemorySignals;
use projection::Projection;
use prost::Message;
use request::{RequestService, Sources};
use service_runtime::config::{SignalSource, SignalsConfig, Tells, TokenIdentity};
use service_runtime::{DirectoryGroups, Gate, Guarded};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::service::Routes;
use views::{Authorities, PolicyBook, Requests, RequestsModel, Views};

/// Ada's ways to access, and what Fay decides on.
const POLICY: &str = include_str!("policy.toml");

/// When everything begins.
const BEGINNING: i64 = 1_800_000_000;

/// How long to wait for what happens by itself, in tokio's time.
const PATIENCE: Duration = Duration::from_mins(5);

struct PausedClock {
    began: Instant,
}

impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        let ran = SignedDuration::try_from(self.began.elapsed()).unwrap();
        Timestamp::from_second(BEGINNING).unwrap().checked_add(ran).unwrap()
    }
}

#[derive(Default)]
struct Counted(AtomicU64);

impl Entropy for Counted {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let number = self.0.fetch_add(1, Ordering::Relaxed).to_le_bytes();
            chunk.iter_mut().zip(number).for_each(|(byte, of)| *byte = of);
        }
    }
}

struct GroupsOfDirectory(Views);

impl DirectoryGroups for GroupsOfDirectory {
    fn groups_of(&self, caller: &Caller) -> Groups {
        let now = self.0.clock.now();
        views::who::groups_of_caller(&self.0.directory, caller, now, SignedDuration::from_mins(15))
    }
}

/// Everything in one process, and running.
pub(crate) struct House {
    pub(crate) guarded: Guarded,
    pub(crate) log: MemoryLog,
    pub(crate) aws: Arc<SimulatedAws>,
    pub(crate) signals: MemorySignals,
    clock: SharedClock,
    asked: AtomicU64,
    _running: JoinSet<()>,
}

impl House {
    pub(crate) async fn new() -> Self {
        let clock: SharedClock = Arc::new(PausedClock { began: Instant::now() });
        let entropy: SharedEntropy = Arc::new(Counted::default());
        let aws =
            Arc::new(SimulatedAws::with_sample_organisation(clock.clone(), Behaviour::default(), ISSUER));
        let log_id = uuid::Uuid::from_u128(7);
        let memory = MemoryLog::with_id(log_id);
        let log: Arc<dyn EventLog> = Arc::new(memory.clone());
        let (projection, requests_follower) =
            Projection::open(None, RequestsModel::default(), Arc::clone(&log)).unwrap();
        let pace = RefreshPace::default();
        let directory = Arc::new(CachedDirectory::new(aws.clone(), clock.clone(), entropy.clone(), pace));
        directory.refresh().await.unwrap();
        let roles = roles();
        let views = Views {
            log_id: LogId::from_uuid(log_id),
            requests: Requests::new(projection),
            policy: Arc::new(PolicyBook::new(Arc::clone(&log)).unwrap()),
            directory: Arc::clone(&directory),
            keys: Arc::new(MemoryKeyStore::new(entropy.clone())),
            authorities: Arc::new(Authorities {
                administrators: roles.administrators.clone(),
                auditors: roles.auditors.clone(),
                raisers: BTreeSet::new(),
            }),
            clock: clock.clone(),
            entropy,
            log,
        };
        let request = RequestService::new(views.clone()).with_sources(sources());
        let approval = ApprovalService::new(views.clone());
        let settings = activation::Settings::default();
        let activation = ActivationService::new(
            views.clone(),
            activation::Ports::new(aws.clone(), aws.clone()).with_federation(aws.clone()),
            settings,
        );
        let signals = MemorySignals::new();
        let (takes, bus) = (request.clone(), Arc::new(signals.clone()));
        let (audit, events_follower) = AuditService::open(views.clone(), None).unwrap();
        approval.seed(POLICY, seeder()).await.unwrap();
        let mut routes = Routes::default();
        request.add_to(&mut routes);
        approval.add_to(&mut routes);
        activation.add_to(&mut routes);
        audit.add_to(&mut routes);
        let expires_at = clock.now().checked_add(SignedDuration::from_hours(72)).unwrap();
        let gate = Gate::new(Arc::new(ByName { expires_at }), roles, clock.clone())
            .with_directory(Arc::new(GroupsOfDirectory(views)));
        let mut running = JoinSet::new();
        running.spawn(requests_follower.run(std::future::pending()));
        running.spawn(events_follower.run(std::future::pending()));
        running.spawn(async move { takes.take_signals(bus, CancellationToken::new()).await });
        running.spawn(async move { approval.run(CancellationToken::new()).await });
        running.spawn(async move { activation.run(CancellationToken::new()).await });
        running.spawn(async move { directory.run(|error| panic!("{error}")).await });
        let guarded = Guarded::new(routes, &gate, Duration::from_mins(1));
        Self { guarded, log: memory, aws, signals, clock, asked: AtomicU64::new(0), _running: running }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A key that nothing was asked with before.
    pub(crate) fn key(&self) -> String {
        format!("key-{}", self.asked.fetch_add(1, Ordering::Relaxed))
    }

    /// A call, and what came of it.
    pub(crate) async fn tried<A: Message + Default>(
        &self,
        path: &str,
        kind: Kind,
        message: &impl Message,
    ) -> Result<A, Status> {
        let method = api::method(path).unwrap();
        let answer = raw::call(&self.guarded, method, kind, message.encode_to_vec()).await?;
        Ok(A::decode(answer.unwrap().as_slice()).unwrap())
    }

    /// A call that is answered.
    pub(crate) async fn done<A: Message + Default>(
        &self,
        path: &str,
        kind: Kind,
        message: &impl Message,
    ) -> A {
        let answer = self.tried(path, kind, message).await;
        answer.unwrap_or_else(|status| panic!("{path} as {kind:?}: {status:?}"))
    }

    /// Ada asks.
    pub(crate) async fn ask(&self, ask: wire::Ask) -> String {
        let message = request_api::CreateRequestRequest { idempotency_key: self.key(), ask: Some(ask) };
        let path = "/daypass.request.v1.RequestService/CreateRequest";
        let answer: request_api::CreateRequestResponse = self.done(path, Kind::Requester, &message).await;
        self.seen(&answer.request.as_ref().unwrap().request_id, &answer.position).await.request_id
    }

    /// The request, once everything up to `position` is known.
    pub(crate) async fn seen(&self, id: &str, position: &str) -> wire::Request {
        let message = request_api::GetRequestRequest {
            request_id: id.to_owned(),
            with_timeline: false,
            wait_for_position: position.to_owned(),
        };
        let path = "/daypass.request.v1.RequestService/GetRequest";
        let answer: request_api::GetRequestResponse = self.done(path, Kind::Requester, &message).await;
        answer.request.unwrap()
    }

    /// Ada asks, Bob agrees, and the access exists.
    pub(crate) async fn active(&self, ask: wire::Ask) -> String {
        let id = self.ask(ask).await;
        let message = approval_api::ApproveRequest {
            idempotency_key: self.key(),
            request_id: id.clone(),
            comment: String::new(),
        };
        let path = "/daypass.approval.v1.ApprovalService/Approve";
        let _: approval_api::ApproveResponse = self.done(path, Kind::Approver, &message).await;
        let exists = async {
            while self.seen(&id, "").await.access_phase() != wire::AccessPhase::Active {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(PATIENCE, exists).await.unwrap();
        id
    }

    /// What there is before a call, made anew for it.
    pub(crate) async fn given(&self) -> Given {
        let policy = self.policy().await;
        Given {
            pending: self.ask(messages::read_only(sample::WEB_PROD)).await,
            role: self.active(messages::role(sample::WEB_PROD)).await,
            proposal: self.propose(&policy).await,
            policy,
            key: self.key(),
        }
    }

    /// Ada holds [`messages::assignment`] from now on.
    pub(crate) async fn give_assignment(&self) {
        self.active(messages::read_only(sample::PAYMENTS_PROD)).await;
    }

    /// The policy in force.
    pub(crate) async fn policy(&self) -> approval_api::PolicyRecord {
        let message = approval_api::GetPolicyRequest::default();
        let path = "/daypass.approval.v1.PolicyService/GetPolicy";
        let answer: approval_api::GetPolicyResponse = self.done(path, Kind::Auditor, &message).await;
        answer.record.unwrap()
    }

    /// A proposal of Carol's.
    async fn propose(&self, in_force: &approval_api::PolicyRecord) -> String {
        let message = messages::proposal(self.key(), in_force);
        let path = "/daypass.approval.v1.PolicyService/ProposePolicy";
        let answer: approval_api::ProposePolicyResponse =
            self.done(path, Kind::OtherAdministrator, &message).await;
        answer.record.unwrap().proposal_event_id
    }
}

/// The program tells who leaves.
fn sources() -> Sources {
    let source = SignalSource {
        name: "hr".to_owned(),
        kinds: [Tells::PersonLeft].into(),
        may: BTreeSet::new(),
        age_max: SignedDuration::from_hours(24),
        token: Some(TokenIdentity {
            issuer: ISSUER.parse().unwrap(),
            subject: Some("robot".parse().unwrap()),
            client_id: None,
        }),
        nats_account: Some("daypass-signal-hr".to_owned()),
        signature: None,
    };
    Sources::new(&SignalsConfig { sources: vec![source] }).unwrap()
}

fn seeder() -> Actor {
    let person = Person::new("daypass:program", "test").unwrap();
    Actor { person, kind: ActorKind::Workload, client_id: None, auth_time: None, acr: None }
}

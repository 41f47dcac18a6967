//! A small company with Daypass in it, and people who call.

use api::request::v1::directory_service_client::DirectoryServiceClient;
use api::request::v1::request_service_client::RequestServiceClient;
use api::request::v1::signal_service_client::SignalServiceClient;
use api::request::v1::{
    CreateRequestRequest, CreateRequestResponse, GetRequestRequest, GetRequestResponse, ListRequestsRequest,
    RequestFilter, RequestScope,
};
use api::types::v1 as wire;
use aws::simulated::{Behaviour, SimulatedAws, sample};
use aws::{CachedDirectory, DirectorySource, RefreshPace};
use command::aggregate::{PolicyAggregate, RequestAggregate};
use command::{Command, Commander};
use domain::ports::{Clock, Entropy};
use domain::{
    Actor, ActorKind, EventId, GroupRef, Groups, LogId, PermissionSetArn, Person, Plan, Provider, RequestId,
    RuleId, Sighting, SignedDuration, Step, TimeSource, Timestamp,
};
use event_log::memory::MemoryLog;
use identity::{AuthError, Caller, DirectoryId};
use journal::key_store::MemoryKeyStore;
use journal::{Fact, Service, Stream};
use lifecycle::review;
use lifecycle::signal::PersonLinked;
use lifecycle::state::Acting;
use policy::{PlanSource, Policy, Requesters, Rule, Settings, Targets, change};
use projection::Projection;
use request::RequestService;
use service_runtime::{Authenticate, Gate, Guarded, Roles};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use tonic::Status;
use tonic_types::StatusExt as _;
use views::clock_health::SKEW_MAX;
use views::{Authorities, PolicyBook, Requests, RequestsModel, Views, WatchedClock};

pub(crate) const ISSUER: &str = "https://idp.example";
pub(crate) const NOW: i64 = 1_800_000_000;

/// Runs with tokio's clock, and can be set.
pub(crate) struct TestClock {
    began: Instant,
    offset: AtomicI64,
}

impl TestClock {
    pub(crate) fn jump(&self, by: SignedDuration) {
        self.offset.fetch_add(by.as_secs(), Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let ran = i64::try_from(self.began.elapsed().as_millis()).unwrap();
        let offset = self.offset.load(Ordering::Relaxed) * 1_000;
        Timestamp::from_millisecond(NOW * 1_000 + ran + offset).unwrap()
    }
}

#[derive(Default)]
struct Counting(AtomicU64);

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes()[7];
        }
    }
}

/// Everyone's token is their name.
struct Names {
    expires_at: Timestamp,
}

#[async_trait::async_trait]
impl Authenticate for Names {
    async fn authenticate(&self, bearer: &str) -> Result<Caller, AuthError> {
        let (name, claimed) = bearer.split_once('+').unwrap_or((bearer, ""));
        let workload = ["itsm", "robot"].contains(&name);
        let groups = match claimed {
            "" => None,
            "unknown" => Some(Groups::Unknown("the claim is cut short".into())),
            group => Some(Groups::Known([GroupRef::new("corp", group).unwrap()].into())),
        };
        Ok(Caller {
            actor: Actor {
                person: person(name),
                kind: if workload { ActorKind::Workload } else { ActorKind::Human },
                client_id: None,
                auth_time: None,
                acr: None,
            },
            groups,
            // By the name that the issuer uses, or by the identity store's own id.
            directory_id: Some(if uuid::Uuid::try_parse(name).is_ok() {
                DirectoryId::User(name.to_owned())
            } else {
                DirectoryId::External(name.to_owned())
            }),
            expires_at: self.expires_at,
        })
    }
}

/// How many requests one person may have pending here.
pub(crate) const PENDING_MAX: usize = 300;

pub(crate) struct World {
    pub(crate) views: Views,
    pub(crate) log: MemoryLog,
    pub(crate) keys: Arc<MemoryKeyStore>,
    pub(crate) aws: Arc<SimulatedAws>,
    pub(crate) clock: Arc<TestClock>,
    gate: Gate,
    pub(crate) guarded: Guarded,
}

impl World {
    /// With the sample organisation and this policy, which Carol applied.
    pub(crate) async fn with(policy: Policy) -> Self {
        let world = Self::without_policy().await;
        world.apply(policy).await;
        world
    }

    /// With [`ordinary`].
    pub(crate) async fn ordinary() -> Self {
        Self::with(ordinary()).await
    }

    pub(crate) async fn without_policy() -> Self {
        let clock = Arc::new(TestClock { began: Instant::now(), offset: AtomicI64::new(0) });
        let log = MemoryLog::with_id(uuid::Uuid::from_u128(7));
        let shared: Arc<dyn event_log::EventLog> = Arc::new(log.clone());
        let entropy = Arc::new(Counting::default());
        let (projection, follower) =
            Projection::open(None, RequestsModel::default(), Arc::clone(&shared)).unwrap();
        tokio::spawn(follower.run(std::future::pending()));
        let aws =
            Arc::new(SimulatedAws::with_sample_organisation(clock.clone(), Behaviour::default(), ISSUER));
        let source: Arc<dyn DirectorySource> = aws.clone();
        let directory = CachedDirectory::new(source, clock.clone(), entropy.clone(), RefreshPace::default())
            .in_partition(domain::Partition::Aws);
        directory.refresh().await.unwrap();
        let authorities = Authorities {
            administrators: [of_store(sample::ADMINS)].into(),
            auditors: [of_store(sample::AUDITORS)].into(),
            raisers: [person("itsm"), person("dave")].into(),
        };
        let keys = Arc::new(MemoryKeyStore::new(entropy.clone()));
        let views = Views {
            log: Arc::clone(&shared),
            log_id: LogId::from_uuid(uuid::Uuid::from_u128(7)),
            requests: Requests::new(projection),
            policy: Arc::new(PolicyBook::new(shared).unwrap()),
            directory: Arc::new(directory),
            keys: keys.clone(),
            authorities: Arc::new(authorities),
            clock: Arc::new(WatchedClock::new(clock.clone(), SKEW_MAX)),
            entropy,
        };
        let service = RequestService::new(views.clone()).with_pending_max(PENDING_MAX);
        let expires_at = Timestamp::from_second(NOW + 3_600).unwrap();
        let roles = Roles {
            administrators: [of_store(sample::ADMINS)].into(),
            auditors: [of_store(sample::AUDITORS)].into(),
            services: Vec::new(),
        };
        let gate = Gate::new(Arc::new(Names { expires_at }), roles, clock.clone())
            .with_directory(Arc::new(StoreGroups(views.clone())));
        let guarded = Guarded::new(service.routes(), &gate, Duration::from_hours(2));
        Self { views, log, keys, aws, clock, gate, guarded }
    }

    /// The deployment gets Account Access Manager.
    pub(crate) fn get_account_access(&mut self) {
        let service = RequestService::new(self.views.clone()).with_account_access(true);
        self.guarded = Guarded::new(service.routes(), &self.gate, Duration::from_hours(2));
    }

    /// These are believed from now on.
    pub(crate) fn believe(&mut self, sources: request::Sources) {
        let service = RequestService::new(self.views.clone()).with_sources(sources);
        self.guarded = Guarded::new(service.routes(), &self.gate, Duration::from_hours(2));
    }

    /// Applies a policy; a first one as a seed, another one as Carol's change that Dave accepted.
    pub(crate) async fn apply(&self, policy: Policy) {
        let commander = Commander::new(self.views.log.clone(), Service::Approval, self.views.clock.clone());
        let ids = [b"policy".as_slice(), &self.log.recorded().len().to_be_bytes()];
        let command = Command { event_id: EventId::from_parts(ids), actor: None, digest: None, trace: None };
        commander
            .execute::<PolicyAggregate, change::Rejection>(Stream::Policy, command, |loaded, _| {
                let base = loaded.state.as_ref().and_then(|state| state.applied()).map(|(id, _)| id);
                policy.check().map_err(change::Rejection::Invalid)?;
                Ok(Fact::Policy(policy::PolicyEvent::Applied(change::Applied {
                    author_principal: None,
                    base,
                    proposal: None,
                    policy: policy.clone().sorted(),
                    author: actor("carol"),
                    second: None,
                    source_digest: [0; 32],
                })))
            })
            .await
            .unwrap();
    }

    /// Changes the organisation, and reads it again.
    pub(crate) async fn change_directory(&self, change: impl FnOnce(&mut aws::Contents)) {
        self.aws.change_directory(change);
        self.views.directory.refresh().await.unwrap();
    }

    pub(crate) fn requests(&self) -> RequestServiceClient<Guarded> {
        RequestServiceClient::new(self.guarded.clone())
    }

    pub(crate) fn directory(&self) -> DirectoryServiceClient<Guarded> {
        DirectoryServiceClient::new(self.guarded.clone())
    }

    pub(crate) fn signals(&self) -> SignalServiceClient<Guarded> {
        SignalServiceClient::new(self.guarded.clone())
    }

    pub(crate) async fn create(
        &self,
        name: &str,
        key: &str,
        ask: wire::Ask,
    ) -> Result<CreateRequestResponse, Status> {
        let message = CreateRequestRequest { idempotency_key: key.to_owned(), ask: Some(ask) };
        self.requests().create_request(by(name, message)).await.map(tonic::Response::into_inner)
    }

    /// AWS answers at once, with a date that is so far ahead of our clock.
    pub(crate) fn aws_is_ahead(&self, by: SignedDuration) {
        let now = self.views.clock.now();
        self.views.clock.compare(&Sighting::http_date(TimeSource::Aws, now, now, now + by));
    }

    /// Raises, and waits until it can be seen.
    pub(crate) async fn created(&self, name: &str, key: &str, ask: wire::Ask) -> wire::Request {
        let answer = self.create(name, key, ask).await.unwrap();
        self.see().await;
        answer.request.unwrap()
    }

    /// Waits until the read model has seen everything.
    pub(crate) async fn see(&self) {
        self.views.requests.projection().reach_head().await.unwrap();
    }

    pub(crate) async fn get(&self, name: &str, id: &str) -> Result<GetRequestResponse, Status> {
        let message = GetRequestRequest {
            request_id: id.to_owned(),
            with_timeline: true,
            wait_for_position: String::new(),
        };
        self.requests().get_request(by(name, message)).await.map(tonic::Response::into_inner)
    }

    /// The ids of one whole list, page by page.
    pub(crate) async fn listed(&self, name: &str, filter: &RequestFilter, page_size: i32) -> Vec<String> {
        let (mut ids, mut token) = (Vec::new(), String::new());
        loop {
            let message = ListRequestsRequest {
                filter: Some(filter.clone()),
                page_size,
                page_token: token,
                wait_for_position: String::new(),
            };
            let page = self.requests().list_requests(by(name, message)).await.unwrap().into_inner();
            assert!(page.requests.len() <= usize::try_from(page_size).unwrap());
            ids.extend(page.requests.into_iter().map(|request| request.request_id));
            token = page.next_page_token;
            if token.is_empty() {
                return ids;
            }
        }
    }

    /// Records that two identities are one human.
    pub(crate) async fn link(&self, one: &str, other: &str) {
        let stream = Stream::Person(person(one).id());
        let event = journal::Event {
            id: EventId::from_parts([b"link".as_slice(), one.as_bytes(), other.as_bytes()]),
            stream: stream.clone(),
            at: self.views.clock.now(),
            writer: Service::Request,
            actor: None,
            previous: None,
            trace: None,
            command_digest: None,
            fact: Fact::Person(PersonLinked { person: person(one), same_as: person(other) }),
        };
        let envelope = event_log::Envelope {
            event_id: *event.id.as_uuid(),
            writer: event_log::Writer::new("request").unwrap(),
            body: journal::encode(&event).into(),
        };
        let stream = stream.to_string().parse().unwrap();
        self.views.log.append(&stream, event_log::Expected::NoStream, envelope).await.unwrap();
        self.see().await;
    }

    /// What the approval service writes when this person agrees.
    pub(crate) async fn approve(&self, id: &str, name: &str, groups: &[&str]) {
        let commander = Commander::new(self.views.log.clone(), Service::Approval, self.views.clock.clone());
        let id: RequestId = id.parse().unwrap();
        let command = Command {
            event_id: EventId::derive(&person(name), "approve", &id.to_string()),
            actor: Some(actor(name)),
            digest: None,
            trace: None,
        };
        commander
            .execute::<RequestAggregate, lifecycle::Rejection>(Stream::Request(id), command, |loaded, at| {
                let request = loaded.state.as_ref().unwrap();
                let approve = review::Approve {
                    approver: Acting::alone(actor(name)),
                    groups: Groups::Known(groups.iter().map(|group| of_store(group)).collect()),
                    endorsers: BTreeMap::new(),
                    current: request.raised.grounds.plan.clone(),
                    policy_event: request.raised.grounds.policy_event,
                    duration_min: SignedDuration::from_mins(5),
                    comment: None,
                    at,
                };
                Ok(Fact::Request(review::approve(request, approve)?))
            })
            .await
            .unwrap();
        self.see().await;
    }
}

struct StoreGroups(Views);

impl service_runtime::DirectoryGroups for StoreGroups {
    fn groups_of(&self, caller: &Caller) -> Groups {
        let age_max = SignedDuration::from_hours(1);
        views::who::groups_of_caller(&self.0.directory, caller, self.0.clock.now(), age_max)
    }
}

/// A call by someone.
pub(crate) fn by<T>(name: &str, message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {name}").parse().unwrap());
    request
}

pub(crate) fn person(name: &str) -> Person {
    Person::new(ISSUER, name).unwrap()
}

pub(crate) fn wire_person(name: &str) -> wire::Person {
    wire::Person { issuer: ISSUER.to_owned(), subject: name.to_owned() }
}

pub(crate) fn actor(name: &str) -> Actor {
    Actor { person: person(name), kind: ActorKind::Human, client_id: None, auth_time: None, acr: None }
}

pub(crate) fn of_store(group: &str) -> GroupRef {
    GroupRef::new("identity-store", group).unwrap()
}

pub(crate) fn step(count: u8, groups: &[GroupRef]) -> Step {
    Step { count, groups: groups.iter().cloned().collect(), people: BTreeSet::new() }
}

/// Approvers decide, one is enough.
pub(crate) fn one_approver() -> PlanSource {
    PlanSource::Steps(Plan { steps: vec![step(1, &[of_store(sample::APPROVERS)])] })
}

/// Developers may have `ReadOnly` in every account for 8 hours, if one approver agrees.
pub(crate) fn rule(id: &str) -> Rule {
    Rule {
        id: RuleId::new(id).unwrap(),
        description: format!("what {id} is for"),
        requesters: Requesters { people: BTreeSet::new(), groups: [of_store(sample::DEVELOPERS)].into() },
        targets: Targets {
            all_accounts: true,
            permission_sets: [PermissionSetArn::new(sample::READ_ONLY).unwrap()].into(),
            ..Targets::default()
        },
        duration_max: SignedDuration::from_hours(8),
        provider: Provider::IdentityCenter,
        credential_duration_max: None,
        session: domain::SessionScope::default(),
        plan: one_approver(),
    }
}

pub(crate) fn policy(rules: impl IntoIterator<Item = Rule>) -> Policy {
    Policy {
        rules: rules.into_iter().collect(),
        approval_policies: Vec::new(),
        settings: Settings { second_administrator: false, ..Settings::default() },
    }
}

/// One [`rule`], `read`.
pub(crate) fn ordinary() -> Policy {
    policy([rule("read")])
}

/// `ReadOnly` in an account for an hour.
pub(crate) fn ask(account: &str) -> wire::Ask {
    wire::Ask {
        target: Some(wire::Target {
            account_id: account.to_owned(),
            entitlement_arn: sample::READ_ONLY.to_owned(),
        }),
        window: Some(hours(1)),
        justification: "the pager went off".to_owned(),
        ..wire::Ask::default()
    }
}

pub(crate) fn hours(hours: i64) -> wire::AskedWindow {
    wire::AskedWindow {
        start: None,
        duration: Some(views::wire::duration(SignedDuration::from_hours(hours))),
    }
}

pub(crate) fn scope(scope: RequestScope) -> RequestFilter {
    RequestFilter { scope: scope.into(), ..RequestFilter::default() }
}

/// The code and the reason of a refusal.
pub(crate) fn no<T: std::fmt::Debug>(answer: Result<T, Status>) -> (tonic::Code, String) {
    let status = answer.unwrap_err();
    let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
    (status.code(), reason)
}

/// The fields that a refusal names.
pub(crate) fn wrong_fields<T: std::fmt::Debug>(answer: Result<T, Status>) -> Vec<String> {
    let status = answer.unwrap_err();
    assert_eq!(status.code(), tonic::Code::InvalidArgument, "{status}");
    let details = status.get_details_bad_request().unwrap();
    details.field_violations.into_iter().map(|violation| violation.field).collect()
}

//! A company with its directory, its policy and its people; requests that were raised; replicas of the service.

use api::approval::v1::approval_service_client::ApprovalServiceClient;
use api::approval::v1::policy_service_client::PolicyServiceClient;
use api::approval::v1::{ApproveRequest, ApproveResponse, RejectRequest, RejectResponse};
use approval::ApprovalService;
use aws::simulated::{Behaviour, SimulatedAws, sample};
use aws::{CachedDirectory, Contents, ExternalId, Group, GroupId, RefreshPace, User, UserName};
use command::aggregate::{PolicyAggregate, RequestAggregate};
use command::{Command, Commander};
use domain::ports::{Clock, Entropy};
use domain::{
    Actor, ActorKind, AskedWindow, EventId, GroupRef, Groups, LogId, Person, PrincipalId, RequestId, RuleId,
    SignedDuration, Target, Timestamp,
};
use event_log::memory::MemoryLog;
use identity::{AuthError, Caller, DirectoryId};
use journal::key_store::MemoryKeyStore;
use journal::{Fact, Service, Stream};
use lifecycle::event::{Grounds, Requested};
use lifecycle::state::{Acting, Status};
use lifecycle::{Rejection, RequestEvent};
use policy::change::{self, Accept, Propose};
use policy::{Ask, Policy};
use service_runtime::{Authenticate, Gate, Guarded, Roles};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Response};
use tonic_types::StatusExt as _;
use views::{Authorities, InForce, Place, PolicyBook, Requests, RequestsModel, Story, Views};

pub(crate) const ISSUER: &str = "https://idp.example";

/// One approver for reading in production, nobody for reading in development.
pub(crate) const POLICY: &str = r#"
[[rules]]
id = "prod-read"
duration_max = "8h"
provider = "identity_center"
plan = [{ count = 1, groups = ["identity-store:approvers"] }]
requesters = { groups = ["identity-store:developers", "identity-store:approvers"] }
targets = { ous = ["ou-dayp-production"], permission_sets = ["arn:aws:sso:::permissionSet/ssoins-1111111111111111/ps-1111111111111111"] }

[[rules]]
id = "dev-read"
duration_max = "8h"
provider = "identity_center"
plan = "none"
requesters = { groups = ["identity-store:developers"] }
targets = { ous = ["ou-dayp-development"], permission_sets = ["arn:aws:sso:::permissionSet/ssoins-1111111111111111/ps-1111111111111111"] }
"#;

/// Time as tokio tells it, which a test stops and moves.
struct TokioClock {
    from: Timestamp,
    since: Instant,
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        self.from + SignedDuration::try_from(self.since.elapsed()).unwrap()
    }
}

struct Counting(AtomicU64);

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = self.0.fetch_add(1, Ordering::Relaxed).to_le_bytes()[0];
        }
    }
}

/// Who has which token: the token is a number.
#[derive(Default)]
struct Tokens(Mutex<BTreeMap<String, Caller>>);

impl Tokens {
    fn give(&self, caller: Caller) -> String {
        let mut tokens = self.0.lock().unwrap();
        let token = tokens.len().to_string();
        tokens.insert(token.clone(), caller);
        token
    }
}

#[async_trait::async_trait]
impl Authenticate for Tokens {
    async fn authenticate(&self, bearer: &str) -> Result<Caller, AuthError> {
        Ok(self.0.lock().unwrap()[bearer].clone())
    }
}

/// What outlives a process.
#[derive(Clone)]
pub(crate) struct Outside {
    pub(crate) log: MemoryLog,
    pub(crate) aws: Arc<SimulatedAws>,
    clock: Arc<TokioClock>,
    keys: Arc<MemoryKeyStore>,
    entropy: Arc<Counting>,
    log_id: LogId,
}

/// One replica.
pub(crate) struct House {
    pub(crate) outside: Outside,
    pub(crate) views: Views,
    pub(crate) service: ApprovalService,
    tokens: Arc<Tokens>,
    guarded: Guarded,
    keys: AtomicU64,
    following: tokio_util::sync::DropGuard,
}

pub(crate) fn person(name: &str) -> Person {
    Person::new(ISSUER, name).unwrap()
}

pub(crate) fn human(person: Person) -> Actor {
    Actor { person, kind: ActorKind::Human, client_id: None, auth_time: None, acr: None }
}

/// Someone whom the directory knows by this name, with a token that is good for an hour.
pub(crate) fn caller(name: &str) -> Caller {
    Caller {
        actor: human(person(name)),
        groups: None,
        directory_id: Some(DirectoryId::External(name.to_owned())),
        expires_at: start() + SignedDuration::from_hours(48),
    }
}

/// The same, whose token names these groups as well.
pub(crate) fn with_groups(name: &str, groups: &[&str]) -> Caller {
    let groups = groups.iter().map(|group| GroupRef::new("corp", group).unwrap()).collect();
    Caller { groups: Some(Groups::Known(groups)), ..caller(name) }
}

pub(crate) fn administrator(name: &str) -> Caller {
    with_groups(name, &["admins"])
}

fn start() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

pub(crate) fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

/// Adds a user to the organisation, whom `ISSUER` calls `name`.
pub(crate) fn add_user(contents: &mut Contents, number: u8, name: &str, groups: &[&str]) {
    let id = PrincipalId::new(format!("00000000-0000-4000-8000-0000000001{number:02}")).unwrap();
    let external_ids = BTreeSet::from([ExternalId { issuer: ISSUER.to_owned(), id: name.to_owned() }]);
    let user =
        User { user_name: UserName::new(name), display_name: name.to_owned(), external_ids, enabled: true };
    contents.users.insert(id.clone(), user);
    for group in groups {
        let group = GroupId::new(*group).unwrap();
        contents.groups.entry(group.clone()).or_insert(Group { display_name: group.to_string() });
        contents.memberships.entry(id.clone()).or_default().insert(group);
    }
}

impl Outside {
    pub(crate) fn new() -> Self {
        let clock = Arc::new(TokioClock { from: start(), since: Instant::now() });
        let aws = SimulatedAws::with_sample_organisation(clock.clone(), Behaviour::default(), ISSUER);
        aws.change_directory(|contents| {
            add_user(contents, 1, "frank", &["approvers"]);
            add_user(contents, 2, "grace", &["security"]);
            add_user(contents, 3, "heidi", &["approvers", "security"]);
        });
        let entropy = Arc::new(Counting(AtomicU64::new(0)));
        let log_id = LogId::from_parts([b"test".as_slice()]);
        Self {
            log: MemoryLog::with_id(*log_id.as_uuid()),
            aws: Arc::new(aws),
            clock,
            keys: Arc::new(MemoryKeyStore::new(entropy.clone())),
            entropy,
            log_id,
        }
    }

    /// A replica that starts now.
    pub(crate) async fn start(&self) -> House {
        let log = Arc::new(self.log.clone());
        let (projection, follower) =
            projection::Projection::open(None, RequestsModel::default(), log.clone()).unwrap();
        let following = CancellationToken::new();
        tokio::spawn(follower.run(following.clone().cancelled_owned()));
        projection.caught_up().await;
        let directory = CachedDirectory::new(
            self.aws.clone(),
            self.clock.clone(),
            self.entropy.clone(),
            RefreshPace::default(),
        );
        directory.refresh().await.unwrap();
        let administrators = BTreeSet::from([GroupRef::new("corp", "admins").unwrap()]);
        let views = Views {
            log: log.clone(),
            log_id: self.log_id,
            requests: Requests::new(projection),
            policy: Arc::new(PolicyBook::new(log).unwrap()),
            directory: Arc::new(directory),
            keys: self.keys.clone(),
            authorities: Arc::new(Authorities {
                administrators: administrators.clone(),
                ..Authorities::default()
            }),
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
        };
        let tokens = Arc::new(Tokens::default());
        let roles = Roles { administrators, ..Roles::default() };
        let gate = Gate::new(tokens.clone(), roles, self.clock.clone());
        let service = ApprovalService::new(views.clone());
        House {
            guarded: Guarded::new(service.routes(), &gate, Duration::from_mins(1)),
            outside: self.clone(),
            views,
            service,
            tokens,
            keys: AtomicU64::new(0),
            following: following.drop_guard(),
        }
    }
}

impl House {
    /// One replica, with [`POLICY`] in force.
    pub(crate) async fn new() -> Self {
        Self::with_policy(POLICY).await
    }

    pub(crate) async fn with_policy(policy: &str) -> Self {
        let house = Outside::new().start().await;
        house.service.seed(policy, human(person("root"))).await.unwrap();
        house
    }

    pub(crate) fn request<T>(&self, caller: &Caller, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        let token = format!("Bearer {}", self.tokens.give(caller.clone()));
        request.metadata_mut().insert("authorization", token.parse().unwrap());
        request
    }

    pub(crate) fn approvals(&self) -> ApprovalServiceClient<Guarded> {
        ApprovalServiceClient::new(self.guarded.clone())
    }

    pub(crate) fn policies(&self) -> PolicyServiceClient<Guarded> {
        PolicyServiceClient::new(self.guarded.clone())
    }

    /// A key that was not used before.
    pub(crate) fn key(&self) -> String {
        format!("key-{}", self.keys.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) async fn approve(
        &self,
        caller: &Caller,
        id: RequestId,
    ) -> Result<ApproveResponse, tonic::Status> {
        self.approve_with(caller, id, &self.key()).await
    }

    pub(crate) async fn approve_with(
        &self,
        caller: &Caller,
        id: RequestId,
        key: &str,
    ) -> Result<ApproveResponse, tonic::Status> {
        let message = ApproveRequest {
            idempotency_key: key.to_owned(),
            request_id: id.to_string(),
            comment: "looks fine".to_owned(),
        };
        self.approvals().approve(self.request(caller, message)).await.map(Response::into_inner)
    }

    pub(crate) async fn reject(
        &self,
        caller: &Caller,
        id: RequestId,
    ) -> Result<RejectResponse, tonic::Status> {
        let message = RejectRequest {
            idempotency_key: self.key(),
            request_id: id.to_string(),
            comment: "not today".to_owned(),
        };
        self.approvals().reject(self.request(caller, message)).await.map(Response::into_inner)
    }

    /// Ada asks for an hour of reading in production.
    pub(crate) async fn raised(&self) -> RequestId {
        self.raised_by("ada", sample::WEB_PROD, "prod-read").await
    }

    pub(crate) async fn raised_by(&self, name: &str, account: &str, rule: &str) -> RequestId {
        self.raised_as(human(person(name)), name, account, rule).await
    }

    /// `raiser` asks for the user of this name.
    pub(crate) async fn raised_as(&self, raiser: Actor, name: &str, account: &str, rule: &str) -> RequestId {
        let in_force = self.views.policy.current().await.unwrap();
        self.raised_under(&in_force, raiser, name, account, rule).await
    }

    /// Ada asked for an hour of reading in production while this policy was in force.
    pub(crate) async fn raised_late(&self, in_force: &InForce) -> RequestId {
        self.raised_under(in_force, human(person("ada")), "ada", sample::WEB_PROD, "prod-read").await
    }

    async fn raised_under(
        &self,
        in_force: &InForce,
        raiser: Actor,
        name: &str,
        account: &str,
        rule: &str,
    ) -> RequestId {
        let requester = person(name);
        let target = Target::parse(account, sample::READ_ONLY).unwrap();
        let asked = AskedWindow { start: None, duration: hours(1) };
        let now = self.views.clock.now();
        let place = Place::of(&self.views.directory, &target, now, hours(1)).unwrap();
        let principal = place.directory().user_by_external_id(ISSUER, name).unwrap().clone();
        let groups = place.directory().groups_of(&principal);
        let known = Groups::Known(groups.clone());
        let ask = Ask {
            requester: &requester,
            groups: &known,
            target: &target,
            account: place.facts(),
            duration: asked.duration,
        };
        let rule = RuleId::new(rule).unwrap();
        let found = in_force.compiled.current(&rule, &ask).unwrap();
        let id = RequestId::derive(&requester, "create", &self.key());
        let sealed = views::resource::justification_place(&id);
        let key = self.views.keys.as_ref();
        let justification = key
            .obtain(&requester.id())
            .unwrap()
            .seal(&sealed, "the pager went off", self.views.entropy.as_ref())
            .unwrap();
        let event = Requested {
            id,
            requester,
            raiser,
            raiser_principal: None,
            target: target.clone(),
            asked,
            ticket: None,
            justification,
            emergency: false,
            extends: None,
            chain_duration: asked.duration,
            batch: None,
            decide_by: now + hours(24),
            grounds: Grounds {
                rule,
                policy_event: in_force.event,
                determining: found.determining,
                provider: found.provider,
                groups,
                ou_path: place.ou_path().clone(),
                plan: found.plan,
                principal: Some(principal),
            },
        };
        self.write(id, Service::Request, RequestEvent::Requested(Box::new(event))).await;
        self.seen().await;
        id
    }

    /// Another service writes about a request.
    async fn write(&self, id: RequestId, service: Service, event: RequestEvent) {
        let commander = Commander::new(self.views.log.clone(), service, self.views.clock.clone());
        let written = commander.execute::<RequestAggregate, Rejection>(
            Stream::Request(id),
            self.some_command(),
            |_, _| Ok(Fact::Request(event.clone())),
        );
        written.await.unwrap();
    }

    fn some_command(&self) -> Command {
        let event_id = EventId::from_parts([b"test", self.key().as_bytes()]);
        Command { event_id, actor: None, digest: None, trace: None }
    }

    /// The requester takes a request back.
    pub(crate) async fn withdraw(&self, id: RequestId) -> bool {
        let by = Acting::alone(human(person("ada")));
        let commander = Commander::new(self.views.log.clone(), Service::Request, self.views.clock.clone());
        let written = commander.execute::<RequestAggregate, Rejection>(
            Stream::Request(id),
            self.some_command(),
            |loaded, at| {
                let request = loaded.state.as_ref().ok_or(Rejection::NotFound)?;
                lifecycle::raise::withdraw(request, &by, at).map(Fact::Request)
            },
        );
        written.await.is_ok()
    }

    /// Says that two identities are one human. Whether the read model shows it is for the service to see to.
    pub(crate) async fn link(&self, one: &Person, other: &Person) {
        let commander = Commander::new(self.views.log.clone(), Service::Request, self.views.clock.clone());
        let linked = lifecycle::signal::PersonLinked { person: one.clone(), same_as: other.clone() };
        let written = commander.execute::<command::aggregate::DutyAggregate, Rejection>(
            Stream::Person(one.id()),
            self.some_command(),
            |_, _| Ok(Fact::Person(linked.clone())),
        );
        written.await.unwrap();
    }

    /// Puts another policy in force, by two administrators.
    pub(crate) async fn apply(&self, toml: &str) -> EventId {
        self.apply_by("carol", toml).await
    }

    pub(crate) async fn apply_by(&self, author: &str, toml: &str) -> EventId {
        self.apply_as(person(author), toml).await
    }

    pub(crate) async fn apply_as(&self, author: Person, toml: &str) -> EventId {
        let commander = Commander::new(self.views.log.clone(), Service::Approval, self.views.clock.clone());
        let base = self.views.policy.current().await.unwrap().event;
        let policy = Policy::from_toml(toml).unwrap();
        let source_digest = policy.digest();
        let propose = Propose {
            base: Some(base),
            policy,
            author: human(author),
            author_principal: None,
            source_digest,
        };
        let proposed = commander
            .execute::<PolicyAggregate, change::Rejection>(
                Stream::Policy,
                self.some_command(),
                |loaded, _| {
                    change::propose(loaded.state.as_ref().unwrap(), propose.clone()).map(Fact::Policy)
                },
            )
            .await
            .unwrap();
        let accept = Accept {
            proposal: proposed.event.id,
            by: human(person("dave")),
            linked: BTreeSet::new(),
            principal: None,
        };
        let applied = commander
            .execute::<PolicyAggregate, change::Rejection>(
                Stream::Policy,
                self.some_command(),
                |loaded, _| change::accept(loaded.state.as_ref().unwrap(), accept.clone()).map(Fact::Policy),
            )
            .await
            .unwrap();
        applied.event.id
    }

    /// Changes the organisation, and reads it again.
    pub(crate) async fn reorganise(&self, change: impl FnOnce(&mut Contents)) {
        self.outside.aws.change_directory(change);
        self.views.directory.refresh().await.unwrap();
    }

    /// Waits until the read model shows everything.
    pub(crate) async fn seen(&self) {
        self.views.requests.projection().reach_head().await.unwrap();
    }

    pub(crate) async fn story(&self, id: RequestId) -> Story {
        self.seen().await;
        self.views.requests.get(&id).unwrap().unwrap()
    }

    pub(crate) async fn status(&self, id: RequestId) -> Status {
        self.story(id).await.request.status()
    }

    /// Runs the processes until the request has this status; at most for a simulated week.
    pub(crate) async fn run_until(&self, id: RequestId, status: Status) {
        let shutdown = CancellationToken::new();
        let reached = async {
            let mut changes = self.views.requests.projection().changes();
            while self.status(id).await != status {
                changes.changed().await.unwrap();
            }
        };
        tokio::select! {
            biased;
            () = self.service.run(shutdown.clone()) => panic!("the processes ended"),
            reached = tokio::time::timeout(Duration::from_hours(7 * 24), reached) => reached.unwrap(),
        }
    }

    /// Runs the processes for a while.
    pub(crate) async fn run_for(&self, duration: Duration) {
        let shutdown = CancellationToken::new();
        tokio::select! {
            biased;
            () = self.service.run(shutdown.clone()) => panic!("the processes ended"),
            () = tokio::time::sleep(duration) => {}
        }
    }

    /// The read model follows the log no more.
    pub(crate) async fn fall_behind(self) -> Self {
        let Self { outside, views, service, tokens, guarded, keys, following } = self;
        drop(following);
        tokio::task::yield_now().await;
        let following = CancellationToken::new().drop_guard();
        Self { outside, views, service, tokens, guarded, keys, following }
    }

    /// How many events there are.
    pub(crate) fn events(&self) -> usize {
        self.outside.log.recorded().len()
    }
}

/// Code and reason of a refusal.
pub(crate) fn refusal<T: std::fmt::Debug>(result: Result<T, tonic::Status>) -> (Code, String) {
    let status = result.unwrap_err();
    let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
    (status.code(), reason)
}

pub(crate) fn because(code: Code, reason: &str) -> (Code, String) {
    (code, reason.to_owned())
}

/// Lets simulated time pass, beyond the age at which the directory counts as too old.
pub(crate) async fn directory_ages() {
    tokio::time::sleep(Duration::from_hours(1)).await;
}

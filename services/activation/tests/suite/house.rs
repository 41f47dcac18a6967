//! A house to test in: what outlives a process (log, AWS, keys, time), and processes that can be started and killed.

use activation::{ActivationService, Ports, Settings};
use api::activation::v1::{self as wire, activation_service_server::ActivationService as Rpcs};
use aws::simulated::{Behaviour, SimulatedAccountAccess, SimulatedAws, SimulatedScps, sample};
use aws::{
    Assignments, Attempt, AwsError, CachedDirectory, Deletion, DirectorySource, ErrorKind, Limits,
    OperationId, OperationStatus, RefreshPace, Turns,
};
use command::aggregate::{
    AssignmentAggregate, DenialAggregate, DutyAggregate, LogAggregate, PolicyAggregate, RequestAggregate,
};
use command::{Command, Commander};
use domain::ports::{Clock, Entropy, SharedClock, SharedEntropy};
use domain::{
    AccountId, Actor, ActorKind, AskedWindow, Endorsement, Entitlement, EventId, GroupRef, Groups, LogId,
    OuPath, Person, Plan, PrincipalId, Provider, RequestId, Sighting, SignedDuration, Step, Target,
    TimeSource, Timestamp, Window,
};
use event_log::memory::MemoryLog;
use event_log::{Envelope, EventLog, Expected, Revision, Writer};
use identity::{Caller, DirectoryId};
use journal::key_store::{KeyStore, MemoryKeyStore};
use journal::{Event, Fact, Service, Stream};
use lifecycle::assignment::{AssignmentEvent, AssignmentKey, Ledger};
use lifecycle::denial::DenialEvent;
use lifecycle::duty::DutyClaimed;
use lifecycle::event::{ApprovalBasis, Approved, ClosedHow, Grounds, Requested};
use lifecycle::log::LogEvent;
use lifecycle::state::{Closure, EndReason, Phase};
use lifecycle::{Request, RequestEvent};
use opentelemetry::metrics::Meter;
use policy::{Policy, PolicyEvent};
use projection::Projection;
use service_runtime::Call;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use views::clock_health::SKEW_MAX;
use views::{Authorities, PolicyBook, Requests, RequestsModel, Views, WatchedClock};

pub(crate) const ISSUER: &str = "https://idp.example";
pub(crate) const HOUR: i64 = 3_600;

pub(crate) const POLICY: &str = r#"
[settings]
second_administrator = false

[[rules]]
id = "read-only"
duration_max = "12h"
provider = "identity_center"
plan = [{ count = 1, groups = ["identity-store:approvers"] }]
requesters = { groups = ["identity-store:developers"] }
targets = { all_accounts = true, permission_sets = ["arn:aws:sso:::permissionSet/ssoins-1111111111111111/ps-1111111111111111"] }

[[rules]]
id = "role"
duration_max = "12h"
provider = "sts"
credential_duration_max = "1h"
plan = [{ count = 1, groups = ["identity-store:approvers"] }]
requesters = { groups = ["identity-store:developers"] }
targets = { all_accounts = true, roles = ["daypass/ReadOnly"] }

[[rules]]
id = "role-for-users"
duration_max = "12h"
provider = "account_access"
plan = [{ count = 1, groups = ["identity-store:approvers"] }]
requesters = { groups = ["identity-store:developers"] }
targets = { all_accounts = true, roles = ["daypass/Administrator"] }
"#;

/// [`POLICY`], where sessions of STS may assume further roles.
pub(crate) fn chaining_policy() -> String {
    let duration = "credential_duration_max = \"1h\"";
    POLICY.replace(duration, &format!("{duration}\nallow_chaining = true"))
}

/// [`POLICY`], by groups that only tokens tell.
pub(crate) fn policy_by_token() -> String {
    POLICY.replace("identity-store:developers", "okta:dba").replace("identity-store:approvers", "okta:leads")
}

/// Simulated time: tokio's, from the beginning of 2026.
struct PausedClock {
    began: tokio::time::Instant,
}

impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        let since = SignedDuration::try_from(self.began.elapsed()).unwrap();
        epoch().checked_add(since).unwrap()
    }
}

fn epoch() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// Predictable, and never the same twice.
#[derive(Default)]
struct Counted(AtomicU64);

impl Entropy for Counted {
    fn fill(&self, bytes: &mut [u8]) {
        let seed = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let digest = domain::canonical_digest([b"entropy".as_slice(), &seed]);
        bytes.iter_mut().zip(digest.iter().cycle()).for_each(|(byte, chance)| *byte = *chance);
    }
}

/// The clock of one process: the house's, set forward or back by milliseconds.
struct LocalClock {
    house: SharedClock,
    ahead: Arc<AtomicI64>,
}

impl Clock for LocalClock {
    fn now(&self) -> Timestamp {
        self.house.now() + SignedDuration::from_millis(self.ahead.load(Ordering::Relaxed))
    }
}

/// What outlives a process.
pub(crate) struct House {
    pub(crate) clock: SharedClock,
    pub(crate) entropy: SharedEntropy,
    pub(crate) log: MemoryLog,
    pub(crate) aws: Arc<SimulatedAws>,
    pub(crate) scps: Option<Arc<SimulatedScps>>,
    /// Who tells processes of the organisation, if not AWS.
    pub(crate) directory: Option<Arc<dyn DirectorySource>>,
    /// Whether processes have Account Access Manager.
    pub(crate) account_access: bool,
    pub(crate) keys: Arc<dyn KeyStore>,
    pub(crate) settings: Settings,
    /// The groups of those who ask, and of those who agree.
    groups: [GroupRef; 2],
    /// What processes measure by, if it is not their own.
    pub(crate) meter: Option<Meter>,
    asked: AtomicU64,
    policy_event: Mutex<Option<EventId>>,
}

/// The task that fills the read model.
const FOLLOWER: usize = 1;

/// The task that reads the directory.
const DIRECTORY_READER: usize = 2;

/// A running process.
pub(crate) struct Process {
    pub(crate) service: ActivationService,
    pub(crate) views: Views,
    line: Arc<Line>,
    clock_ahead: Arc<AtomicI64>,
    valve: Arc<Valve>,
    shutdown: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Process {
    /// AWS answers at once, with a date that is so far ahead of our clock.
    pub(crate) fn aws_is_ahead(&self, by: SignedDuration) {
        let now = self.views.clock.now();
        self.views.clock.compare(&Sighting::http_date(TimeSource::Aws, now, now, now + by));
    }

    /// From now on its clock is so far ahead of everybody else's.
    pub(crate) fn set_clock_ahead(&self, by: SignedDuration) {
        self.clock_ahead.store(by.as_millis().try_into().unwrap(), Ordering::Relaxed);
    }

    /// As `SIGSTOP` does it.
    pub(crate) fn pause(&self) {
        self.brake()();
    }

    /// The same, for whoever does it while the process is at work.
    pub(crate) fn brake(&self) -> impl FnOnce() + Send + use<> {
        let valve = self.valve.clone();
        move || valve.0.lock().unwrap().0 = true
    }

    /// As `SIGCONT` does it.
    pub(crate) fn resume(&self) {
        let mut valve = self.valve.0.lock().unwrap();
        valve.0 = false;
        valve.1.drain(..).for_each(Waker::wake);
    }

    /// Whether its calls of Identity Center are refused from now on, and nobody else's: its credentials are gone, say.
    pub(crate) fn cut_from_aws(&self, cut: bool) {
        self.line.cut.store(cut, Ordering::Relaxed);
    }

    /// Whether Identity Center does not tell it from now on which groups hold something.
    pub(crate) fn hide_groups(&self, hidden: bool) {
        self.line.groups_hidden.store(hidden, Ordering::Relaxed);
    }

    /// From now on the lists of Identity Center are on their way back for so long.
    pub(crate) fn lists_come_late(&self, by: SignedDuration) {
        self.line.lists_late.store(by.as_millis().try_into().unwrap(), Ordering::Relaxed);
    }

    /// How often this process called Identity Center.
    pub(crate) fn aws_calls(&self) -> usize {
        self.line.calls.load(Ordering::Relaxed)
    }

    /// How often this process asked which groups hold something.
    pub(crate) fn groups_asked(&self) -> usize {
        self.line.groups_asked.load(Ordering::Relaxed)
    }

    /// How often this process tried to change Identity Center.
    pub(crate) fn aws_changes(&self) -> usize {
        self.line.changes.load(Ordering::Relaxed)
    }

    /// As `kill -9` does it: wherever it is.
    pub(crate) async fn kill(self) {
        for task in self.tasks {
            task.abort();
            let _ = task.await;
        }
    }

    /// From now on the read model stands still.
    pub(crate) fn stop_following(&self) {
        self.tasks.get(FOLLOWER).unwrap().abort();
    }

    /// From now on the directory grows older.
    pub(crate) fn stop_reading_the_directory(&self) {
        self.tasks.get(DIRECTORY_READER).unwrap().abort();
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        let mut tasks = self.tasks;
        tasks.remove(0).await.unwrap();
        tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Whether a process is paused, and whom to wake when it is not any more.
#[derive(Default)]
struct Valve(Mutex<(bool, Vec<Waker>)>);

/// Runs `task` unless it is paused.
async fn behind(valve: Arc<Valve>, task: impl Future<Output = ()>) {
    let mut task = std::pin::pin!(task);
    std::future::poll_fn(|context| {
        let mut state = valve.0.lock().unwrap();
        if state.0 {
            state.1.push(context.waker().clone());
            return Poll::Pending;
        }
        drop(state);
        task.as_mut().poll(context)
    })
    .await;
}

/// One process's line to AWS.
struct Line {
    aws: Arc<SimulatedAws>,
    calls: AtomicUsize,
    /// Those of them that change something.
    changes: AtomicUsize,
    /// Those of them that ask for groups.
    groups_asked: AtomicUsize,
    groups_hidden: AtomicBool,
    cut: AtomicBool,
    /// For how many milliseconds a list is on its way back.
    lists_late: AtomicU64,
}

impl Line {
    fn aws(&self) -> Result<&SimulatedAws, AwsError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if self.cut.load(Ordering::Relaxed) {
            return Err(AwsError::new(ErrorKind::Unavailable, "CredentialsError", "no credentials"));
        }
        Ok(&self.aws)
    }
}

#[async_trait::async_trait]
impl Assignments for Line {
    fn limits(&self) -> Limits {
        self.aws.limits()
    }
    async fn create(&self, key: &aws::AssignmentKey, attempt: Attempt) -> Result<OperationId, AwsError> {
        self.changes.fetch_add(1, Ordering::Relaxed);
        self.aws()?.create(key, attempt).await
    }
    async fn creation_status(&self, operation: &OperationId) -> Result<OperationStatus, AwsError> {
        self.aws()?.creation_status(operation).await
    }
    async fn delete(
        &self,
        key: &aws::AssignmentKey,
        attempt: Attempt,
        turns: &dyn Turns,
    ) -> Result<Deletion, AwsError> {
        self.changes.fetch_add(1, Ordering::Relaxed);
        self.aws()?.delete(key, attempt, turns).await
    }
    async fn deletion_status(&self, operation: &OperationId) -> Result<OperationStatus, AwsError> {
        self.aws()?.deletion_status(operation).await
    }
    async fn groups_holding(
        &self,
        account: &AccountId,
        entitlement: &Entitlement,
        turns: &dyn Turns,
    ) -> Result<BTreeSet<aws::GroupId>, AwsError> {
        self.groups_asked.fetch_add(1, Ordering::Relaxed);
        if self.groups_hidden.load(Ordering::Relaxed) {
            return Err(AwsError::new(ErrorKind::Unavailable, "Planted", "planted"));
        }
        self.aws()?.groups_holding(account, entitlement, turns).await
    }
    async fn holders(
        &self,
        account: &AccountId,
        entitlement: &Entitlement,
        turns: &dyn Turns,
    ) -> Result<BTreeSet<PrincipalId>, AwsError> {
        let holders = self.aws()?.holders(account, entitlement, turns).await;
        let late = std::time::Duration::from_millis(self.lists_late.load(Ordering::Relaxed));
        if !late.is_zero() {
            tokio::time::sleep(late).await;
        }
        holders
    }
}

impl House {
    pub(crate) async fn new() -> Self {
        Self::with(Behaviour::default()).await
    }

    pub(crate) async fn with(behaviour: Behaviour) -> Self {
        let clock: SharedClock = Arc::new(PausedClock { began: tokio::time::Instant::now() });
        let entropy: SharedEntropy = Arc::new(Counted::default());
        let house = Self {
            log: MemoryLog::with_id(uuid::Uuid::from_u128(1)),
            aws: Arc::new(SimulatedAws::with_sample_organisation(clock.clone(), behaviour, ISSUER)),
            scps: None,
            directory: None,
            account_access: true,
            keys: Arc::new(MemoryKeyStore::new(entropy.clone())),
            settings: Settings::default(),
            groups: [group(sample::DEVELOPERS), group(sample::APPROVERS)],
            meter: None,
            asked: AtomicU64::new(0),
            policy_event: Mutex::new(None),
            clock,
            entropy,
        };
        house.apply(POLICY).await;
        house
    }

    /// Where only tokens tell who is in which group.
    pub(crate) async fn by_token() -> Self {
        let mut house = Self::new().await;
        house.groups = ["dba", "leads"].map(|name| GroupRef::new("okta", name).unwrap());
        house.apply(&policy_by_token()).await;
        house
    }

    /// Applies a policy.
    pub(crate) async fn apply(&self, text: &str) {
        let applied = policy::change::Applied {
            author_principal: None,
            base: *self.policy_event.lock().unwrap(),
            proposal: None,
            policy: Policy::from_toml(text).unwrap(),
            author: human("carol"),
            second: None,
            source_digest: [0; 32],
        };
        let command = self.command();
        *self.policy_event.lock().unwrap() = Some(command.event_id);
        self.commander(Service::Approval)
            .execute::<PolicyAggregate, std::convert::Infallible>(Stream::Policy, command, |_, _| {
                Ok(Fact::Policy(PolicyEvent::Applied(applied.clone())))
            })
            .await
            .unwrap();
    }

    fn commander(&self, service: Service) -> Commander {
        Commander::new(Arc::new(self.log.clone()), service, self.clock.clone())
    }

    fn command(&self) -> Command {
        let number = self.asked.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let event_id = EventId::from_parts([b"test".as_slice(), &number]);
        Command { event_id, actor: None, digest: None, trace: None }
    }

    /// From now on the log is one that was restored from a backup, which was made when there were so many events.
    pub(crate) async fn restore(&mut self, events: usize) {
        let restored = MemoryLog::with_id(uuid::Uuid::from_u128(2));
        for event in self.log.recorded().into_iter().take(events) {
            let expected = Expected::after(event.revision.0.checked_sub(1).map(Revision));
            restored.append(&event.stream, expected, event.envelope).await.unwrap();
        }
        let backup = LogId::from_uuid(self.log.id().await.unwrap());
        let fact = Fact::Log(LogEvent::Restored { backup, events: events.try_into().unwrap() });
        self.log = restored;
        self.commander(Service::Activation)
            .execute::<LogAggregate, std::convert::Infallible>(Stream::Log, self.command(), |_, _| {
                Ok(fact.clone())
            })
            .await
            .unwrap();
    }

    /// Starts a process on this log and this AWS, under the name that it always has.
    pub(crate) async fn start(&self) -> Process {
        self.start_as("activation-0").await
    }

    /// Starts a replica of this name.
    pub(crate) async fn start_as(&self, replica: &str) -> Process {
        let log: Arc<dyn EventLog> = Arc::new(self.log.clone());
        let clock_ahead = Arc::new(AtomicI64::new(0));
        let clock: SharedClock =
            Arc::new(LocalClock { house: self.clock.clone(), ahead: clock_ahead.clone() });
        let (projection, follower) = Projection::open(None, RequestsModel::default(), log.clone()).unwrap();
        let source: Arc<dyn DirectorySource> = match &self.directory {
            Some(source) => source.clone(),
            None => self.aws.clone(),
        };
        let directory = Arc::new(CachedDirectory::new(
            source,
            clock.clone(),
            self.entropy.clone(),
            RefreshPace::default(),
        ));
        let views = Views {
            policy: Arc::new(PolicyBook::new(log.clone()).unwrap()),
            log_id: LogId::from_uuid(log.id().await.unwrap()),
            log,
            requests: Requests::new(projection),
            directory: directory.clone(),
            keys: self.keys.clone(),
            authorities: Arc::new(Authorities {
                administrators: [group(sample::ADMINS)].into(),
                auditors: [group(sample::AUDITORS)].into(),
                raisers: BTreeSet::new(),
            }),
            clock: Arc::new(WatchedClock::new(clock, SKEW_MAX)),
            entropy: self.entropy.clone(),
        };
        let _ = directory.refresh().await;
        let line = Arc::new(Line {
            aws: self.aws.clone(),
            calls: AtomicUsize::new(0),
            changes: AtomicUsize::new(0),
            groups_asked: AtomicUsize::new(0),
            groups_hidden: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            lists_late: AtomicU64::new(0),
        });
        let settings = Settings { replica: Some(replica.to_owned()), ..self.settings.clone() };
        let ports = Ports::new(line.clone(), self.aws.clone()).with_federation(self.aws.clone());
        let ports = if self.account_access {
            ports.with_account_access(Arc::new(SimulatedAccountAccess::new(self.aws.clone())))
        } else {
            ports
        };
        let ports = self.meter.clone().into_iter().fold(ports, Ports::with_meter);
        let scps = self.scps.clone().map(|scps| scps as Arc<dyn aws::SessionDenials>);
        let ports = ports.with_session_denials(scps);
        let service = ActivationService::new(views.clone(), ports, settings);
        let shutdown = CancellationToken::new();
        let running = service.clone();
        let until = shutdown.clone();
        let valve = Arc::new(Valve::default());
        let tasks = vec![
            tokio::spawn(behind(valve.clone(), async move { running.run(until).await })),
            tokio::spawn(behind(valve.clone(), follower.run(std::future::pending()))),
            tokio::spawn(behind(valve.clone(), async move { directory.run(|_| {}).await })),
        ];
        Process { service, views, line, clock_ahead, valve, shutdown, tasks }
    }

    /// Lets time pass until `seconds` after the beginning.
    pub(crate) async fn at(&self, seconds: i64) {
        let left = instant(seconds).duration_since(self.clock.now());
        tokio::time::sleep(left.max(SignedDuration::ZERO).unsigned_abs()).await;
    }

    async fn record(&self, service: Service, id: RequestId, actor: Option<Actor>, fact: RequestEvent) {
        let command = Command { actor, ..self.command() };
        self.commander(service)
            .execute::<RequestAggregate, std::convert::Infallible>(Stream::Request(id), command, |_, _| {
                Ok(Fact::Request(fact.clone()))
            })
            .await
            .unwrap();
    }

    /// Ada asks for a target.
    pub(crate) async fn ask(&self, target: &Target) -> RequestId {
        self.ask_extending(target, None).await
    }

    /// Ada asks for a target, for longer than `extends` gives it.
    async fn ask_extending(&self, target: &Target, extends: Option<RequestId>) -> RequestId {
        self.ask_as(("ada", sample::ADA), target, extends).await
    }

    /// Someone asks for a target.
    async fn ask_as(
        &self,
        (name, principal): (&str, &str),
        target: &Target,
        extends: Option<RequestId>,
    ) -> RequestId {
        let number = self.asked.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let id = RequestId::from_parts([b"test".as_slice(), &number]);
        let (rule, provider) = match target.entitlement() {
            domain::Entitlement::PermissionSet(_) => ("read-only", Provider::IdentityCenter),
            domain::Entitlement::Role(_) if *target == role_for_users() => {
                ("role-for-users", Provider::AccountAccess)
            }
            domain::Entitlement::Role(_) => ("role", Provider::Sts),
        };
        let requester = person(name);
        let [asking, agreeing] = self.groups.clone();
        let key = self.keys.obtain(&requester.id()).await.unwrap();
        let raised = Requested {
            id,
            raiser: human(name),
            raiser_principal: None,
            target: target.clone(),
            asked: AskedWindow { start: None, duration: SignedDuration::from_hours(1) },
            ticket: None,
            justification: key
                .seal(&views::resource::justification_place(&id), "pager", &*self.entropy)
                .unwrap(),
            emergency: false,
            extends,
            chain_duration: SignedDuration::from_hours(1),
            batch: None,
            decide_by: self.clock.now().checked_add(SignedDuration::from_hours(24)).unwrap(),
            grounds: Grounds {
                rule: domain::RuleId::new(rule).unwrap(),
                policy_event: self.policy_event.lock().unwrap().unwrap(),
                determining: vec![format!("rule/{rule}")],
                provider,
                groups: [asking].into(),
                ou_path: OuPath(Vec::new()),
                plan: Plan {
                    steps: vec![Step { count: 1, groups: [agreeing].into(), people: BTreeSet::new() }],
                },
                principal: Some(PrincipalId::new(principal).unwrap()),
            },
            requester,
        };
        self.record(Service::Request, id, Some(human(name)), RequestEvent::Requested(Box::new(raised))).await;
        id
    }

    /// Bob approves it, for a window in seconds after the beginning.
    pub(crate) async fn approve(&self, id: RequestId, start: i64, end: i64) {
        let [_, agreeing] = self.groups.clone();
        let approvers = vec![Endorsement {
            approver: human("bob"),
            principal: Some(PrincipalId::new(sample::BOB).unwrap()),
            groups: [agreeing].into(),
            at: self.clock.now(),
        }];
        let approved = self.approved(ApprovalBasis::People, approvers, start, end);
        self.record(Service::Approval, id, Some(human("bob")), RequestEvent::Approved(approved)).await;
    }

    /// Its rule asks nobody.
    pub(crate) async fn approve_by_rule(&self, id: RequestId, start: i64, end: i64) {
        let approved = self.approved(ApprovalBasis::Rule, Vec::new(), start, end);
        self.record(Service::Approval, id, None, RequestEvent::Approved(approved)).await;
    }

    fn approved(&self, basis: ApprovalBasis, approvers: Vec<Endorsement>, start: i64, end: i64) -> Approved {
        Approved {
            window: Window::new(instant(start), instant(end)).unwrap(),
            basis,
            approvers,
            policy_event: self.policy_event.lock().unwrap().unwrap(),
            comment: None,
        }
    }

    /// Ada asks and Bob approves.
    pub(crate) async fn grant(&self, target: &Target, start: i64, end: i64) -> RequestId {
        let id = self.ask(target).await;
        self.approve(id, start, end).await;
        id
    }

    /// Someone, and who that is in AWS, asks, and Bob approves.
    pub(crate) async fn grant_to(
        &self,
        who: (&str, &str),
        target: &Target,
        start: i64,
        end: i64,
    ) -> RequestId {
        let id = self.ask_as(who, target, None).await;
        self.approve(id, start, end).await;
        id
    }

    /// Ada asks for more time, and Bob approves.
    pub(crate) async fn extend(&self, of: RequestId, target: &Target, start: i64, end: i64) -> RequestId {
        let id = self.ask_extending(target, Some(of)).await;
        self.approve(id, start, end).await;
        id
    }

    /// Writes what nobody can read to a request's stream.
    pub(crate) async fn garble(&self, id: RequestId) {
        let stream = Stream::Request(id).to_string().parse().unwrap();
        let last = self.commander(Service::Activation).load::<RequestAggregate>(&Stream::Request(id)).await;
        let envelope = Envelope {
            event_id: *self.command().event_id.as_uuid(),
            writer: Writer::new(Service::Activation.as_str()).unwrap(),
            body: b"garbage".as_slice().into(),
        };
        let expected = Expected::after(last.unwrap().revision);
        self.log.append(&stream, expected, envelope).await.unwrap();
    }

    /// Writes what nobody can read to what is denied in an account.
    pub(crate) async fn garble_denials(&self, account: &AccountId) {
        let stream = Stream::Denial(account.clone());
        let last = self.commander(Service::Activation).load::<DenialAggregate>(&stream).await;
        let envelope = Envelope {
            event_id: *self.command().event_id.as_uuid(),
            writer: Writer::new(Service::Activation.as_str()).unwrap(),
            body: b"garbage".as_slice().into(),
        };
        let expected = Expected::after(last.unwrap().revision);
        self.log.append(&stream.to_string().parse().unwrap(), expected, envelope).await.unwrap();
    }

    /// Ada takes it back.
    pub(crate) async fn withdraw(&self, id: RequestId) {
        self.record(Service::Request, id, Some(human("ada")), RequestEvent::Withdrawn).await;
    }

    /// Another process closes it.
    pub(crate) async fn close(&self, id: RequestId, how: ClosedHow) {
        self.record(Service::Activation, id, None, RequestEvent::Closed(how.into())).await;
    }

    /// A request, as the log has it.
    pub(crate) async fn request(&self, id: RequestId) -> Request {
        let loaded = self.commander(Service::Activation).load::<RequestAggregate>(&Stream::Request(id)).await;
        loaded.unwrap().state.clone().unwrap()
    }

    pub(crate) async fn is_active(&self, id: RequestId) -> bool {
        self.request(id).await.approved().is_ok_and(|(_, active)| active.is_some())
    }

    /// Why and how it is over.
    pub(crate) async fn over(&self, id: RequestId) -> Option<(EndReason, Closure)> {
        match self.request(id).await.phase {
            Phase::Ended { because, closure, .. } => Some((because, closure)),
            Phase::Pending | Phase::Expired { .. } | Phase::Rejected { .. } | Phase::Approved { .. } => None,
        }
    }

    /// How it was closed.
    pub(crate) async fn closed(&self, id: RequestId) -> Option<ClosedHow> {
        match self.over(id).await {
            Some((_, Closure::Closed { how, .. })) => Some(how),
            _ => None,
        }
    }

    pub(crate) async fn ledger(&self, key: &AssignmentKey) -> Option<Ledger> {
        let stream = Stream::assignment(key);
        let loaded = self.commander(Service::Activation).load::<AssignmentAggregate>(&stream).await;
        loaded.unwrap().state.clone()
    }

    /// Writes to a ledger as a process did that died since.
    pub(crate) async fn write_ledger(&self, key: &AssignmentKey, fact: AssignmentEvent) -> EventId {
        let command = self.command();
        let id = command.event_id;
        self.commander(Service::Activation)
            .execute::<AssignmentAggregate, std::convert::Infallible>(
                Stream::assignment(key),
                command,
                |_, _| Ok(Fact::Assignment(fact.clone())),
            )
            .await
            .unwrap();
        id
    }

    /// Writes to what is denied in an account as a process did that died since.
    pub(crate) async fn write_denials(&self, account: &AccountId, fact: DenialEvent) {
        let stream = Stream::Denial(account.clone());
        self.commander(Service::Activation)
            .execute::<DenialAggregate, std::convert::Infallible>(stream, self.command(), |_, _| {
                Ok(Fact::Denial(fact.clone()))
            })
            .await
            .unwrap();
    }

    /// A replica of this name takes the duty over, and is not heard of any more.
    pub(crate) async fn claim(&self, replica: &str) {
        let stream = Stream::Duty(journal::types::ACTIVATION_DUTY.to_owned());
        let fact = Fact::Duty(DutyClaimed { holder: replica.to_owned() });
        self.commander(Service::Activation)
            .execute::<DutyAggregate, std::convert::Infallible>(stream, self.command(), |_, _| {
                Ok(fact.clone())
            })
            .await
            .unwrap();
    }

    /// Every event, oldest first.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.log.recorded().iter().map(|recorded| journal::decode(&recorded.envelope.body).unwrap()).collect()
    }

    /// Who claimed the duty, one after the other.
    pub(crate) fn claims(&self) -> Vec<String> {
        let recorded = self.log.recorded();
        let readable = recorded.iter().filter_map(|recorded| journal::decode(&recorded.envelope.body).ok());
        let mut claims = Vec::new();
        for event in readable {
            if let Fact::Duty(claimed) = event.fact {
                claims.push(claimed.holder);
            }
        }
        claims
    }

    /// SCIM deletes Ada's user.
    pub(crate) fn ada_leaves(&self) {
        let ada = PrincipalId::new(sample::ADA).unwrap();
        self.aws.change_directory(|contents| {
            contents.users.remove(&ada);
            contents.memberships.remove(&ada);
        });
    }

    /// Adds accounts to the organisation; says their ids.
    pub(crate) fn many_accounts(&self, count: usize) -> Vec<String> {
        let accounts: Vec<String> = (0..count).map(|nth| format!("7{nth:011}")).collect();
        self.aws.change_directory(|contents| {
            let like = contents.accounts.get(&AccountId::new(sample::WEB_DEV).unwrap()).unwrap().clone();
            for account in &accounts {
                contents.accounts.insert(AccountId::new(account).unwrap(), like.clone());
            }
        });
        accounts
    }

    /// Adds permission sets, and an account to have them in; says their ARNs.
    pub(crate) fn many_permission_sets(&self, count: usize) -> Vec<String> {
        let sets: Vec<String> = (0..count)
            .map(|nth| format!("arn:aws:sso:::permissionSet/ssoins-1111111111111111/ps-{nth:016}"))
            .collect();
        self.aws.change_directory(|contents| {
            let like = contents.permission_sets.values().next().unwrap().clone();
            for set in &sets {
                contents.permission_sets.insert(domain::PermissionSetArn::new(set).unwrap(), like.clone());
            }
            let account = contents.accounts.get(&AccountId::new(sample::WEB_DEV).unwrap()).unwrap().clone();
            contents.accounts.insert(AccountId::new("799999999999").unwrap(), account);
        });
        sets
    }

    /// The calls of this kind that AWS got.
    pub(crate) fn calls(&self, operation: aws::simulated::Operation) -> usize {
        self.aws.calls().iter().filter(|record| record.call.operation() == operation).count()
    }

    pub(crate) fn has(&self, key: &AssignmentKey) -> bool {
        self.aws.has(&aws_key(key))
    }
}

pub(crate) fn instant(seconds: i64) -> Timestamp {
    epoch().checked_add(SignedDuration::from_secs(seconds)).unwrap()
}

pub(crate) fn person(name: &str) -> Person {
    Person::new(ISSUER, name).unwrap()
}

pub(crate) fn human(name: &str) -> Actor {
    Actor { person: person(name), kind: ActorKind::Human, client_id: None, auth_time: None, acr: None }
}

pub(crate) fn group(id: &str) -> GroupRef {
    GroupRef::new("identity-store", id).unwrap()
}

/// `ReadOnly` in web-prod, by assignment.
pub(crate) fn permission_set() -> Target {
    Target::parse(sample::WEB_PROD, sample::READ_ONLY).unwrap()
}

/// `ReadOnly` in web-prod, by role.
pub(crate) fn role() -> Target {
    Target::parse(sample::WEB_PROD, sample::role(sample::WEB_PROD, "ReadOnly").unwrap().as_str()).unwrap()
}

/// `Administrator` in web-prod, by Account Access Manager.
pub(crate) fn role_for_users() -> Target {
    let role = sample::role(sample::WEB_PROD, "Administrator").unwrap();
    Target::parse(sample::WEB_PROD, role.as_str()).unwrap()
}

/// Ada's assignment.
pub(crate) fn key_of(target: &Target) -> AssignmentKey {
    AssignmentKey { principal: PrincipalId::new(sample::ADA).unwrap(), target: target.clone() }
}

pub(crate) fn aws_key(key: &AssignmentKey) -> aws::AssignmentKey {
    aws::AssignmentKey::of_target(key.principal.clone(), &key.target)
}

pub(crate) fn wire_key(key: &AssignmentKey) -> wire::AssignmentKey {
    wire::AssignmentKey {
        principal_id: key.principal.to_string(),
        target: Some(views::wire::target(&key.target)),
    }
}

/// A call by the person of this name, as the gate lets it through.
pub(crate) fn call<T>(name: &str, message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.extensions_mut().insert(Call {
        caller: Caller {
            actor: human(name),
            groups: Some(Groups::Known(BTreeSet::new())),
            directory_id: Some(DirectoryId::External(name.to_owned())),
            expires_at: Timestamp::MAX,
        },
        roles: service_runtime::roles::Held::default(),
        trace_parent: None,
    });
    request
}

impl Process {
    pub(crate) async fn issue(
        &self,
        name: &str,
        id: RequestId,
        key: &str,
        seconds: Option<i64>,
    ) -> Result<wire::IssueCredentialsResponse, tonic::Status> {
        let asked = wire::IssueCredentialsRequest {
            idempotency_key: key.to_owned(),
            request_id: id.to_string(),
            duration: seconds.map(|seconds| prost_types::Duration { seconds, nanos: 0 }),
        };
        Ok(Rpcs::issue_credentials(&self.service, call(name, asked)).await?.into_inner())
    }

    pub(crate) async fn abandon(
        &self,
        name: &str,
        assignment: &AssignmentKey,
        key: &str,
    ) -> Result<wire::AbandonAssignmentResponse, tonic::Status> {
        let asked = wire::AbandonAssignmentRequest {
            idempotency_key: key.to_owned(),
            key: Some(wire_key(assignment)),
            comment: "the account is closed".to_owned(),
        };
        Ok(Rpcs::abandon_assignment(&self.service, call(name, asked)).await?.into_inner())
    }

    pub(crate) async fn reconcile(
        &self,
        name: &str,
        assignment: Option<&AssignmentKey>,
        adopt: bool,
    ) -> Result<wire::ReconcileResponse, tonic::Status> {
        let asked = wire::ReconcileRequest {
            idempotency_key: "reconcile".to_owned(),
            key: assignment.map(wire_key),
            adopt,
        };
        Ok(Rpcs::reconcile(&self.service, call(name, asked)).await?.into_inner())
    }

    pub(crate) async fn revoke(
        &self,
        name: &str,
        id: RequestId,
    ) -> Result<wire::RevokeAccessResponse, tonic::Status> {
        let asked = wire::RevokeAccessRequest {
            idempotency_key: "revoke".to_owned(),
            request_id: id.to_string(),
            comment: "enough".to_owned(),
        };
        Ok(Rpcs::revoke_access(&self.service, call(name, asked)).await?.into_inner())
    }
}

/// The reason that a refusal tells programs.
pub(crate) fn reason(status: &tonic::Status) -> String {
    use tonic_types::StatusExt as _;
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

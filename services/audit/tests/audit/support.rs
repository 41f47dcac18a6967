//! A log with a history, a service over it, and an auditor who asks.

use api::audit::v1::audit_service_client::AuditServiceClient;
use api::audit::v1::{Event, EventFilter, Place, place};
use audit::AuditService;
use aws::simulated::{Behaviour, SimulatedAws};
use aws::{CachedDirectory, RefreshPace};
use domain::ports::{Clock, Entropy, SharedClock, SharedEntropy};
use domain::{
    Actor, ActorKind, AskedWindow, Endorsement, EventId, Groups, LogId, OuPath, Person, Plan, PrincipalId,
    Provider, RequestId, RuleId, Sealed, SignedDuration, Step, Target, Ticket, Timestamp, Window,
};
use event_log::memory::MemoryLog;
use event_log::{Envelope, EventLog, Expected, Position, Recorded, Revision, Writer};
use identity::{AuthError, Caller};
use journal::key_store::{KeyStore, MemoryKeyStore};
use journal::{Fact, Service, Stream};
use lifecycle::RequestEvent;
use lifecycle::assignment::{AssignmentEvent, AssignmentKey, Operation};
use lifecycle::duty::DutyClaimed;
use lifecycle::event::{
    ApprovalBasis, Approved, Ended, EndedBecause, Endorsed, Grounds, Rejected, RejectedBecause, Requested,
    Revoked, RevokedAs,
};
use projection::Projection;
use service_runtime::config::RolesConfig;
use service_runtime::{Authenticate, Gate, Guarded, Roles};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use tonic::metadata::MetadataValue;
use tonic::{Request, Status};
use uuid::Uuid;
use views::resource::{comment_place, justification_place};
use views::{Authorities, PolicyBook, PositionToken, Requests, RequestsModel, Views};

pub(crate) const ISSUER: &str = "https://idp.example";
/// What requesters write; what nobody finds once its key is gone.
pub(crate) const WORDS: &str = "CANARY the pager went off";

pub(crate) struct Fixed;
impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        at(1_000_000)
    }
}

#[derive(Default)]
struct Different(AtomicU8);
impl Entropy for Different {
    fn fill(&self, bytes: &mut [u8]) {
        let round = self.0.fetch_add(1, Ordering::Relaxed);
        (0..).zip(bytes).for_each(|(i, byte): (u8, _)| *byte = 0x5a ^ round ^ i.wrapping_mul(7));
    }
}

/// The bearer token is the name; its first part is the group.
struct Tokens;
#[async_trait::async_trait]
impl Authenticate for Tokens {
    async fn authenticate(&self, bearer: &str) -> Result<Caller, AuthError> {
        Ok(Caller {
            actor: human(bearer),
            groups: Some(Groups::Known([format!("corp:{bearer}").parse().unwrap()].into())),
            directory_id: None,
            expires_at: Timestamp::MAX,
        })
    }
}

/// Seconds into the story.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

pub(crate) fn person(name: &str) -> Person {
    Person::new(ISSUER, name).unwrap()
}

pub(crate) fn human(name: &str) -> Actor {
    Actor { person: person(name), kind: ActorKind::Human, client_id: None, auth_time: None, acr: None }
}

fn role(account: &str) -> Target {
    Target::parse(account, &format!("arn:aws:iam::{account}:role/Deploy")).unwrap()
}

pub(crate) fn request_id(name: &str) -> RequestId {
    RequestId::from_parts([name.as_bytes()])
}

pub(crate) struct World {
    pub(crate) log: MemoryLog,
    pub(crate) views: Views,
    pub(crate) service: AuditService,
    pub(crate) keys: Arc<MemoryKeyStore>,
    entropy: SharedEntropy,
    guarded: Guarded,
}

fn guard(service: &AuditService) -> Guarded {
    let config = RolesConfig { auditors: vec!["corp:auditor".into()], ..RolesConfig::default() };
    let gate = Gate::new(Arc::new(Tokens), Roles::new(&config).unwrap(), Arc::new(Fixed));
    Guarded::new(service.routes(), &gate, Duration::from_secs(30))
}

pub(crate) type Client = AuditServiceClient<tonic::service::interceptor::InterceptedService<Guarded, Bearer>>;

#[derive(Clone)]
pub(crate) struct Bearer(&'static str);
impl tonic::service::Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let value = MetadataValue::try_from(format!("Bearer {}", self.0)).unwrap();
        request.metadata_mut().insert("authorization", value);
        Ok(request)
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        let log = MemoryLog::with_id(Uuid::from_u128(7));
        let clock: SharedClock = Arc::new(Fixed);
        let entropy: SharedEntropy = Arc::new(Different::default());
        let shared: Arc<dyn EventLog> = Arc::new(log.clone());
        let (projection, follower) =
            Projection::open(None, RequestsModel::default(), Arc::clone(&shared)).unwrap();
        tokio::spawn(follower.run(std::future::pending()));
        let keys = Arc::new(MemoryKeyStore::new(Arc::clone(&entropy)));
        let aws =
            Arc::new(SimulatedAws::with_sample_organisation(clock.clone(), Behaviour::default(), ISSUER));
        let directory = CachedDirectory::new(aws, clock.clone(), entropy.clone(), RefreshPace::default());
        let views = Views {
            log_id: LogId::from_uuid(log.id().await.unwrap()),
            requests: Requests::new(projection),
            policy: Arc::new(PolicyBook::new(Arc::clone(&shared)).unwrap()),
            directory: Arc::new(directory),
            keys: keys.clone(),
            authorities: Arc::new(Authorities::default()),
            clock: clock.clone(),
            entropy: entropy.clone(),
            log: shared,
        };
        let (service, follower) = AuditService::open(views.clone(), None).unwrap();
        tokio::spawn(follower.run(std::future::pending()));
        let guarded = guard(&service);
        Self { log, views, service, keys, entropy, guarded }
    }

    /// The same world, asked through another service.
    pub(crate) fn with(&self, service: AuditService) -> Self {
        let (log, views) = (self.log.clone(), self.views.clone());
        let guarded = guard(&service);
        Self { log, views, service, keys: self.keys.clone(), entropy: self.entropy.clone(), guarded }
    }

    pub(crate) fn client(&self) -> Client {
        self.client_of("auditor")
    }

    pub(crate) fn client_of(&self, name: &'static str) -> Client {
        AuditServiceClient::with_interceptor(self.guarded.clone(), Bearer(name))
    }

    /// Once both read models have everything.
    pub(crate) async fn settle(&self) -> Position {
        self.views.requests.projection().reach_head().await.unwrap();
        self.service.events().projection().reach_head().await.unwrap()
    }

    pub(crate) fn token(&self, position: u64) -> String {
        PositionToken::new(self.views.log_id, Position(position)).to_string()
    }

    pub(crate) fn place(&self, position: u64) -> Place {
        Place { place: Some(place::Place::Position(self.token(position))) }
    }

    /// Appends to the end of a stream, as its writer would.
    pub(crate) async fn append(
        &self,
        stream: Stream,
        writer: Service,
        actor: Option<Actor>,
        seconds: i64,
        fact: Fact,
    ) -> Position {
        let before = self.of_stream(&stream.to_string());
        let event = journal::Event {
            id: EventId::from_parts([stream.to_string().as_bytes(), &before.len().to_be_bytes()]),
            stream: stream.clone(),
            at: at(seconds),
            writer,
            actor,
            previous: before.last().map(|last| EventId::from_uuid(last.envelope.event_id)),
            trace: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
            command_digest: Some([5; 32]),
            fact,
        };
        self.append_bytes(&stream.to_string(), writer.as_str(), *event.id.as_uuid(), journal::encode(&event))
            .await
    }

    /// Appends whatever these bytes are.
    pub(crate) async fn append_bytes(
        &self,
        stream: &str,
        writer: &str,
        event_id: Uuid,
        body: Vec<u8>,
    ) -> Position {
        let expected = Expected::after((self.of_stream(stream).len() as u64).checked_sub(1).map(Revision));
        let envelope = Envelope { event_id, writer: Writer::new(writer).unwrap(), body: body.into() };
        self.log.append(&stream.parse().unwrap(), expected, envelope).await.unwrap().position
    }

    fn of_stream(&self, stream: &str) -> Vec<Recorded> {
        self.log.recorded().into_iter().filter(|event| event.stream.as_str() == stream).collect()
    }

    async fn seal(&self, of: &Person, place: &str, text: &str) -> Sealed {
        self.keys.obtain(&of.id()).await.unwrap().seal(place, text, self.entropy.as_ref()).unwrap()
    }

    async fn comment(&self, of: &str, request: &str, revision: usize, text: &str) -> Sealed {
        let stream = Stream::Request(request_id(request)).to_string();
        let event = EventId::from_parts([stream.as_bytes(), &revision.to_be_bytes()]);
        self.seal(&person(of), &comment_place(&event), text).await
    }

    pub(crate) async fn on_request(
        &self,
        name: &str,
        writer: Service,
        actor: Option<Actor>,
        seconds: i64,
        fact: RequestEvent,
    ) -> Position {
        self.append(Stream::Request(request_id(name)), writer, actor, seconds, Fact::Request(fact)).await
    }

    pub(crate) async fn raise(&self, name: &str, requester: &str, account: &str, seconds: i64) -> Position {
        let id = request_id(name);
        let raising = Requested {
            id,
            requester: person(requester),
            raiser: human(requester),
            raiser_principal: None,
            target: role(account),
            asked: AskedWindow { start: None, duration: SignedDuration::from_hours(1) },
            ticket: Some(Ticket::new("OPS-1234").unwrap()),
            justification: self.seal(&person(requester), &justification_place(&id), WORDS).await,
            emergency: false,
            extends: None,
            chain_duration: SignedDuration::from_hours(1),
            batch: None,
            decide_by: at(seconds + 86_400),
            grounds: Grounds {
                rule: RuleId::new("on-call").unwrap(),
                policy_event: EventId::from_parts([b"policy".as_slice()]),
                determining: vec!["on-call".into()],
                provider: Provider::Sts,
                groups: BTreeSet::new(),
                ou_path: OuPath::default(),
                plan: Plan {
                    steps: vec![Step { count: 1, groups: BTreeSet::new(), people: [person("bob")].into() }],
                },
                principal: None,
            },
        };
        let fact = RequestEvent::Requested(Box::new(raising));
        self.on_request(name, Service::Request, Some(human(requester)), seconds, fact).await
    }

    pub(crate) async fn approve(&self, name: &str, seconds: i64, revision: usize) -> Position {
        let endorsement =
            Endorsement { approver: human("bob"), principal: None, groups: BTreeSet::new(), at: at(seconds) };
        let approved = Approved {
            window: Window::new(at(seconds), at(seconds + 3_600)).unwrap(),
            basis: ApprovalBasis::People,
            approvers: vec![endorsement],
            policy_event: EventId::from_parts([b"policy".as_slice()]),
            comment: Some(self.comment("bob", name, revision, "go ahead").await),
        };
        self.on_request(
            name,
            Service::Approval,
            Some(human("bob")),
            seconds,
            RequestEvent::Approved(approved),
        )
        .await
    }

    pub(crate) async fn end(&self, name: &str, seconds: i64) -> Position {
        let ended = RequestEvent::Ended(Ended { because: EndedBecause::Elapsed });
        self.on_request(name, Service::Activation, None, seconds, ended).await
    }

    /// Twenty events of four requests, an assignment and a duty; two of them out of the order of time.
    pub(crate) async fn history(&self) {
        let one = "111111111111";
        let two = "222222222222";
        self.raise("a", "ada", one, 0).await;
        self.raise("b", "eve", two, 10).await;
        self.approve("a", 20, 1).await;
        self.claim(15).await;
        let endorsed = Endorsed {
            endorsement: Endorsement {
                approver: human("carol"),
                principal: None,
                groups: BTreeSet::new(),
                at: at(30),
            },
            policy_event: EventId::from_parts([b"policy".as_slice()]),
            comment: Some(self.comment("carol", "b", 1, "one of two").await),
        };
        let endorsed = RequestEvent::Endorsed(endorsed);
        self.on_request("b", Service::Approval, Some(human("carol")), 30, endorsed).await;
        self.approve("b", 40, 2).await;
        let key = AssignmentKey {
            principal: PrincipalId::new("9067e7a1-0000-4000-8000-000000000002").unwrap(),
            target: Target::parse(
                one,
                "arn:aws:sso:::permissionSet/ssoins-1234567890abcdef/ps-1234567890abcdef",
            )
            .unwrap(),
        };
        let ledger = Stream::assignment(&key);
        let attempted = AssignmentEvent::Attempted { key, operation: Operation::Create, deadline: at(110) };
        self.append(ledger.clone(), Service::Activation, None, 50, Fact::Assignment(attempted)).await;
        let confirmed = AssignmentEvent::Confirmed { attempt: EventId::from_parts([b"x".as_slice()]) };
        self.append(ledger, Service::Activation, None, 60, Fact::Assignment(confirmed)).await;
        self.raise("c", "ada", two, 70).await;
        let rejected = Rejected {
            because: RejectedBecause::Approver { comment: Some(self.comment("bob", "c", 1, "no").await) },
            policy_event: None,
        };
        self.on_request("c", Service::Approval, Some(human("bob")), 80, RequestEvent::Rejected(rejected))
            .await;
        self.end("a", 90).await;
        self.claim(85).await;
        self.raise("d", "ada", one, 100).await;
        self.approve("d", 110, 1).await;
        let revoked = Revoked {
            capacity: RevokedAs::Requester,
            comment: Some(self.comment("ada", "d", 2, "done").await),
            signal: None,
        };
        self.on_request("d", Service::Activation, Some(human("ada")), 120, RequestEvent::Revoked(revoked))
            .await;
        for seconds in [130, 140, 150, 160, 170] {
            self.claim(seconds).await;
        }
        self.settle().await;
    }

    async fn claim(&self, seconds: i64) {
        let claimed = Fact::Duty(DutyClaimed { holder: format!("audit-{seconds}") });
        self.append(Stream::Duty("tree-heads".into()), Service::Audit, None, seconds, claimed).await;
    }
}

pub(crate) fn when(seconds: i64) -> Place {
    Place { place: Some(place::Place::Time(time(seconds))) }
}

pub(crate) fn time(seconds: i64) -> prost_types::Timestamp {
    views::wire::time(at(seconds))
}

pub(crate) fn filter() -> EventFilter {
    EventFilter::default()
}

/// What identifies the events of an answer.
pub(crate) fn ids(events: &[Event]) -> Vec<String> {
    events.iter().map(|event| event.event_id.clone()).collect()
}

/// The same of what the log holds.
pub(crate) fn recorded_ids<'a>(events: impl IntoIterator<Item = &'a Recorded>) -> Vec<String> {
    events.into_iter().map(|event| event.envelope.event_id.to_string()).collect()
}

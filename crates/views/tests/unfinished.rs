//! What is approved or closing, in the order in which it needs something.

#![expect(clippy::unwrap_used, reason = "tests")]

use aws::simulated::sample;
use command::aggregate::RequestAggregate;
use command::{Command, Commander};
use domain::ports::Clock;
use domain::{
    Actor, ActorKind, AskedWindow, Endorsement, EventId, GroupRef, OuPath, Person, Plan, PrincipalId,
    Provider, RequestId, RuleId, Sealed, SignedDuration, Step, Target, Timestamp, Window,
};
use event_log::EventLog;
use event_log::memory::MemoryLog;
use journal::{Fact, Service, Stream};
use lifecycle::RequestEvent;
use lifecycle::assignment::AssignmentKey;
use lifecycle::event::{
    Activated, ApprovalBasis, Approved, Bound, ClosedHow, Ended, EndedBecause, Grounds, Requested,
};
use projection::Projection;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use views::{Requests, RequestsModel};

#[tokio::test(start_paused = true)]
async fn what_is_unfinished_comes_by_when_it_needs_something() {
    let log = MemoryLog::with_id(uuid::Uuid::from_u128(1));
    ask(&log, 1, 1).await;
    let starting = ask(&log, 2, 2).await;
    approve(&log, starting, 300, 400).await;
    let ending = open(&log, 3, 2, 200).await;
    let closing = open(&log, 4, 4, 500).await;
    let closed = open(&log, 5, 2, 500).await;
    for id in [closing, closed] {
        let ended = RequestEvent::Ended(Ended { because: EndedBecause::RemovedOutside });
        record(&log, Service::Activation, id, "end", ended).await;
    }
    let gone = RequestEvent::Closed(ClosedHow::Deleted.into());
    record(&log, Service::Activation, closed, "close", gone).await;

    let requests = read(&log).await;
    let ids = |stories: Vec<views::Story>| -> Vec<RequestId> {
        stories.into_iter().map(|story| story.request.raised.id).collect()
    };
    let (first, next) = requests.unfinished(None, 2).unwrap();
    assert_eq!(ids(first), [closing, ending]);
    assert_eq!(next, Some((at(200).as_millisecond(), ending)));
    let (rest, next) = requests.unfinished(next, 2).unwrap();
    assert_eq!((ids(rest), next), (vec![starting], None));

    let about: BTreeSet<RequestId> = ids(requests.unfinished_about(&key(2)).unwrap()).into_iter().collect();
    assert_eq!(about, BTreeSet::from([starting, ending]));
    assert!(requests.unfinished_about(&key(1)).unwrap().is_empty(), "it is pending");
}

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        at(0)
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

async fn record(log: &MemoryLog, service: Service, id: RequestId, step: &str, fact: RequestEvent) {
    let event_id = EventId::from_parts([id.as_bytes().as_slice(), step.as_bytes()]);
    let actor = Some(ada()).filter(|_| service != Service::Activation);
    Commander::new(Arc::new(log.clone()), service, Arc::new(Fixed))
        .execute::<RequestAggregate, Infallible>(
            Stream::Request(id),
            Command { event_id, actor, digest: None, trace: None },
            |_, _| Ok(Fact::Request(fact.clone())),
        )
        .await
        .unwrap();
}

fn ada() -> Actor {
    let person = Person::new("https://idp.example", "ada").unwrap();
    Actor { person, kind: ActorKind::Human, client_id: None, auth_time: None, acr: None }
}

fn approvers() -> BTreeSet<GroupRef> {
    [GroupRef::new("identity-store", sample::APPROVERS).unwrap()].into()
}

/// Ada's assignment in the account of this number.
fn key(account: u64) -> AssignmentKey {
    AssignmentKey {
        principal: PrincipalId::new(sample::ADA).unwrap(),
        target: Target::parse(&format!("7{account:011}"), sample::READ_ONLY).unwrap(),
    }
}

/// Ada asks for access.
async fn ask(log: &MemoryLog, number: u64, account: u64) -> RequestId {
    let id = RequestId::from_parts([b"test".as_slice(), &number.to_be_bytes()]);
    let hour = SignedDuration::from_hours(1);
    let key = key(account);
    let requested = Requested {
        id,
        requester: ada().person,
        raiser: ada(),
        raiser_principal: None,
        target: key.target,
        asked: AskedWindow { start: None, duration: hour },
        ticket: None,
        justification: Sealed { key_of: ada().person.id(), nonce: [0; 12], ciphertext: vec![0; 32] },
        emergency: false,
        extends: None,
        chain_duration: hour,
        batch: None,
        decide_by: at(86_400),
        grounds: Grounds {
            rule: RuleId::new("read-only").unwrap(),
            policy_event: EventId::from_parts([b"policy".as_slice()]),
            determining: vec!["rule/read-only".to_owned()],
            provider: Provider::IdentityCenter,
            groups: approvers(),
            ou_path: OuPath(Vec::new()),
            plan: Plan { steps: vec![Step { count: 1, groups: approvers(), people: BTreeSet::new() }] },
            principal: Some(key.principal),
        },
    };
    record(log, Service::Request, id, "ask", RequestEvent::Requested(Box::new(requested))).await;
    id
}

/// It is approved, and not begun.
async fn approve(log: &MemoryLog, id: RequestId, start: i64, end: i64) {
    let bob = Actor { person: Person::new("https://idp.example", "bob").unwrap(), ..ada() };
    let approved = Approved {
        window: Window::new(at(start), at(end)).unwrap(),
        basis: ApprovalBasis::People,
        approvers: vec![Endorsement {
            approver: bob,
            principal: Some(PrincipalId::new(sample::BOB).unwrap()),
            groups: approvers(),
            at: at(0),
        }],
        policy_event: EventId::from_parts([b"policy".as_slice()]),
        comment: None,
    };
    record(log, Service::Approval, id, "approve", RequestEvent::Approved(approved)).await;
}

/// Access that is there until `end`.
async fn open(log: &MemoryLog, number: u64, account: u64, end: i64) -> RequestId {
    let id = ask(log, number, account).await;
    approve(log, id, -3_600, end).await;
    let bound = Bound {
        at_end: at(end),
        after_early_end: SignedDuration::from_hours(1),
        chained: SignedDuration::ZERO,
    };
    let activated = Activated { provider: Provider::IdentityCenter, bound, standing: false };
    record(log, Service::Activation, id, "activate", RequestEvent::Activated(activated)).await;
    id
}

async fn read(log: &MemoryLog) -> Requests {
    let log: Arc<dyn EventLog> = Arc::new(log.clone());
    let (projection, follower) = Projection::open(None, RequestsModel::default(), log).unwrap();
    tokio::select! {
        () = follower.run(std::future::pending()) => {}
        () = projection.caught_up() => {}
    }
    Requests::new(projection)
}

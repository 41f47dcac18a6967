//! The policy in force is what the owner of the policy wrote, whatever else lies in its stream.

#![expect(clippy::unwrap_used, reason = "tests")]

use domain::{Actor, ActorKind, EventId, LogId, Person, Timestamp};
use event_log::memory::MemoryLog;
use event_log::{
    AppendError, Appended, Envelope, EventLog, EventStream, Expected, LogError, Position, Recorded, Revision,
    StreamName, Writer,
};
use futures::StreamExt as _;
use futures::future::join_all;
use journal::{DecodeError, Event, Fact, Service, Stream};
use policy::change::Applied;
use policy::{Policy, PolicyEvent};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use uuid::Uuid;
use views::PolicyBook;
use views::policy_book::PolicyUnknown;

fn applied() -> Event {
    applied_as(b"applied", None)
}

fn applied_as(id: &[u8], previous: Option<EventId>) -> Event {
    let person = Person::new("https://idp.example", "mallory").unwrap();
    let author = Actor { person, kind: ActorKind::Human, client_id: None, auth_time: None, acr: None };
    Event {
        id: EventId::from_parts([id]),
        stream: Stream::Policy,
        at: Timestamp::from_second(1_800_000_000).unwrap(),
        writer: Service::Approval,
        actor: Some(author.clone()),
        previous,
        trace: None,
        command_digest: None,
        fact: Fact::Policy(PolicyEvent::Applied(Applied {
            author_principal: None,
            base: previous,
            proposal: None,
            policy: Policy::default(),
            author,
            second: None,
            source_digest: [0; 32],
        })),
    }
}

/// What the book says of a policy stream in which the engine knows `event` as written by `writer` under `id`.
async fn answer(event: &Event, writer: &str, id: EventId) -> Result<EventId, PolicyUnknown> {
    let log = Arc::new(MemoryLog::with_id(*LogId::from_parts([b"test".as_slice()]).as_uuid()));
    let envelope = Envelope {
        event_id: *id.as_uuid(),
        writer: Writer::new(writer).unwrap(),
        body: journal::encode(event).into(),
    };
    let stream = Stream::Policy.to_string().parse().unwrap();
    log.append(&stream, Expected::NoStream, envelope).await.unwrap();
    PolicyBook::new(log).unwrap().current().await.map(|in_force| in_force.event)
}

#[tokio::test]
async fn a_policy_that_its_owner_wrote_is_in_force() {
    let event = applied();
    assert_eq!(answer(&event, "approval", event.id).await, Ok(event.id));
}

/// A service whose rights in the engine reach the stream, and which signs with the owner's name.
#[tokio::test]
async fn a_forged_policy_stops_decisions() {
    let event = applied();
    let misplaced = |field| Err(PolicyUnknown::Undecodable(DecodeError::Misplaced { field }));
    assert_eq!(answer(&event, "request", event.id).await, misplaced("writer"));
    let other = EventId::from_parts([b"other".as_slice()]);
    assert_eq!(answer(&event, "approval", other).await, misplaced("event_id"));
    let elsewhere = Event { stream: Stream::Duty("sweep".into()), ..event.clone() };
    assert_eq!(answer(&elsewhere, "approval", event.id).await, misplaced("stream"));
}

/// A log that takes its time to read, and counts.
struct SlowLog {
    log: MemoryLog,
    reads: AtomicUsize,
}

impl SlowLog {
    async fn with_policy() -> (Arc<Self>, Event) {
        let log = MemoryLog::with_id(*LogId::from_parts([b"test".as_slice()]).as_uuid());
        let (slow, event) = (Arc::new(Self { log, reads: AtomicUsize::new(0) }), applied());
        slow.write(&event, Expected::NoStream).await;
        (slow, event)
    }

    async fn write(&self, event: &Event, expected: Expected) {
        let envelope = Envelope {
            event_id: *event.id.as_uuid(),
            writer: Writer::new("approval").unwrap(),
            body: journal::encode(event).into(),
        };
        self.log.append(&event.stream.to_string().parse().unwrap(), expected, envelope).await.unwrap();
    }
}

#[async_trait::async_trait]
impl EventLog for SlowLog {
    async fn id(&self) -> Result<Uuid, LogError> {
        self.log.id().await
    }
    async fn append(
        &self,
        at: &StreamName,
        after: Expected,
        event: Envelope,
    ) -> Result<Appended, AppendError> {
        self.log.append(at, after, event).await
    }
    fn read_stream(&self, stream: &StreamName, after: Option<Revision>) -> EventStream {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let found = self.log.read_stream(stream, after);
        futures::stream::once(tokio::task::yield_now())
            .flat_map(|()| futures::stream::empty())
            .chain(found)
            .boxed()
    }
    fn read_all(&self, after: Position) -> EventStream {
        self.log.read_all(after)
    }
    fn subscribe(&self, after: Position) -> EventStream {
        self.log.subscribe(after)
    }
    async fn head(&self) -> Result<Position, LogError> {
        self.log.head().await
    }
    async fn event_at(&self, position: Position) -> Result<Option<Recorded>, LogError> {
        self.log.event_at(position).await
    }
}

#[tokio::test]
async fn calls_that_wait_for_each_other_share_a_reading() {
    let (log, event) = SlowLog::with_policy().await;
    let book = PolicyBook::new(log.clone()).unwrap();
    let answers = join_all((0..10).map(|_| book.current())).await;
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|in_force| in_force.event == event.id)));
    let reads = log.reads.load(Ordering::Relaxed);
    assert_eq!(reads, 2, "the first call's, and one for those that began while it was read");
}

#[tokio::test]
async fn a_change_acknowledged_before_a_call_counts_although_a_reading_was_under_way() {
    let (log, event) = SlowLog::with_policy().await;
    let book = PolicyBook::new(log.clone()).unwrap();
    let mut earlier = std::pin::pin!(book.current());
    assert!(futures::poll!(earlier.as_mut()).is_pending(), "it has begun to read");
    let change = applied_as(b"change", Some(event.id));
    log.write(&change, Expected::Exact(Revision(0))).await;
    let (_, later) = tokio::join!(earlier, book.current());
    assert_eq!(later.unwrap().event, change.id);
}

//! The policy in force is what the owner of the policy wrote, whatever else lies in its stream.

#![expect(clippy::unwrap_used, reason = "tests")]

use domain::{Actor, ActorKind, EventId, LogId, Person, Timestamp};
use event_log::memory::MemoryLog;
use event_log::{Envelope, EventLog as _, Expected, Writer};
use journal::{DecodeError, Event, Fact, Service, Stream};
use policy::change::Applied;
use policy::{Policy, PolicyEvent};
use std::sync::Arc;
use views::PolicyBook;
use views::policy_book::PolicyUnknown;

fn applied() -> Event {
    let person = Person::new("https://idp.example", "mallory").unwrap();
    let author = Actor { person, kind: ActorKind::Human, client_id: None, auth_time: None, acr: None };
    Event {
        id: EventId::from_parts([b"applied".as_slice()]),
        stream: Stream::Policy,
        at: Timestamp::from_second(1_800_000_000).unwrap(),
        writer: Service::Approval,
        actor: Some(author.clone()),
        previous: None,
        trace: None,
        command_digest: None,
        fact: Fact::Policy(PolicyEvent::Applied(Applied {
            author_principal: None,
            base: None,
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

//! Replays: the log itself, in its order, complete or visibly not.

use crate::support::{WORDS, World, filter, ids, person, recorded_ids, request_id, when};
use api::audit::v1::{Event, EventFilter, ListEventsRequest, ReplayRequest};
use event_log::memory::{AppendFault, Faults, ReadFault};
use event_log::{Envelope, StreamName};
use journal::key_store::KeyStore as _;
use journal::proto;
use prost::Message as _;
use tonic::{Code, Status};
use uuid::Uuid;

/// The events, and the last message's word for how far it went; or how it broke off, after how many.
async fn replay(world: &World, request: ReplayRequest) -> Result<(Vec<Event>, String), (usize, Status)> {
    let mut stream = world.client().replay(request).await.map_err(|status| (0, status))?.into_inner();
    let mut events = Vec::new();
    while let Some(message) = stream.message().await.map_err(|status| (events.len(), status))? {
        let Some(event) = message.event else {
            assert!(stream.message().await.unwrap().is_none(), "something after the last message");
            return Ok((events, message.complete_to));
        };
        events.push(event);
    }
    panic!("neither an error nor a last message");
}

#[tokio::test]
async fn a_replay_of_positions_equals_the_log() {
    let world = World::new().await;
    world.history().await;
    let recorded = world.log.recorded();
    let (events, complete_to) =
        replay(&world, ReplayRequest { with_envelope: true, ..Default::default() }).await.unwrap();
    assert_eq!(complete_to, world.token(20));
    for (event, recorded) in events.iter().zip(&recorded) {
        assert_eq!(event.envelope, recorded.envelope.body.to_vec());
        assert_eq!(event.position, world.token(recorded.position.0));
    }
    for (from, to) in [(0, 20), (0, 1), (5, 9), (19, 20), (20, 20), (7, 7)] {
        let request =
            ReplayRequest { from: Some(world.place(from)), to: Some(world.place(to)), ..Default::default() };
        let (events, complete_to) = replay(&world, request).await.unwrap();
        let range = usize::try_from(from).unwrap()..usize::try_from(to).unwrap();
        assert_eq!(ids(&events), recorded_ids(&recorded[range]), "({from}, {to}]");
        assert_eq!(complete_to, world.token(to));
    }
}

#[tokio::test]
async fn a_replay_by_time_goes_to_just_behind_every_earlier_event() {
    let world = World::new().await;
    world.history().await;
    let recorded = world.log.recorded();
    // The event of second 15 is fourth, behind that of second 20.
    for (time, place) in [(0, 0), (1, 1), (15, 2), (16, 4), (21, 4), (90, 12), (91, 12), (1_000, 20)] {
        let head =
            replay(&world, ReplayRequest { to: Some(when(time)), ..Default::default() }).await.unwrap();
        let tail =
            replay(&world, ReplayRequest { from: Some(when(time)), ..Default::default() }).await.unwrap();
        assert_eq!(ids(&head.0), recorded_ids(&recorded[..place]), "to {time}");
        assert_eq!(ids(&tail.0), recorded_ids(&recorded[place..]), "from {time}");
        assert_eq!(head.1, world.token(place as u64));
    }
}

#[tokio::test]
async fn a_filtered_replay_holds_the_same_events_as_the_list() {
    let world = World::new().await;
    world.history().await;
    let filters = [
        EventFilter { stream: format!("request-{}", request_id("b")), ..filter() },
        EventFilter { event_types: vec!["request.approved.v1".into()], ..filter() },
        EventFilter { account_id: "222222222222".into(), ..filter() },
        EventFilter { actor: Some(views::wire::person(&person("ada"))), ..filter() },
    ];
    for filter in filters {
        let request = ListEventsRequest { filter: Some(filter.clone()), ..Default::default() };
        let mut listed = ids(&world.client().list_events(request).await.unwrap().into_inner().events);
        listed.reverse();
        let (events, complete_to) =
            replay(&world, ReplayRequest { filter: Some(filter), ..Default::default() }).await.unwrap();
        assert!(!listed.is_empty());
        assert_eq!(ids(&events), listed);
        assert_eq!(complete_to, world.token(20));
    }
}

#[tokio::test]
async fn sealed_text_is_opened_until_its_key_is_erased_and_the_event_stays() {
    let world = World::new().await;
    world.history().await;
    let shown = async || {
        let (events, _) = replay(&world, ReplayRequest::default()).await.unwrap();
        let texts = events.into_iter().map(|event| {
            serde_json::Value::Object(api::structs::to_json(event.payload.unwrap())).to_string()
        });
        texts.collect::<Vec<_>>()
    };
    let before = shown().await;
    assert!(before[0].contains(WORDS));
    for comment in ["go ahead", "one of two", "\"no\"", "done"] {
        assert!(before.iter().any(|payload| payload.contains(comment)), "{comment}");
    }
    assert!(world.keys.erase(&person("ada").id()).await.unwrap());
    let after = shown().await;
    assert_eq!(after.len(), before.len());
    assert!(after.iter().all(|payload| !payload.contains("done")));
    assert!(!after[0].contains(WORDS) && after[0].contains("OPS-1234"));
    assert!(after[1].contains(WORDS), "eve's words went with ada's key");
}

#[tokio::test]
async fn a_replay_of_one_stream_keeps_to_its_range() {
    let world = World::new().await;
    world.history().await;
    let filter = EventFilter { stream: format!("request-{}", request_id("a")), ..filter() };
    // Its events are at 1, 3 and 11.
    for (from, to, expected) in [(0, 20, 3), (1, 20, 2), (1, 3, 1), (2, 11, 2), (3, 10, 0), (11, 20, 0)] {
        let request = ReplayRequest {
            filter: Some(filter.clone()),
            from: Some(world.place(from)),
            to: Some(world.place(to)),
            ..Default::default()
        };
        let (events, complete_to) = replay(&world, request).await.unwrap();
        assert_eq!((events.len(), complete_to), (expected, world.token(to)), "({from}, {to}]");
    }
}

/// What cannot be decoded: no envelope, an unknown type, a writer that does not own the type.
async fn add_poison(world: &World) {
    let envelope = |stream: &str, name: &str, writer: &str, id: u128| {
        proto::Envelope {
            event_id: Uuid::from_u128(id).to_string(),
            stream: stream.into(),
            r#type: name.into(),
            time: Some(crate::support::time(175)),
            writer: writer.into(),
            ..proto::Envelope::default()
        }
        .encode_to_vec()
    };
    let a = format!("request-{}", request_id("a"));
    world.append_bytes(&a, "approval", Uuid::from_u128(1), vec![0xff; 40]).await;
    let body = envelope("duty-x", "duty.dreamt.v9", "audit", 2);
    world.append_bytes("duty-x", "audit", Uuid::from_u128(2), body).await;
    let body = envelope(&a, "request.approved.v1", "audit", 3);
    world.append_bytes(&a, "audit", Uuid::from_u128(3), body).await;
    world.settle().await;
}

#[tokio::test]
async fn undecodable_events_are_delivered_and_say_why() {
    let world = World::new().await;
    world.history().await;
    add_poison(&world).await;
    let request = ReplayRequest { with_envelope: true, from: Some(world.place(20)), ..Default::default() };
    let (events, complete_to) = replay(&world, request).await.unwrap();
    assert_eq!((events.len(), complete_to), (3, world.token(23)));
    for event in &events {
        assert!(!event.undecodable.is_empty());
        assert!(event.payload.is_none() && !event.envelope.is_empty());
    }
    assert_eq!(events[0].event_type, "");
    assert_eq!(events[1].event_type, "duty.dreamt.v9");
    assert!(events[2].undecodable.contains("may not write"), "{}", events[2].undecodable);

    // What cannot be told apart is not left out: neither here nor there.
    let filters = [
        EventFilter { event_types: vec!["request.withdrawn.v1".into()], ..filter() },
        EventFilter { account_id: "111111111111".into(), ..filter() },
        EventFilter { actor: Some(views::wire::person(&person("zoe"))), ..filter() },
    ];
    for filter in filters {
        let request =
            ReplayRequest { filter: Some(filter.clone()), from: Some(world.place(20)), ..Default::default() };
        let (events, _) = replay(&world, request).await.unwrap();
        assert!(ids(&events).contains(&Uuid::from_u128(1).to_string()));
        let request = ListEventsRequest {
            filter: Some(filter),
            from: Some(crate::support::time(161)),
            ..Default::default()
        };
        let listed = world.client().list_events(request).await.unwrap().into_inner().events;
        assert!(ids(&listed).contains(&Uuid::from_u128(1).to_string()));
    }
}

/// Lets so many steps of reading through.
struct BreakAfter(usize);
impl Faults for BreakAfter {
    fn append(&mut self, _: &StreamName, _: &Envelope) -> AppendFault {
        AppendFault::Proceed
    }
    fn read(&mut self) -> ReadFault {
        match self.0.checked_sub(1) {
            Some(left) => {
                self.0 = left;
                ReadFault::Proceed
            }
            None => ReadFault::Unavailable,
        }
    }
}

#[tokio::test]
async fn a_replay_that_is_cut_short_has_no_last_message() {
    let world = World::new().await;
    world.history().await;
    for steps in 0..21 {
        world.log.set_faults(Box::new(BreakAfter(steps)));
        let (seen, status) = replay(&world, ReplayRequest::default()).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        // The first step is the head of the log.
        assert_eq!(seen, steps.saturating_sub(1));
    }
    world.log.clear_faults();
    assert_eq!(replay(&world, ReplayRequest::default()).await.unwrap().0.len(), 20);
}

//! Requests as they stood then.

use crate::support::{World, at, request_id, when};
use api::audit::v1::{GetAsOfRequest, Place};
use api::types::v1 as types;
use domain::{SignedDuration, Timestamp};
use event_log::{Position, Recorded};
use journal::Service;
use lifecycle::RequestEvent;
use lifecycle::event::{Closed, ClosedHow};
use lifecycle::state::Status as State;
use std::collections::BTreeMap;
use tonic::Code;
use views::{Story, resource};

async fn shown(world: &World, stories: impl Iterator<Item = &Story>, now: Timestamp) -> Vec<types::Request> {
    let mut shown = Vec::new();
    for story in stories {
        let justification = resource::justification(world.keys.as_ref(), story).await;
        shown.push(resource::request(story, None, justification, now));
    }
    shown
}

/// Every request, folded from what was recorded up to a position.
fn fold(recorded: &[Recorded], to: u64) -> BTreeMap<String, Story> {
    let mut streams: BTreeMap<String, (Vec<journal::Event>, Position)> = BTreeMap::new();
    for event in recorded.iter().filter(|event| event.position.0 <= to && event.stream.kind() == "request") {
        let (events, position) =
            streams.entry(event.stream.id().to_owned()).or_insert((Vec::new(), Position::START));
        events.push(journal::decode(&event.envelope.body).unwrap());
        *position = event.position;
    }
    streams.into_iter().map(|(id, (events, to))| (id, Story::fold(events, to).unwrap())).collect()
}

async fn held(world: &World, at: Option<Place>, page_size: i32) -> (Vec<types::Request>, String) {
    let mut found = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = GetAsOfRequest { at: at.clone(), page_size, page_token, ..Default::default() };
        let answer = world.client().get_as_of(request).await.unwrap().into_inner();
        found.extend(answer.requests);
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            return (found, answer.position);
        }
    }
}

#[tokio::test]
async fn as_of_equals_the_fold_up_to_there() {
    let world = World::new().await;
    world.history().await;
    let recorded = world.log.recorded();
    for to in 1..=20_u64 {
        let now = journal::decode(&recorded[usize::try_from(to).unwrap() - 1].envelope.body).unwrap().at;
        let stories = fold(&recorded, to);
        for page_size in [0, 1] {
            let (mut found, position) = held(&world, Some(world.place(to)), page_size).await;
            assert_eq!(position, world.token(to));
            found.sort_by(|one, other| one.request_id.cmp(&other.request_id));
            let approved = stories.values().filter(|story| story.request.status() == State::Approved);
            assert_eq!(found, shown(&world, approved, now).await, "at {to}");
        }
        for name in ["a", "b", "c", "d"] {
            let request_id = request_id(name).to_string();
            let request = GetAsOfRequest {
                at: Some(world.place(to)),
                request_id: request_id.clone(),
                ..Default::default()
            };
            let answer = world.client().get_as_of(request).await;
            match stories.get(&request_id) {
                Some(story) => {
                    let expected = shown(&world, [story].into_iter(), now).await;
                    assert_eq!(answer.unwrap().into_inner().requests, expected);
                }
                None => assert_eq!(answer.unwrap_err().code(), Code::NotFound),
            }
        }
    }
}

#[tokio::test]
async fn as_of_a_time_is_as_of_its_place_at_that_time() {
    let world = World::new().await;
    world.history().await;
    let recorded = world.log.recorded();
    for (seconds, place) in [(1, 1), (21, 4), (45, 6), (90, 12), (115, 14), (500, 20)] {
        let stories = fold(&recorded, place);
        let (mut found, position) = held(&world, Some(when(seconds)), 1).await;
        found.sort_by(|one, other| one.request_id.cmp(&other.request_id));
        let approved = stories.values().filter(|story| story.request.status() == State::Approved);
        assert_eq!(found, shown(&world, approved, at(seconds)).await, "at {seconds}");
        assert_eq!(position, world.token(place));
    }
}

#[tokio::test]
async fn as_of_its_closing_a_request_says_how_long_access_was_left_past_its_end() {
    let world = World::new().await;
    world.raise("a", "ada", "111111111111", 0).await;
    world.approve("a", 20, 1).await;
    let ended = world.end("a", 90).await;
    // It was closed later than its assignment was gone.
    let closed = Closed { how: ClosedHow::Deleted, removed_at: Some(at(132)) };
    let closed = world.on_request("a", Service::Activation, None, 150, RequestEvent::Closed(closed)).await;
    world.settle().await;
    let left = views::wire::duration(SignedDuration::from_secs(42));
    for (position, past_end) in [(ended, None), (closed, Some(left))] {
        let request = GetAsOfRequest {
            at: Some(world.place(position.0)),
            request_id: request_id("a").to_string(),
            ..Default::default()
        };
        let answer = world.client().get_as_of(request).await.unwrap().into_inner();
        let told: Vec<_> = answer.requests.into_iter().map(|request| request.past_end).collect();
        assert_eq!(told, [past_end], "at {}", position.0);
    }
}

#[tokio::test]
async fn a_request_that_cannot_be_read_is_named_and_holds_up_no_other() {
    let world = World::new().await;
    world.history().await;
    world.raise("e", "ada", "111111111111", 200).await;
    world.approve("e", 210, 1).await;
    let b = format!("request-{}", request_id("b"));
    let end = world.append_bytes(&b, "approval", uuid::Uuid::from_u128(9), vec![0xff; 9]).await;
    world.settle().await;
    let request = GetAsOfRequest { at: Some(world.place(end.0)), ..Default::default() };
    let answer = world.client().get_as_of(request.clone()).await.unwrap();
    assert_eq!(answer.metadata().get("daypass-quarantined").unwrap(), b.as_str());
    assert_eq!(answer.into_inner().requests.len(), 1);
    let request = GetAsOfRequest { request_id: request_id("b").to_string(), ..request };
    assert_eq!(world.client().get_as_of(request.clone()).await.unwrap_err().code(), Code::DataLoss);
    // Before it was damaged, it could be read.
    let request = GetAsOfRequest { at: Some(world.place(end.0 - 1)), ..request };
    assert_eq!(world.client().get_as_of(request).await.unwrap().into_inner().requests.len(), 1);
}

#[tokio::test]
async fn a_request_whose_approval_cannot_be_read_is_named() {
    let world = World::new().await;
    world.raise("a", "ada", "111111111111", 0).await;
    let a = format!("request-{}", request_id("a"));
    world.append_bytes(&a, "approval", uuid::Uuid::from_u128(9), vec![0xff; 9]).await;
    world.settle().await;
    let request = GetAsOfRequest { at: Some(world.place(2)), ..Default::default() };
    let answer = world.client().get_as_of(request).await.unwrap();
    assert_eq!(answer.metadata().get("daypass-quarantined").unwrap(), a.as_str());
    assert!(answer.into_inner().requests.is_empty());
}

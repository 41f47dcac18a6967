//! Watching requests.

use crate::world::*;
use api::request::v1::{RequestFilter, RequestScope, WatchRequestsRequest, WatchRequestsResponse};
use api::types::v1::RequestStatus;
use aws::simulated::sample::{APPROVERS, WEB_DEV};
use domain::SignedDuration;
use tonic::{Code, Streaming};

async fn watch(world: &World, name: &str, filter: RequestFilter) -> Streaming<WatchRequestsResponse> {
    let message = WatchRequestsRequest { filter: Some(filter), wait_for_position: String::new() };
    world.requests().watch_requests(by(name, message)).await.unwrap().into_inner()
}

/// Everything up to and with "caught up".
async fn snapshot(stream: &mut Streaming<WatchRequestsResponse>) -> Vec<String> {
    let mut ids = Vec::new();
    while let Some(told) = stream.message().await.unwrap() {
        if told.caught_up {
            assert!(told.request.is_none() && !told.position.is_empty());
            return ids;
        }
        ids.push(told.request.unwrap().request_id);
    }
    panic!("the watch ended before it caught up");
}

async fn next(stream: &mut Streaming<WatchRequestsResponse>) -> (String, RequestStatus) {
    let request = stream.message().await.unwrap().unwrap().request.unwrap();
    (request.request_id.clone(), request.status())
}

#[tokio::test(start_paused = true)]
async fn a_watch_tells_what_there_is_then_what_changes() {
    let world = World::ordinary().await;
    let one = world.created("ada", "1", ask(WEB_DEV)).await.request_id;
    let mut stream = watch(&world, "ada", scope(RequestScope::Own)).await;
    assert_eq!(snapshot(&mut stream).await, [one.as_str()]);
    let two = world.created("ada", "2", ask(WEB_DEV)).await.request_id;
    assert_eq!(next(&mut stream).await, (two.clone(), RequestStatus::Requested));
    world.approve(&one, "bob", &[APPROVERS]).await;
    assert_eq!(next(&mut stream).await, (one, RequestStatus::Approved));
}

#[tokio::test(start_paused = true)]
async fn a_watcher_of_pending_requests_hears_that_one_was_decided_and_nothing_of_others() {
    let world = World::ordinary().await;
    let pending =
        RequestFilter { statuses: vec![RequestStatus::Requested.into()], ..scope(RequestScope::Decidable) };
    let mut bobs = watch(&world, "bob", pending).await;
    let mut eves = watch(&world, "eve", scope(RequestScope::Own)).await;
    assert_eq!(snapshot(&mut bobs).await, [] as [&str; 0]);
    assert_eq!(snapshot(&mut eves).await, [] as [&str; 0]);
    let id = world.created("ada", "1", ask(WEB_DEV)).await.request_id;
    assert_eq!(next(&mut bobs).await.1, RequestStatus::Requested);
    world.approve(&id, "bob", &[APPROVERS]).await;
    assert_eq!(next(&mut bobs).await.1, RequestStatus::Approved);
    let waited = tokio::time::timeout(std::time::Duration::from_mins(1), eves.message()).await;
    assert!(waited.is_err(), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn events_that_are_about_no_request_are_passed_over() {
    let world = World::ordinary().await;
    let mut stream = watch(&world, "ada", scope(RequestScope::Own)).await;
    snapshot(&mut stream).await;
    world.apply(policy([rule("read"), rule("other")])).await;
    let waited = tokio::time::timeout(std::time::Duration::from_mins(1), stream.message()).await;
    assert!(waited.is_err(), "{waited:?}");
    let id = world.created("ada", "1", ask(WEB_DEV)).await.request_id;
    assert_eq!(next(&mut stream).await, (id, RequestStatus::Requested));
}

#[tokio::test(start_paused = true)]
async fn a_slow_watcher_hears_the_latest_of_each_request() {
    let world = World::ordinary().await;
    let mut stream = watch(&world, "eve", scope(RequestScope::All)).await;
    snapshot(&mut stream).await;
    let mut last = String::new();
    for index in 0..250 {
        last = world.created("ada", &format!("k{index}"), ask(WEB_DEV)).await.request_id;
    }
    world.approve(&last, "bob", &[APPROVERS]).await;
    let mut heard = Vec::new();
    loop {
        let (id, status) = next(&mut stream).await;
        heard.push(id.clone());
        if id == last {
            assert_eq!(status, RequestStatus::Approved);
            break;
        }
    }
    assert_eq!(heard.len(), 250);
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_when_the_token_does() {
    let world = World::ordinary().await;
    let mut stream = watch(&world, "ada", scope(RequestScope::Own)).await;
    snapshot(&mut stream).await;
    // The clock jumps, as clocks do: no timer of the call's beginning knows of it.
    world.clock.jump(SignedDuration::from_hours(2));
    let ended = stream.message().await;
    assert_eq!(no(ended), (Code::Unauthenticated, "TOKEN_EXPIRED".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_watch_of_all_ends_when_its_watcher_may_no_longer() {
    let world = World::ordinary().await;
    let mut stream = watch(&world, "eve", scope(RequestScope::All)).await;
    snapshot(&mut stream).await;
    world
        .change_directory(|contents| {
            contents.memberships.retain(|user, _| user.as_str() != aws::simulated::sample::EVE);
        })
        .await;
    world.created("ada", "1", ask(WEB_DEV)).await;
    let ended = stream.message().await;
    assert_eq!(no(ended), (Code::PermissionDenied, "NOT_FOR_ALL_REQUESTS".to_owned()));
}

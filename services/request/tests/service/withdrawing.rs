//! Taking a request back.

use crate::world::*;
use api::request::v1::{WithdrawRequestRequest, WithdrawRequestResponse};
use api::types::v1::{EndReason, RequestStatus};
use aws::simulated::sample::{APPROVERS, WEB_DEV};
use domain::SignedDuration;
use tonic::Code;

async fn withdraw(
    world: &World,
    name: &str,
    key: &str,
    id: &str,
) -> Result<WithdrawRequestResponse, tonic::Status> {
    let message = WithdrawRequestRequest { idempotency_key: key.to_owned(), request_id: id.to_owned() };
    world.requests().withdraw_request(by(name, message)).await.map(tonic::Response::into_inner)
}

#[tokio::test(start_paused = true)]
async fn the_requester_takes_a_pending_request_back_once() {
    let world = World::ordinary().await;
    let id = world.created("ada", "k", ask(WEB_DEV)).await.request_id;
    let shown = withdraw(&world, "ada", "w", &id).await.unwrap().request.unwrap();
    assert_eq!((shown.status(), shown.end_reason()), (RequestStatus::Ended, EndReason::Withdrawn));
    assert_eq!(shown.ended_by.as_ref().unwrap().person, Some(wire_person("ada")));
    world.see().await;
    let again = withdraw(&world, "ada", "w", &id).await.unwrap().request.unwrap();
    assert_eq!(again, shown);
    let twice = withdraw(&world, "ada", "w2", &id).await;
    assert_eq!(no(twice), (Code::FailedPrecondition, "OVER".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_request_is_taken_back_while_the_clock_is_in_doubt() {
    let world = World::ordinary().await;
    let id = world.created("ada", "k", ask(WEB_DEV)).await.request_id;
    world.aws_is_ahead(SignedDuration::from_secs(10));
    let shown = withdraw(&world, "ada", "w", &id).await.unwrap().request.unwrap();
    assert_eq!(shown.status(), RequestStatus::Ended);
}

#[tokio::test(start_paused = true)]
async fn nobody_else_takes_it_back_and_strangers_do_not_learn_of_it() {
    let world = World::ordinary().await;
    let id = world.created("ada", "k", ask(WEB_DEV)).await.request_id;
    for name in ["bob", "carol", "eve"] {
        let answer = withdraw(&world, name, "w", &id).await;
        assert_eq!(no(answer), (Code::PermissionDenied, "NOT_ENTITLED".to_owned()), "{name}");
    }
    assert_eq!(no(withdraw(&world, "mallory", "w", &id).await).0, Code::NotFound);
    let nothing = withdraw(&world, "ada", "w", "00000000-0000-4000-8000-000000000000").await;
    assert_eq!(no(nothing).0, Code::NotFound);
}

#[tokio::test(start_paused = true)]
async fn what_has_begun_is_not_taken_back_but_what_is_scheduled_is() {
    let world = World::ordinary().await;
    let now = world.created("ada", "k", ask(WEB_DEV)).await.request_id;
    world.approve(&now, "bob", &[APPROVERS]).await;
    let begun = withdraw(&world, "ada", "w", &now).await;
    assert_eq!(no(begun), (Code::FailedPrecondition, "ALREADY_STARTED".to_owned()));

    let mut later = ask(WEB_DEV);
    later.window.as_mut().unwrap().start = Some(prost_types::Timestamp { seconds: NOW + 3_600, nanos: 0 });
    let later = world.created("ada", "k2", later).await.request_id;
    world.approve(&later, "bob", &[APPROVERS]).await;
    withdraw(&world, "ada", "w", &later).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn taking_back_needs_neither_directory_nor_rule() {
    let world = World::ordinary().await;
    let id = world.created("ada", "k", ask(WEB_DEV)).await.request_id;
    world.apply(policy([])).await;
    world.clock.jump(domain::SignedDuration::from_mins(30));
    withdraw(&world, "ada", "w", &id).await.unwrap();
}

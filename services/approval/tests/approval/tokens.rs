//! Groups that only tokens tell: known when the token was seen, and for a while after it.

use crate::house::{House, POLICY, because, caller, hours, refusal, with_groups};
use api::approval::v1::ListPendingRequest;
use api::types::v1::RequestStatus;
use domain::{AskedWindow, SignedDuration};
use identity::Caller;
use lifecycle::state::Status;
use std::time::Duration;
use tonic::Code;

const BY_APPROVERS: &str = r#"[{ count = 1, groups = ["identity-store:approvers"] }]"#;

/// Longer than groups of a token count for, by default.
const TOO_LONG: Duration = Duration::from_mins(16);

/// Someone whose token says that they lead.
fn lead(name: &str) -> Caller {
    with_groups(name, &["leads"])
}

/// Time passes, and the directory is read again.
async fn passes(house: &House, time: Duration) {
    tokio::time::sleep(time).await;
    house.reorganise(|_| {}).await;
}

async fn agrees(house: &House, name: &str, id: domain::RequestId) -> RequestStatus {
    house.approve(&lead(name), id).await.unwrap().request.unwrap().status()
}

#[tokio::test(start_paused = true)]
async fn a_yes_by_groups_of_a_token_counts_until_they_are_too_old_and_can_be_given_again() {
    let three = r#"[{ count = 3, groups = ["corp:leads"] }]"#;
    let house = House::with_policy(&POLICY.replace(BY_APPROVERS, three)).await;
    let id = house.raised().await;
    assert_eq!(agrees(&house, "grace", id).await, RequestStatus::Requested);
    passes(&house, TOO_LONG).await;
    assert_eq!(agrees(&house, "frank", id).await, RequestStatus::Requested);
    assert_eq!(agrees(&house, "heidi", id).await, RequestStatus::Requested, "Grace counts no more");
    let twice = refusal(house.approve(&lead("heidi"), id).await);
    assert_eq!(twice, because(Code::FailedPrecondition, "ALREADY_ENDORSED"));
    house.seen().await;
    let message = ListPendingRequest::default();
    let waiting = house.approvals().list_pending(house.request(&lead("grace"), message)).await.unwrap();
    let waiting = waiting.into_inner().pending;
    assert_eq!(waiting.iter().map(|pending| pending.endorsed_by_caller).collect::<Vec<_>>(), [false]);
    let answer = house.approve(&lead("grace"), id).await.unwrap();
    let shown = answer.request.unwrap();
    assert_eq!((shown.status(), shown.endorsements.len()), (RequestStatus::Approved, 3));
}

#[tokio::test(start_paused = true)]
async fn a_yes_by_groups_of_the_directory_counts_however_old_it_is() {
    let two = POLICY.replace("count = 1", "count = 2");
    let house = House::with_policy(&two).await;
    let id = house.raised().await;
    house.approve(&caller("bob"), id).await.unwrap();
    passes(&house, TOO_LONG).await;
    house.approve(&caller("frank"), id).await.unwrap();
    assert_eq!(house.status(id).await, Status::Approved);
}

#[tokio::test(start_paused = true)]
async fn a_request_by_groups_of_a_token_can_be_decided_for_as_long_as_it_may_wait() {
    let house = House::with_policy(&POLICY.replace("identity-store:developers", "corp:dba")).await;
    let id = house.raised_for(AskedWindow { start: None, duration: hours(1) }, &["dba"]).await;
    passes(&house, Duration::from_hours(20)).await;
    house.approve(&caller("bob"), id).await.unwrap();
    assert_eq!(house.status(id).await, Status::Approved);
}

#[tokio::test(start_paused = true)]
async fn a_yes_by_groups_of_a_token_to_a_start_that_they_do_not_last_until_is_refused_and_says_why() {
    let either = r#"[{ count = 1, groups = ["corp:leads", "identity-store:approvers"] }]"#;
    let house = House::with_policy(&POLICY.replace(BY_APPROVERS, either)).await;
    let starting_in = |minutes: i64| {
        let start = house.views.clock.now() + SignedDuration::from_mins(minutes);
        AskedWindow { start: Some(start), duration: hours(1) }
    };
    let soon = house.raised_for(starting_in(10), &[]).await;
    assert_eq!(agrees(&house, "grace", soon).await, RequestStatus::Approved);
    let late = house.raised_for(starting_in(60), &[]).await;
    let events = house.events();
    let refused = refusal(house.approve(&lead("grace"), late).await);
    assert_eq!(refused, because(Code::FailedPrecondition, "START_NEEDS_DIRECTORY"));
    assert_eq!(house.events(), events);
    // Bob is an approver by the directory as well.
    assert_eq!(agrees(&house, "bob", late).await, RequestStatus::Approved);
}

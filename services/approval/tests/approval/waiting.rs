//! What waits for whom.

use crate::house::{House, POLICY, because, caller, refusal};
use api::approval::v1::{ListPendingRequest, ListPendingResponse, WatchPendingRequest};
use api::types::v1::RequestStatus;
use aws::simulated::sample;
use identity::Caller;
use std::time::Duration;
use tonic::Code;

async fn pending(house: &House, caller: &Caller) -> ListPendingResponse {
    let message = ListPendingRequest::default();
    house.approvals().list_pending(house.request(caller, message)).await.unwrap().into_inner()
}

async fn ids(house: &House, caller: &Caller) -> Vec<String> {
    let found = pending(house, caller).await.pending;
    found.into_iter().map(|pending| pending.request.unwrap().request_id).collect()
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_what_the_caller_may_decide_the_most_urgent_first() {
    let house = House::new().await;
    let first = house.raised().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let own = house.raised_by("bob", sample::WEB_PROD, "prod-read").await;
    assert_eq!(ids(&house, &caller("bob")).await, [first.to_string()]);
    assert_eq!(ids(&house, &caller("frank")).await, [first.to_string(), own.to_string()]);
    assert!(ids(&house, &caller("grace")).await.is_empty());
    assert!(ids(&house, &caller("ada")).await.is_empty());
    house
        .apply(&POLICY.replacen("[\"identity-store:approvers\"] }]", "[\"identity-store:security\"] }]", 1))
        .await;
    assert_eq!(ids(&house, &caller("grace")).await, [first.to_string(), own.to_string()]);
    house.apply(&POLICY.replace("prod-read", "prod-look")).await;
    assert!(ids(&house, &caller("bob")).await.is_empty());
}

/// What the policy said is remembered for lists, and no longer than it stands.
#[tokio::test(start_paused = true)]
async fn a_list_tells_at_once_what_another_directory_changes() {
    let house = House::new().await;
    let id = house.raised().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let ada = domain::PrincipalId::new(sample::ADA).unwrap();
    for _ in 0..2 {
        assert_eq!(ids(&house, &caller("bob")).await, [id.to_string()]);
    }
    let mut groups = None;
    house.reorganise(|contents| groups = contents.memberships.remove(&ada)).await;
    assert!(ids(&house, &caller("bob")).await.is_empty(), "its rule does not permit it any more");
    house.reorganise(|contents| contents.memberships.extend(groups.map(|groups| (ada, groups)))).await;
    assert_eq!(ids(&house, &caller("bob")).await, [id.to_string()]);
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_is_told() {
    let house = House::with_policy(&POLICY.replace("count = 1", "count = 2")).await;
    let id = house.raised().await;
    let missing = |found: &ListPendingResponse| found.pending[0].missing.clone().unwrap().steps[0].count;
    let before = pending(&house, &caller("bob")).await;
    assert_eq!((missing(&before), before.pending[0].endorsed_by_caller), (2, false));
    house.approve(&caller("bob"), id).await.unwrap();
    let after = pending(&house, &caller("bob")).await;
    assert_eq!((missing(&after), after.pending[0].endorsed_by_caller), (1, true));
    assert!(!pending(&house, &caller("frank")).await.pending[0].endorsed_by_caller);
}

#[tokio::test(start_paused = true)]
async fn pages_join_without_gap_or_repeat_and_belong_to_their_caller() {
    let house = House::new().await;
    for _ in 0..7 {
        house.raised().await;
    }
    let (mut found, mut token) = (Vec::new(), String::new());
    for _ in 0..4 {
        let message = ListPendingRequest { page_size: 3, page_token: token, ..Default::default() };
        let page = house.approvals().list_pending(house.request(&caller("bob"), message)).await.unwrap();
        let page = page.into_inner();
        found.extend(page.pending.into_iter().map(|pending| pending.request.unwrap().request_id));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
        let message = ListPendingRequest { page_size: 3, page_token: token.clone(), ..Default::default() };
        let other = house.approvals().list_pending(house.request(&caller("frank"), message)).await;
        assert_eq!(other.unwrap_err().code(), Code::InvalidArgument);
    }
    assert!(token.is_empty());
    assert_eq!(found, ids(&house, &caller("bob")).await);
    assert_eq!(found.len(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_list_can_wait_for_an_answers_position() {
    let house = House::new().await;
    let id = house.raised().await;
    let position = house.approve(&caller("bob"), id).await.unwrap().position;
    let ask = |wait_for_position: String| ListPendingRequest { wait_for_position, ..Default::default() };
    let found = house.approvals().list_pending(house.request(&caller("bob"), ask(position.clone()))).await;
    assert!(found.unwrap().into_inner().pending.is_empty());
    let beyond = format!("{}.999", position.split('.').next().unwrap());
    let early = house.approvals().list_pending(house.request(&caller("bob"), ask(beyond))).await;
    assert_eq!(refusal(early), because(Code::Unavailable, "POSITION_NOT_REACHED"));
    let foreign =
        house.approvals().list_pending(house.request(&caller("bob"), ask("0123456789ab.1".into()))).await;
    assert_eq!(foreign.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test(start_paused = true)]
async fn a_watch_tells_what_waits_then_what_changes_and_ends_with_the_token() {
    let house = House::new().await;
    let first = house.raised().await;
    let until = house.views.clock.now() + domain::SignedDuration::from_mins(5);
    let bob = Caller { expires_at: until, ..caller("bob") };
    let message = WatchPendingRequest::default();
    let mut watch = house.approvals().watch_pending(house.request(&bob, message)).await.unwrap().into_inner();
    let shown = watch.message().await.unwrap().unwrap().pending.unwrap().request.unwrap();
    assert_eq!((shown.request_id.clone(), shown.status()), (first.to_string(), RequestStatus::Requested));
    assert!(watch.message().await.unwrap().unwrap().caught_up);
    let second = house.raised().await;
    let shown = watch.message().await.unwrap().unwrap().pending.unwrap().request.unwrap();
    assert_eq!(shown.request_id, second.to_string());
    house.approve(&caller("frank"), first).await.unwrap();
    let shown = watch.message().await.unwrap().unwrap().pending.unwrap().request.unwrap();
    assert_eq!((shown.request_id.clone(), shown.status()), (first.to_string(), RequestStatus::Approved));
    let end = watch.message().await;
    assert_eq!(end.unwrap_err().code(), Code::Unauthenticated);
    assert!(house.views.clock.now() >= until);
}

#[tokio::test(start_paused = true)]
async fn who_cannot_be_told_by_their_groups_is_not_told_that_nothing_waits() {
    let house = House::new().await;
    house.raised().await;
    let unknown = Caller { groups: Some(domain::Groups::Unknown("cut short".into())), ..caller("bob") };
    let answer = house.approvals().list_pending(house.request(&unknown, ListPendingRequest::default())).await;
    assert_eq!(refusal(answer), because(Code::Unavailable, "UNPROVABLE"));
}

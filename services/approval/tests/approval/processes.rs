//! What nobody has to decide.

use crate::house::{House, Outside, POLICY, caller, human, person};
use aws::ExternalId;
use aws::simulated::sample;
use domain::{Person, SignedDuration};
use lifecycle::event::{ApprovalBasis, RejectedBecause};
use lifecycle::state::{Phase, Status};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

#[tokio::test(start_paused = true)]
async fn what_nobody_decides_expires_at_the_instant() {
    let house = House::new().await;
    let id = house.raised().await;
    house.run_until(id, Status::Expired).await;
    let request = house.story(id).await.request;
    let Phase::Expired { at, .. } = request.phase else { panic!("not expired") };
    let late = at.duration_since(request.raised.decide_by);
    assert!((SignedDuration::ZERO..=SignedDuration::from_millis(2)).contains(&late), "{late:#}");
}

#[tokio::test(start_paused = true)]
async fn what_came_due_while_down_expires_at_the_start() {
    let outside = Outside::new();
    let house = outside.start().await;
    house.service.seed(POLICY, human(person("root"))).await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..600 {
        ids.push(house.raised().await);
    }
    drop(house);
    tokio::time::sleep(Duration::from_hours(3 * 24)).await;
    let house = outside.start().await;
    house.run_for(Duration::from_secs(1)).await;
    for id in ids {
        assert_eq!(house.status(id).await, Status::Expired);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_asks_nobody_approves_at_once_and_two_replicas_do_it_once() {
    let house = House::new().await;
    let other = house.outside.start().await;
    let id = house.raised_by("ada", sample::WEB_DEV, "dev-read").await;
    let shutdown = CancellationToken::new();
    let reached = async {
        house.run_until(id, Status::Approved).await;
        shutdown.cancel();
    };
    tokio::join!(reached, other.service.run(shutdown.clone()));
    let story = house.story(id).await;
    assert_eq!(story.events.len(), 2);
    let Phase::Approved { grant, .. } = story.request.phase else { panic!("not approved") };
    assert_eq!(grant.approved.basis, ApprovalBasis::Rule);
    assert!(grant.at.duration_since(story.request.raised_at) < SignedDuration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_asks_people_by_now_does_not_approve_by_itself() {
    let house = House::new().await;
    let id = house.raised_by("ada", sample::WEB_DEV, "dev-read").await;
    let asks = r#"plan = [{ count = 1, groups = ["identity-store:approvers"] }]"#;
    house.apply(&POLICY.replace(r#"plan = "none""#, asks)).await;
    house.run_for(Duration::from_mins(1)).await;
    assert_eq!(house.status(id).await, Status::Requested);
    house.reorganise(|_| {}).await;
    house.approve(&caller("bob"), id).await.unwrap();
    assert_eq!(house.status(id).await, Status::Approved);
}

#[tokio::test(start_paused = true)]
async fn the_authors_own_rule_does_not_approve_them() {
    let house = House::new().await;
    let id = house.raised_by("ada", sample::WEB_DEV, "dev-read").await;
    // Ada changes the rule after she asked.
    let longer = POLICY.replace(
        "\"8h\"\nprovider = \"identity_center\"\nplan = \"none\"",
        "\"9h\"\nprovider = \"identity_center\"\nplan = \"none\"",
    );
    assert_ne!(longer, POLICY);
    house.apply_by("ada", &longer).await;
    house.run_for(Duration::from_mins(1)).await;
    assert_eq!(house.status(id).await, Status::Requested);
    // So under an identity of another issuer that the directory knows to be hers.
    house
        .reorganise(|contents| {
            let ada = contents.users.values_mut().find(|user| user.user_name.as_str() == "ada").unwrap();
            ada.external_ids
                .insert(ExternalId { issuer: "https://other.example".to_owned(), id: "a1".to_owned() });
        })
        .await;
    house.apply_as(Person::new("https://other.example", "a1").unwrap(), POLICY).await;
    house.run_for(Duration::from_mins(1)).await;
    assert_eq!(house.status(id).await, Status::Requested);
}

#[tokio::test(start_paused = true)]
async fn approval_by_rule_waits_for_a_directory_that_can_be_relied_on() {
    let house = House::new().await;
    let id = house.raised_by("ada", sample::WEB_DEV, "dev-read").await;
    crate::house::directory_ages().await;
    house.run_for(Duration::from_mins(1)).await;
    assert_eq!(house.status(id).await, Status::Requested);
    house.reorganise(|_| {}).await;
    house.run_until(id, Status::Approved).await;
}

#[tokio::test(start_paused = true)]
async fn requests_whose_rule_is_gone_are_rejected_once_the_policy_changes() {
    let house = House::new().await;
    let (gone, stays) = (house.raised().await, house.raised_by("ada", sample::WEB_DEV, "dev-read").await);
    house.run_until(stays, Status::Approved).await;
    assert_eq!(house.status(gone).await, Status::Requested);
    let event = house.apply(&POLICY.replace("prod-read", "prod-look")).await;
    house.run_until(gone, Status::Rejected).await;
    let story = house.story(gone).await;
    let Phase::Rejected { because, .. } = &story.request.phase else { panic!("not rejected") };
    assert_eq!(*because, RejectedBecause::RuleVanished);
    assert_eq!(story.events[1].actor, None);
    assert_eq!(house.views.policy.current().await.unwrap().event, event);
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_may_still_be_there_ends_nothing() {
    let house = House::new().await;
    let id = house.raised().await;
    house.apply(&POLICY.replace("prod-read", "prod-look")).await;
    crate::house::directory_ages().await;
    house.run_for(Duration::from_mins(1)).await;
    assert_eq!(house.status(id).await, Status::Requested);
    house.reorganise(|_| {}).await;
    house.run_until(id, Status::Rejected).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_raised_under_the_policy_before_is_found_as_well() {
    let house = House::new().await;
    let running = house.outside.start().await;
    let shutdown = CancellationToken::new();
    let scene = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        // The request service decided by the old policy, and was slower than the change.
        let before = house.outside.start().await;
        let old = before.views.policy.current().await.unwrap();
        house.apply(&POLICY.replace("prod-read", "prod-look")).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let id = house.raised_late(&old).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        shutdown.cancel();
        id
    };
    let (id, ()) = tokio::join!(scene, running.service.run(shutdown.clone()));
    assert_eq!(house.status(id).await, Status::Rejected);
}

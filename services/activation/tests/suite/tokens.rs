//! Groups that only tokens tell: nobody can look them up again, so they count for a while.

use crate::house::{HOUR, House, aws_key, call, key_of, permission_set, policy_by_token, role};
use activation::Settings;
use api::activation::v1::GetActivationRequest;
use api::activation::v1::activation_service_server::ActivationService as Rpcs;
use aws::simulated::{Operation as AwsOperation, sample};
use domain::{RequestId, SignedDuration, Target};
use lifecycle::event::{ClosedHow, EndedBecause};
use lifecycle::state::EndReason;

/// The longest that groups of a token count for, by default.
const AGE_MAX: i64 = 15 * 60;

#[tokio::test(start_paused = true)]
async fn groups_of_a_token_that_are_too_old_at_the_start_give_no_access_and_are_the_reason() {
    for target in [permission_set(), role()] {
        let house = House::by_token().await;
        let _process = house.start().await;
        let id = house.grant(&target, AGE_MAX + 60, AGE_MAX + 660).await;
        house.at(AGE_MAX + 630).await;
        assert!(!house.is_active(id).await && house.over(id).await.is_none(), "nothing is lost for certain");
        house.at(AGE_MAX + 690).await;
        let Some((EndReason::Ended(EndedBecause::Failed { reason: why }), _)) = house.over(id).await else {
            panic!("{:?}", house.over(id).await)
        };
        assert!(why.starts_with("Unprovable: ") && why.contains("token"), "{why}");
        assert_eq!(house.calls(AwsOperation::Create), 0);
        assert_eq!(house.closed(id).await, Some(ClosedHow::NothingCreated));
    }
}

/// What stood in its way was known to the dead alone: the request said that nobody was there.
#[tokio::test(start_paused = true)]
async fn tokens_that_were_too_old_at_the_start_are_the_reason_also_where_another_takes_over_after_the_end() {
    for target in [permission_set(), role()] {
        let house = House::by_token().await;
        let one = house.start_as("one").await;
        house.grant(&Target::parse(sample::PAYMENTS_DEV, sample::READ_ONLY).unwrap(), 0, 4 * HOUR).await;
        house.at(20).await;
        let _two = house.start_as("two").await;
        let id = house.grant(&target, AGE_MAX + 60, AGE_MAX + 660).await;
        house.at(AGE_MAX + 659).await;
        one.kill().await;
        house.at(AGE_MAX + 690).await;
        assert_eq!(house.claims(), ["one", "two"]);
        let why = why_failed(&house, id).await;
        assert!(why.starts_with("Unprovable: ") && why.contains("token"), "{target}: {why}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_across_the_end_of_a_window_does_not_forget_that_tokens_were_too_old() {
    let house = House::by_token().await;
    let process = house.start().await;
    let id = house.grant(&role(), AGE_MAX + 60, AGE_MAX + 660).await;
    house.at(AGE_MAX + 659).await;
    process.kill().await;
    house.at(AGE_MAX + 661).await;
    let _again = house.start().await;
    house.at(AGE_MAX + 690).await;
    let why = why_failed(&house, id).await;
    assert!(why.starts_with("Unprovable: ") && why.contains("token"), "{why}");
}

/// They are too old when somebody looks; at the start they were not.
#[tokio::test(start_paused = true)]
async fn tokens_that_grew_old_while_nobody_was_there_are_not_the_reason() {
    let house = House::by_token().await;
    let id = house.grant(&role(), 0, HOUR).await;
    house.at(HOUR + 1).await;
    let _process = house.start().await;
    house.at(HOUR + 10).await;
    assert_eq!(why_failed(&house, id).await, "NotInTime");
}

async fn why_failed(house: &House, id: RequestId) -> String {
    let over = house.over(id).await;
    let Some((EndReason::Ended(EndedBecause::Failed { reason }), _)) = over else {
        return format!("ended otherwise: {over:?}");
    };
    reason
}

#[tokio::test(start_paused = true)]
async fn access_by_groups_of_a_token_that_begins_at_once_is_given_however_long_the_decision_took() {
    for target in [permission_set(), role()] {
        let house = House::by_token().await;
        let _process = house.start().await;
        let id = house.ask(&target).await;
        house.at(2 * HOUR).await;
        house.approve(id, 2 * HOUR, 4 * HOUR).await;
        house.at(2 * HOUR + 60).await;
        assert!(house.is_active(id).await);
        house.at(4 * HOUR - 10).await;
        assert!(house.is_active(id).await, "what is active stays until its end");
    }
}

#[tokio::test(start_paused = true)]
async fn what_would_not_hold_by_any_token_is_lost_and_not_unknown() {
    let house = House::by_token().await;
    let _process = house.start().await;
    let id = house.grant(&permission_set(), AGE_MAX + 60, HOUR).await;
    house.apply(&policy_by_token().replace("okta:dba", "okta:security")).await;
    house.at(AGE_MAX + 90).await;
    let Some((because, _)) = house.over(id).await else { panic!("goes on") };
    assert!(matches!(because, EndReason::Ended(EndedBecause::NoLongerEligible { .. })), "{because:?}");
    assert_eq!(house.calls(AwsOperation::Create), 0);
}

#[tokio::test(start_paused = true)]
async fn what_others_removed_is_not_made_again_by_groups_of_an_old_token() {
    let mut house = House::by_token().await;
    house.settings =
        Settings { organisation_sweep_interval: SignedDuration::from_mins(10), ..Settings::default() };
    let process = house.start().await;
    let key = key_of(&permission_set());
    let id = house.grant(&permission_set(), 0, 2 * HOUR).await;
    house.at(60).await;
    assert!(house.is_active(id).await);
    house.at(2 * AGE_MAX).await;
    assert!(house.has(&key), "what is there stays, however old the token is");
    house.aws.remove(aws_key(&key));
    house.at(2 * AGE_MAX + 20 * 60).await;
    assert!(!house.has(&key) && house.is_active(id).await);
    assert_eq!(house.calls(AwsOperation::Create), 1);
    let asked = GetActivationRequest { request_id: id.to_string(), ..GetActivationRequest::default() };
    let told = Rpcs::get_activation(&process.service, call("ada", asked)).await.unwrap().into_inner();
    let told = told.activation.unwrap();
    assert_eq!(told.obstacles, ["Unprovable"]);
    assert!(told.obstacle_detail.contains("token"), "{}", told.obstacle_detail);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_kept_for_a_request_whose_tokens_are_too_old() {
    let house = House::by_token().await;
    let process = house.start().await;
    let key = key_of(&permission_set());
    let active = house.grant(&permission_set(), 0, HOUR).await;
    let waits = house.grant(&permission_set(), 10 * 60, 4 * HOUR).await;
    house.at(60).await;
    assert!(house.is_active(active).await);
    process.kill().await;
    house.at(AGE_MAX + 60).await;
    let _again = house.start().await;
    house.at(HOUR - 60).await;
    assert!(house.has(&key) && !house.is_active(waits).await);
    house.at(HOUR + 60).await;
    assert!(!house.has(&key), "the other one gives no access, and keeps none");
    assert_eq!(house.closed(active).await, Some(ClosedHow::Deleted));
}

#[tokio::test(start_paused = true)]
async fn a_start_that_tokens_just_last_until_is_given_although_that_takes_a_while() {
    for target in [permission_set(), role()] {
        let house = House::by_token().await;
        let _process = house.start().await;
        let id = house.grant(&target, AGE_MAX, 2 * HOUR).await;
        house.at(AGE_MAX + 60).await;
        assert!(house.is_active(id).await, "{target}");
    }
}

/// Each replica took over from the other what neither could begin.
#[tokio::test(start_paused = true)]
async fn starts_whose_tokens_are_too_old_change_no_hands_and_keep_nobody_from_taking_over() {
    let start = AGE_MAX + 60;
    // More than AWS takes at a time; and credentials, of which one is enough.
    for many in [true, false] {
        let house = House::by_token().await;
        let accounts = house.many_accounts(12);
        let one = house.start_as("one").await;
        house.grant(&permission_set(), 0, 4 * HOUR).await;
        house.at(20).await;
        let _two = house.start_as("two").await;
        let mut waiting = Vec::new();
        for account in accounts.iter().filter(|_| many) {
            let target = Target::parse(account, sample::READ_ONLY).unwrap();
            waiting.push(house.grant(&target, start, 4 * HOUR).await);
        }
        if !many {
            waiting.push(house.grant(&role(), start, 4 * HOUR).await);
        }
        house.at(start + 10 * 60).await;
        for id in waiting {
            assert!(!house.is_active(id).await && house.over(id).await.is_none(), "nobody can begin it");
        }
        assert_eq!(house.claims(), ["one"]);
        one.kill().await;
        let target = Target::parse(sample::PAYMENTS_DEV, sample::READ_ONLY).unwrap();
        let next = house.grant(&target, start + 10 * 60, 4 * HOUR).await;
        house.at(start + 10 * 60 + 10).await;
        assert!(house.is_active(next).await);
        assert_eq!(house.claims(), ["one", "two"]);
    }
}

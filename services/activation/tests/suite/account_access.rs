//! Roles that are given to users through Account Access Manager: the same reconciler, another service.

use crate::house::{HOUR, House, aws_key, instant, key_of, permission_set, role_for_users};
use aws::simulated::{Behaviour, Fault, Operation as AwsOperation};
use domain::SignedDuration;
use lifecycle::assignment::Presence;
use lifecycle::event::{ClosedHow, EndedBecause};
use lifecycle::state::EndReason;

#[tokio::test(start_paused = true)]
async fn a_role_is_given_at_the_start_and_taken_after_the_end() {
    let house = House::new().await;
    let process = house.start().await;
    let key = key_of(&role_for_users());
    let id = house.grant(&role_for_users(), 60, HOUR).await;
    house.at(59).await;
    assert!(!house.has(&key) && house.calls(AwsOperation::Create) == 0, "not before the window");
    house.at(65).await;
    assert!(house.has(&key) && house.is_active(id).await);
    let request = house.request(id).await;
    let (_, active) = request.approved().unwrap();
    let bound = active.unwrap().activated.bound;
    assert_eq!(bound.at_end, instant(HOUR + 12 * HOUR), "the longest session that a role can allow");
    assert_eq!(bound.after_early_end, SignedDuration::from_hours(12));
    house.at(HOUR + 5).await;
    assert!(!house.has(&key));
    assert_eq!(house.over(id).await.unwrap().0, EndReason::Ended(EndedBecause::Elapsed));
    assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted));
    assert_eq!((house.calls(AwsOperation::Create), house.calls(AwsOperation::Delete)), (1, 1));
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn overlapping_requests_carry_one_entitlement() {
    let house = House::new().await;
    let _process = house.start().await;
    let key = key_of(&role_for_users());
    let first = house.grant(&role_for_users(), 0, HOUR).await;
    let second = house.grant(&role_for_users(), HOUR / 2, 2 * HOUR).await;
    house.at(HOUR + 30).await;
    assert!(house.has(&key) && house.is_active(second).await);
    assert_eq!(house.closed(first).await, Some(ClosedHow::CarriedBy(second)));
    house.at(2 * HOUR + 30).await;
    assert!(!house.has(&key));
    assert_eq!(house.closed(second).await, Some(ClosedHow::Deleted));
    assert_eq!((house.calls(AwsOperation::Create), house.calls(AwsOperation::Delete)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_standing_entitlement_is_left_alone() {
    let house = House::new().await;
    let key = key_of(&role_for_users());
    house.aws.standing(aws_key(&key));
    let _process = house.start().await;
    let id = house.grant(&role_for_users(), 0, HOUR).await;
    house.at(HOUR + 60).await;
    assert_eq!(house.closed(id).await, Some(ClosedHow::Standing));
    assert!(house.has(&key));
    assert_eq!((house.calls(AwsOperation::Create), house.calls(AwsOperation::Delete)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_permission_set_and_a_role_in_one_account_do_not_meet() {
    let house = House::with(Behaviour { conflict_in_account: true, ..Behaviour::default() }).await;
    let _process = house.start().await;
    let assigned = house.grant(&permission_set(), 0, HOUR).await;
    let given = house.grant(&role_for_users(), 0, 2 * HOUR).await;
    house.at(30).await;
    assert!(house.is_active(assigned).await && house.is_active(given).await);
    house.at(HOUR + 30).await;
    assert!(!house.has(&key_of(&permission_set())) && house.has(&key_of(&role_for_users())));
    assert_eq!(house.closed(assigned).await, Some(ClosedHow::Deleted));
}

#[tokio::test(start_paused = true)]
async fn an_entitlement_that_lists_do_not_show_yet_is_not_left_behind() {
    let house =
        House::with(Behaviour { list_lag: SignedDuration::from_secs(4), ..Behaviour::default() }).await;
    let process = house.start().await;
    let key = key_of(&role_for_users());
    let id = house.grant(&role_for_users(), 10, HOUR).await;
    while !house.is_active(id).await {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(house.has(&key));
    process.revoke("ada", id).await.unwrap();
    house.at(60).await;
    assert!(!house.has(&key));
    assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted));
}

#[tokio::test(start_paused = true)]
async fn lost_answers_and_failures_that_are_never_told_are_observed() {
    let house = House::new().await;
    let _process = house.start().await;
    let key = key_of(&role_for_users());
    house.aws.fail_next(AwsOperation::Create, Fault::AnswerLost);
    let lost = house.grant(&role_for_users(), 0, HOUR).await;
    house.at(30).await;
    assert!(house.has(&key) && house.is_active(lost).await);
    assert_eq!(house.calls(AwsOperation::Create), 1, "observed, and not tried again");
    house.at(HOUR + 60).await;
    assert_eq!(house.closed(lost).await, Some(ClosedHow::Deleted));

    house.aws.fail_next(AwsOperation::Create, Fault::FailsLater { reason: "no trust".to_owned() });
    let failed = house.grant(&role_for_users(), 2 * HOUR, 3 * HOUR).await;
    house.at(2 * HOUR + 300).await;
    assert!(house.has(&key) && house.is_active(failed).await, "seen to be missing, and made again");
    house.at(3 * HOUR + 600).await;
    assert!(!house.has(&key));
    house.at(4 * HOUR).await;
    assert_eq!(house.closed(failed).await, Some(ClosedHow::Deleted));
    assert_eq!(house.ledger(&key).await.unwrap().presence, Presence::Absent);
}

#[tokio::test(start_paused = true)]
async fn without_account_access_manager_a_role_is_not_given_and_what_is_left_of_one_pages() {
    let mut house = House::new().await;
    let process = house.start().await;
    let key = key_of(&role_for_users());
    let given = house.grant(&role_for_users(), 0, HOUR).await;
    house.at(30).await;
    assert!(house.is_active(given).await);
    process.stop().await;

    house.account_access = false;
    let process = house.start().await;
    let asked = house.grant(&role_for_users(), HOUR, 3 * HOUR).await;
    house.at(HOUR + 20 * 60).await;
    assert_eq!(house.closed(given).await, None);
    assert!(house.has(&key) && process.service.overdue() > 0, "nobody says that it is gone");
    let (because, _) = house.over(asked).await.unwrap();
    assert_eq!(because, EndReason::Ended(EndedBecause::Failed { reason: "ProviderNotServed".to_owned() }));
    process.stop().await;

    house.account_access = true;
    let _process = house.start().await;
    house.at(2 * HOUR).await;
    assert!(!house.has(&key));
    assert_eq!(house.closed(given).await, Some(ClosedHow::Deleted));
}

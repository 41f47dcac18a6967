//! Processes come and go; the log stays.

use crate::house::{HOUR, House, instant, key_of, permission_set, role};
use aws::simulated::{Fault, Operation as AwsOperation, sample};
use aws::{Assignments as _, ErrorKind};
use domain::{RequestId, SignedDuration, Target};
use lifecycle::assignment::{AssignmentEvent, Operation};
use lifecycle::event::{ClosedHow, EndedBecause};
use lifecycle::state::EndReason;
use std::collections::BTreeSet;

#[tokio::test(start_paused = true)]
async fn a_restart_between_approval_and_start_and_between_start_and_end() {
    let house = House::new().await;
    let key = key_of(&permission_set());
    let process = house.start().await;
    let assigned = house.grant(&permission_set(), 100, HOUR).await;
    let credentials = house.grant(&role(), 100, HOUR).await;
    house.at(50).await;
    process.kill().await;

    house.at(200).await;
    let process = house.start().await;
    house.at(210).await;
    assert!(
        house.is_active(assigned).await && house.is_active(credentials).await,
        "what came due happens at once"
    );
    process.kill().await;

    house.at(HOUR + 100).await;
    assert!(house.has(&key), "nobody was there to remove it");
    let _process = house.start().await;
    house.at(HOUR + 110).await;
    assert!(!house.has(&key));
    assert_eq!(house.closed(assigned).await, Some(ClosedHow::Deleted));
    assert_eq!(house.closed(credentials).await, Some(ClosedHow::NothingCreated));
}

#[tokio::test(start_paused = true)]
async fn a_restart_between_attempt_and_confirmation_observes_what_was_done() {
    let house = House::new().await;
    let process = house.start().await;
    let key = key_of(&permission_set());
    let id = house.grant(&permission_set(), 0, HOUR).await;
    // The operation takes a second; its status is known half a second later at the earliest.
    while house.calls(AwsOperation::Create) == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    process.kill().await;
    assert!(house.ledger(&key).await.unwrap().attempt().is_some() && !house.is_active(id).await);

    let _process = house.start().await;
    house.at(30).await;
    assert!(house.is_active(id).await);
    assert_eq!(house.calls(AwsOperation::Create), 1);
}

#[tokio::test(start_paused = true)]
async fn a_restart_between_attempt_and_call_gives_the_attempt_up_and_tries_again() {
    let house = House::new().await;
    let key = key_of(&permission_set());
    let id = house.grant(&permission_set(), 0, HOUR).await;
    let deadline = instant(20 * 60);
    house
        .write_ledger(
            &key,
            AssignmentEvent::Attempted { key: key.clone(), operation: Operation::Create, deadline },
        )
        .await;
    let _process = house.start().await;
    house.at(60).await;
    assert!(!house.is_active(id).await, "another process may be at work on it");
    house.at(180).await;
    assert!(house.is_active(id).await);
    assert_eq!(house.calls(AwsOperation::Create), 1);
}

#[tokio::test(start_paused = true)]
async fn what_exists_stays_while_a_restarted_process_does_not_know_the_directory() {
    let house = House::new().await;
    let process = house.start().await;
    let key = key_of(&permission_set());
    let id = house.grant(&permission_set(), 0, HOUR).await;
    while !house.has(&key) {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    process.kill().await;
    assert!(!house.is_active(id).await);
    // Whether the request is still eligible cannot be told before the directory is known.
    for _ in 0..4 {
        house.aws.fail_next(AwsOperation::FetchDirectory, Fault::Refused(ErrorKind::Unavailable));
    }
    let _process = house.start().await;
    house.at(120).await;
    assert_eq!(house.calls(AwsOperation::Delete), 0);
    assert!(house.is_active(id).await && house.has(&key));
}

#[tokio::test(start_paused = true)]
async fn a_window_that_passed_while_nobody_was_there_says_so() {
    let house = House::new().await;
    let id = house.grant(&role(), 0, 600).await;
    house.at(601).await;
    let _process = house.start().await;
    house.at(610).await;
    let because = EndedBecause::Failed { reason: "NotInTime".to_owned() };
    assert_eq!(house.over(id).await.map(|(why, _)| why), Some(EndReason::Ended(because)));
    assert_eq!(house.closed(id).await, Some(ClosedHow::NothingCreated));
}

/// What it cannot tell yet is not what stood in the way then.
#[tokio::test(start_paused = true)]
async fn who_has_not_read_the_directory_yet_blames_no_window_that_passed_on_that() {
    let house = House::new().await;
    let id = house.grant(&role(), 0, 600).await;
    house.at(601).await;
    for _ in 0..100 {
        house.aws.fail_next(AwsOperation::FetchDirectory, Fault::Refused(ErrorKind::Unavailable));
    }
    let _process = house.start().await;
    house.at(610).await;
    let reason = "NotInTime: the directory has not been read yet".to_owned();
    let because = EndReason::Ended(EndedBecause::Failed { reason });
    assert_eq!(house.over(id).await.map(|(why, _)| why), Some(because));
}

/// More windows than are read at once.
#[tokio::test(start_paused = true)]
async fn among_many_windows_what_is_over_goes_and_what_another_request_needs_stays() {
    let house = House::new().await;
    let accounts = house.many_accounts(700);
    let process = house.start().await;
    let alone = Target::parse(sample::WEB_DEV, sample::READ_ONLY).unwrap();
    let carried = house.grant(&permission_set(), 0, HOUR).await;
    let removed = house.grant(&alone, 0, HOUR).await;
    let needing = house.grant(&permission_set(), 0, 10 * HOUR).await;
    house.at(60).await;
    process.kill().await;
    for account in &accounts {
        house.grant(&Target::parse(account, sample::READ_ONLY).unwrap(), 5 * HOUR, 6 * HOUR).await;
    }
    house.at(HOUR + 60).await;
    let _process = house.start().await;
    house.at(HOUR + 90).await;
    assert_eq!(house.closed(carried).await, Some(ClosedHow::CarriedBy(needing)));
    assert_eq!(house.closed(removed).await, Some(ClosedHow::Deleted));
    assert!(house.has(&key_of(&permission_set())) && !house.has(&key_of(&alone)));
    assert_eq!(house.calls(AwsOperation::Delete), 1);
}

#[tokio::test(start_paused = true)]
async fn a_restart_during_a_removal_ends_it_soon() {
    let house = House::new().await;
    let process = house.start().await;
    let key = key_of(&permission_set());
    let id = house.grant(&permission_set(), 0, 600).await;
    house.at(599).await;
    while house.calls(AwsOperation::Delete) == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    process.kill().await;
    let _process = house.start().await;
    house.at(630).await;
    assert!(!house.has(&key));
    assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted));
}

#[tokio::test(start_paused = true)]
async fn killed_anywhere_the_access_comes_and_goes() {
    for step in 0..40_u64 {
        let house = House::new().await;
        let key = key_of(&permission_set());
        let id = house.grant(&permission_set(), 5, 600).await;
        let process = house.start().await;
        tokio::time::sleep(std::time::Duration::from_millis(4_900 + step * 50)).await;
        process.kill().await;
        let process = house.start().await;
        house.at(300).await;
        assert!(house.is_active(id).await && house.has(&key), "step {step}");
        house.at(599).await;
        tokio::time::sleep(std::time::Duration::from_millis(900 + step * 50)).await;
        process.kill().await;
        let process = house.start().await;
        house.at(15 * 60).await;
        assert!(!house.has(&key), "step {step}");
        assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted), "step {step}");
        process.kill().await;
    }
}

#[tokio::test(start_paused = true)]
async fn two_processes_on_one_log_make_one_call_and_no_error() {
    let house = House::new().await;
    let one = house.start().await;
    let other = house.start().await;
    let key = key_of(&permission_set());
    let id = house.grant(&permission_set(), 10, HOUR).await;
    house.at(60).await;
    assert!(house.is_active(id).await);
    house.at(HOUR + 60).await;
    assert!(!house.has(&key));
    assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted));
    assert_eq!((house.calls(AwsOperation::Create), house.calls(AwsOperation::Delete)), (1, 1));
    assert!(house.aws.calls().iter().all(|record| record.error.is_none()));
    one.stop().await;
    other.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_process_whose_read_model_is_behind_asks_the_log_and_begins_nothing() {
    let house = House::new().await;
    let behind = house.start().await;
    let key = key_of(&permission_set());
    let id = house.grant(&permission_set(), 60, HOUR).await;
    house.at(30).await;
    behind.stop_following();
    let other = house.start().await;
    house.at(40).await;
    other.revoke("ada", id).await.unwrap();
    other.kill().await;
    house.at(120).await;
    assert_eq!(house.ledger(&key).await, None, "the log says that it was revoked");
    assert_eq!(house.calls(AwsOperation::Create), 0);
}

#[tokio::test(start_paused = true)]
async fn a_paused_process_cannot_create_after_the_removal() {
    let house = House::new().await;
    let key = key_of(&permission_set());
    let late = aws::Attempt {
        signed_at: instant(0),
        start_before: instant(0).checked_add(SignedDuration::from_secs(10)).unwrap(),
    };
    house.at(11).await;
    let refused = house.aws.create(&crate::house::aws_key(&key), late).await.unwrap_err();
    assert_eq!(refused.code, "TooLateToStart");
}

/// What an agenda is filled with, and in which order: what is due first.
#[tokio::test(start_paused = true)]
async fn what_is_unfinished_comes_by_when_it_needs_something() {
    let house = House::new().await;
    let process = house.start().await;
    let other = |account| Target::parse(account, sample::READ_ONLY).unwrap();
    house.ask(&other(sample::WEB_DEV)).await;
    let closed = house.grant(&other(sample::PAYMENTS_DEV), 0, 50).await;
    let closing = house.grant(&other(sample::PAYMENTS_PROD), 0, 100).await;
    let ending = house.grant(&permission_set(), 0, 2_000).await;
    let starting = house.grant(&permission_set(), 3_000, 4_000).await;
    house.at(80).await;
    assert_eq!(house.closed(closed).await, Some(ClosedHow::Deleted));
    for _ in 0..10 {
        house.aws.fail_next(AwsOperation::Delete, Fault::Refused(ErrorKind::Conflict));
    }
    house.at(120).await;
    let requests = &process.views.requests;
    let ids = |stories: Vec<views::Story>| -> Vec<RequestId> {
        stories.into_iter().map(|story| story.request.raised.id).collect()
    };
    let part = |after| {
        let (stories, next) = requests.unfinished(after, 2).unwrap();
        (ids(stories.into_iter().map(|(_, story)| story).collect()), next)
    };
    let (first, next) = part(None);
    assert_eq!(first, [closing, ending]);
    assert_eq!(next, Some((instant(2_000).as_millisecond(), ending)));
    assert_eq!(part(next), (vec![starting], None));
    let about: BTreeSet<RequestId> =
        ids(requests.unfinished_about(&key_of(&permission_set())).unwrap()).into_iter().collect();
    assert_eq!(about, BTreeSet::from([starting, ending]));
    let pending = key_of(&other(sample::WEB_DEV));
    assert!(requests.unfinished_about(&pending).unwrap().is_empty());
}

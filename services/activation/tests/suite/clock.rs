//! While the clock is in doubt nothing is given, and whatever is over is taken away.

use crate::house::{HOUR, House, aws_key, instant, key_of, permission_set, reason, role};
use activation::Missing;
use aws::simulated::{Behaviour, Operation as AwsOperation};
use domain::SignedDuration;
use lifecycle::assignment::{AssignmentEvent, Operation, Presence};
use lifecycle::event::{ClosedHow, EndedBecause};
use lifecycle::state::EndReason;
use tonic::Code;

const TEN_SECONDS: SignedDuration = SignedDuration::from_secs(10);

#[tokio::test(start_paused = true)]
async fn while_the_clock_is_in_doubt_nothing_is_activated_and_afterwards_it_is() {
    let house = House::new().await;
    let process = house.start().await;
    process.aws_is_ahead(TEN_SECONDS);
    let assigned = house.grant(&permission_set(), 5, HOUR).await;
    let with_role = house.grant(&role(), 5, HOUR).await;
    house.at(60).await;
    assert!(!house.is_active(assigned).await && !house.is_active(with_role).await);
    assert_eq!(house.calls(AwsOperation::Create), 0);
    process.aws_is_ahead(SignedDuration::ZERO);
    house.at(90).await;
    assert!(house.is_active(assigned).await && house.is_active(with_role).await);
}

#[tokio::test(start_paused = true)]
async fn by_a_clock_in_doubt_nothing_is_missing() {
    let list_lag = SignedDuration::from_secs(4);
    let mut house = House::with(Behaviour { list_lag, ..Behaviour::default() }).await;
    house.settings.missing = Missing::End;
    let process = house.start().await;
    let id = house.grant(&permission_set(), 0, HOUR).await;
    house.at(2).await;
    assert!(house.is_active(id).await);
    // By this clock the list, which does not show it yet, is not too old to be believed.
    let ahead = SignedDuration::from_secs(26);
    process.set_clock_ahead(ahead);
    process.aws_is_ahead(-ahead);
    process.reconcile("carol", Some(&key_of(&permission_set())), false).await.unwrap();
    house.at(60).await;
    assert!(house.is_active(id).await && house.has(&key_of(&permission_set())));
    assert_eq!(house.calls(AwsOperation::Create), 1);
}

#[tokio::test(start_paused = true)]
async fn by_a_clock_that_is_ahead_and_in_no_doubt_what_was_just_made_is_not_missing() {
    let list_lag = SignedDuration::from_secs(4);
    let mut house = House::with(Behaviour { list_lag, ..Behaviour::default() }).await;
    house.settings.missing = Missing::End;
    let process = house.start().await;
    let id = house.grant(&permission_set(), 0, HOUR).await;
    house.at(2).await;
    assert!(house.is_active(id).await);
    // A second later the list does not show it yet, and by this clock it is five seconds later.
    house.at(3).await;
    process.set_clock_ahead(SignedDuration::from_secs(4));
    process.reconcile("carol", Some(&key_of(&permission_set())), false).await.unwrap();
    house.at(60).await;
    assert!(house.is_active(id).await && house.has(&key_of(&permission_set())));
    assert_eq!(house.calls(AwsOperation::Create), 1);
}

#[tokio::test(start_paused = true)]
async fn by_a_clock_in_doubt_nothing_of_ours_is_someone_elses() {
    let list_lag = SignedDuration::from_secs(4);
    let house = House::with(Behaviour { list_lag, ..Behaviour::default() }).await;
    let process = house.start().await;
    let key = key_of(&permission_set());
    let id = house.grant(&permission_set(), 0, 100).await;
    house.at(103).await;
    assert!(!house.has(&key) && house.closed(id).await == Some(ClosedHow::Deleted));
    // By this clock the list, which shows it still, is not too old to be believed.
    let ahead = SignedDuration::from_secs(26);
    process.set_clock_ahead(ahead);
    process.aws_is_ahead(-ahead);
    process.reconcile("carol", Some(&key), false).await.unwrap();
    assert_eq!(house.ledger(&key).await.unwrap().presence, Presence::Absent);
    process.set_clock_ahead(SignedDuration::ZERO);
    process.aws_is_ahead(SignedDuration::ZERO);
    house.aws.standing(aws_key(&key));
    house.at(130).await;
    process.reconcile("carol", Some(&key), false).await.unwrap();
    assert_eq!(house.ledger(&key).await.unwrap().presence, Presence::Standing, "once it is sure");
}

#[tokio::test(start_paused = true)]
async fn a_window_that_passes_in_doubt_says_so() {
    let house = House::new().await;
    let process = house.start().await;
    process.aws_is_ahead(TEN_SECONDS);
    let id = house.grant(&permission_set(), 5, HOUR).await;
    house.at(HOUR + 5).await;
    let Some((EndReason::Ended(EndedBecause::Failed { reason }), _)) = house.over(id).await else {
        panic!("{:?}", house.over(id).await)
    };
    assert!(reason.starts_with("Unprovable: the clock is in doubt"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn while_the_clock_is_in_doubt_no_credentials_are_issued() {
    let house = House::new().await;
    let process = house.start().await;
    let id = house.grant(&role(), 5, HOUR).await;
    house.at(30).await;
    process.issue("ada", id, "one", None).await.unwrap();
    process.aws_is_ahead(TEN_SECONDS);
    let refused = process.issue("ada", id, "two", None).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unavailable, "CLOCK_IN_DOUBT"));
    assert_eq!(house.aws.sessions().len(), 1, "STS is not asked");
    process.aws_is_ahead(SignedDuration::ZERO);
    process.issue("ada", id, "two", None).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn while_the_clock_is_in_doubt_access_is_revoked_ended_removed_and_closed() {
    for revoked in [true, false] {
        let house = House::new().await;
        let process = house.start().await;
        let id = house.grant(&permission_set(), 5, HOUR).await;
        house.at(30).await;
        assert!(house.is_active(id).await);
        process.aws_is_ahead(-TEN_SECONDS);
        if revoked {
            process.revoke("ada", id).await.unwrap();
            house.at(60).await;
        } else {
            house.at(HOUR + 30).await;
        }
        assert!(!house.has(&key_of(&permission_set())), "revoked: {revoked}");
        assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted), "revoked: {revoked}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_clock_far_ahead_has_written_holds_up_no_removal_by_another() {
    // Killed anywhere around an attempt that AWS refuses for its signature.
    for step in 0..8_u64 {
        let latency = std::time::Duration::from_millis(100);
        let house = House::with(Behaviour { latency, ..Behaviour::default() }).await;
        let key = key_of(&permission_set());
        let one = house.start_as("one").await;
        let id = house.grant(&permission_set(), 0, HOUR).await;
        house.at(60).await;
        assert!(house.is_active(id).await);
        let _two = house.start_as("two").await;
        house.at(100).await;
        one.set_clock_ahead(SignedDuration::from_hours(2));
        house.at(101).await;
        tokio::time::sleep(std::time::Duration::from_millis(step * 40)).await;
        one.kill().await;
        house.at(HOUR + 60).await;
        assert!(!house.has(&key), "step {step}");
        assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted), "step {step}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_clock_far_ahead_has_ended_is_removed_by_another_at_once() {
    let house = House::new().await;
    let one = house.start_as("one").await;
    let id = house.grant(&permission_set(), 0, HOUR).await;
    house.at(60).await;
    let _two = house.start_as("two").await;
    house.at(100).await;
    one.set_clock_ahead(SignedDuration::from_hours(2));
    house.at(110).await;
    assert!(house.over(id).await.is_some() && house.has(&key_of(&permission_set())));
    one.kill().await;
    house.at(150).await;
    assert!(!house.has(&key_of(&permission_set())));
    assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted));
}

#[tokio::test(start_paused = true)]
async fn what_a_clock_ahead_has_removed_before_its_end_nobody_else_has() {
    let mut house = House::new().await;
    house.settings.missing = Missing::End;
    let key = key_of(&permission_set());
    let process = house.start().await;
    let id = house.grant(&permission_set(), 0, HOUR).await;
    house.at(60).await;
    assert!(house.is_active(id).await);
    process.kill().await;
    // By the clock of another it is over: it removes it, and dies before it has said so.
    let deadline = instant(60 + 20 * 60);
    let removal = AssignmentEvent::Attempted { key: key.clone(), operation: Operation::Delete, deadline };
    house.write_ledger(&key, removal).await;
    house.aws.remove(aws_key(&key));
    let _process = house.start().await;
    house.at(90).await;
    assert!(house.is_active(id).await && house.has(&key), "made again until its end");
    house.at(HOUR + 60).await;
    assert!(!house.has(&key));
    assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted));
}

#[tokio::test(start_paused = true)]
async fn what_a_clock_ahead_has_written_begins_nothing_before_its_window() {
    let house = House::new().await;
    let key = key_of(&permission_set());
    let ahead = house.start().await;
    let first = house.grant(&permission_set(), 0, 600).await;
    house.at(60).await;
    ahead.set_clock_ahead(SignedDuration::from_mins(4));
    house.at(370).await;
    assert_eq!(house.closed(first).await, Some(ClosedHow::Deleted), "by its clock it is over");
    ahead.kill().await;
    let _right = house.start().await;
    let withdrawn = house.grant(&permission_set(), 580, HOUR).await;
    let next = house.grant(&permission_set(), 590, HOUR).await;
    house.at(380).await;
    house.withdraw(withdrawn).await;
    house.at(589).await;
    assert!(!house.has(&key) && house.calls(AwsOperation::Create) == 1);
    house.at(600).await;
    assert!(house.has(&key) && house.is_active(next).await);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_right_again_waits_for_nothing() {
    let house = House::new().await;
    let process = house.start().await;
    let id = house.grant(&permission_set(), 0, HOUR).await;
    house.at(60).await;
    process.set_clock_ahead(SignedDuration::from_hours(2));
    house.at(90).await;
    assert!(house.over(id).await.is_some(), "by its clock");
    assert!(house.has(&key_of(&permission_set())), "AWS refuses its signatures");
    process.set_clock_ahead(SignedDuration::ZERO);
    house.at(100).await;
    assert!(!house.has(&key_of(&permission_set())));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_made_by_an_attempt_that_the_log_dates_after_the_window() {
    let house = House::new().await;
    let key = key_of(&permission_set());
    let id = house.grant(&permission_set(), 0, 60).await;
    house.at(61).await;
    // By a process whose clock was right.
    let (operation, deadline) = (Operation::Create, instant(90));
    let attempt =
        house.write_ledger(&key, AssignmentEvent::Attempted { key: key.clone(), operation, deadline }).await;
    let (reason, definite) = ("ConflictException".to_owned(), true);
    house.write_ledger(&key, AssignmentEvent::Failed { attempt, reason, definite }).await;
    let behind = house.start().await;
    behind.set_clock_ahead(SignedDuration::from_secs(-4));
    house.at(63).await;
    assert!(house.over(id).await.is_none(), "by its clock the window is not over");
    house.at(90).await;
    assert_eq!(house.calls(AwsOperation::Create), 0);
    let Some((EndReason::Ended(EndedBecause::Failed { reason }), _)) = house.over(id).await else {
        panic!("{:?}", house.over(id).await)
    };
    assert_eq!(reason, "ConflictException");
    assert_eq!(house.closed(id).await, Some(ClosedHow::NothingCreated));
}

#[tokio::test(start_paused = true)]
async fn what_a_clock_far_ahead_has_dated_after_a_window_keeps_nothing_from_being_made_in_it() {
    let house = House::new().await;
    let key = key_of(&permission_set());
    let ahead = house.start().await;
    let first = house.grant(&permission_set(), 0, 600).await;
    house.at(60).await;
    ahead.set_clock_ahead(SignedDuration::from_mins(9));
    house.at(90).await;
    ahead.kill().await;
    assert!(house.over(first).await.is_some(), "by its clock");
    let dated = house.ledger(&key).await.unwrap().last_at;
    assert!(dated > instant(400), "{dated}");
    let next = house.grant(&permission_set(), 100, 400).await;
    let _right = house.start().await;
    house.at(200).await;
    assert!(house.has(&key) && house.is_active(next).await);
}

#[tokio::test(start_paused = true)]
async fn a_removal_that_was_left_open_is_not_confirmed_by_a_list_that_is_behind_what_was_made_before_it() {
    let list_lag = SignedDuration::from_secs(4);
    let house = House::with(Behaviour { list_lag, ..Behaviour::default() }).await;
    let key = key_of(&permission_set());
    let one = house.start_as("one").await;
    let id = house.grant(&permission_set(), 0, 4).await;
    house.at(2).await;
    assert!(house.is_active(id).await);
    // It dies before it calls for the removal that it intended; the list does not show yet what was made.
    one.kill().await;
    let (operation, deadline) = (Operation::Delete, instant(1_200));
    house.write_ledger(&key, AssignmentEvent::Attempted { key: key.clone(), operation, deadline }).await;
    let two = house.start_as("two").await;
    let ahead = SignedDuration::from_secs(9);
    two.set_clock_ahead(ahead);
    house.at(30).await;
    two.set_clock_ahead(SignedDuration::ZERO);
    house.at(HOUR).await;
    assert!(!house.has(&key));
    assert!(house.closed(id).await.is_some());
}

/// Ten attempts were written and given up, and the next came ten seconds later.
#[tokio::test(start_paused = true)]
async fn what_was_granted_by_a_clock_ahead_of_ours_is_made_when_that_time_comes_and_not_attempted_before() {
    let house = House::new().await;
    let behind = house.start().await;
    behind.set_clock_ahead(SignedDuration::from_secs(-3));
    house.at(10).await;
    let id = house.grant(&permission_set(), 0, HOUR).await;
    house.at(12).await;
    assert_eq!(house.calls(AwsOperation::Create), 0, "by its clock it is not granted yet");
    house.at(16).await;
    assert!(house.is_active(id).await && house.calls(AwsOperation::Create) == 1);
    let given_up = |event: &journal::Event| {
        matches!(&event.fact, journal::Fact::Assignment(AssignmentEvent::AttemptAbandoned { .. }))
    };
    assert!(!house.events().iter().any(given_up));
}

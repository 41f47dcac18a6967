//! Several replicas on one log: one of them does the work, and another takes over when it does not.

use crate::house::{HOUR, House, POLICY, Process, aws_key, instant, key_of, permission_set, role};
use aws::ErrorKind;
use aws::simulated::{Behaviour, Fault, Operation as AwsOperation, sample};
use domain::{PrincipalId, SignedDuration, Target};
use lifecycle::assignment::{AssignmentEvent, AssignmentKey, Operation};
use lifecycle::event::{ClosedHow, EndedBecause};
use lifecycle::state::EndReason;

/// How long a replica waits before it takes over, and then some: it looks once a second.
const TAKE_OVER: i64 = 3;

#[tokio::test(start_paused = true)]
async fn one_replica_changes_aws_and_the_duty_is_claimed_once() {
    let house = House::new().await;
    let one = house.start_as("one").await;
    let two = house.start_as("two").await;
    let mut ids = Vec::new();
    for (account, start) in [(sample::WEB_PROD, 0), (sample::PAYMENTS_PROD, 60), (sample::WEB_DEV, 120)] {
        ids.push(house.grant(&Target::parse(account, sample::READ_ONLY).unwrap(), start, HOUR).await);
    }
    ids.push(house.grant(&role(), 100, HOUR).await);
    house.at(HOUR - 10).await;
    for id in &ids {
        assert!(house.is_active(*id).await);
    }
    house.at(2 * HOUR).await;
    for id in &ids {
        assert!(house.closed(*id).await.is_some());
    }
    assert_eq!(house.claims().len(), 1, "{:?}", house.claims());
    let (by_one, by_two) = (one.aws_changes(), two.aws_changes());
    assert!(by_one.min(by_two) == 0 && by_one.max(by_two) > 0, "{by_one} and {by_two}");
}

#[tokio::test(start_paused = true)]
async fn nobody_claims_what_nobody_needs() {
    let house = House::new().await;
    let _one = house.start_as("one").await;
    let _two = house.start_as("two").await;
    house.grant(&permission_set(), 2 * HOUR, 3 * HOUR).await;
    house.at(HOUR).await;
    assert!(house.claims().is_empty());
}

/// Nobody takes over what a killed replica leaves, and access stays.
#[tokio::test(start_paused = true)]
async fn lost_take_over() {
    let house = House::new().await;
    let key = key_of(&permission_set());
    let one = house.start_as("one").await;
    let removed = house.grant(&permission_set(), 0, HOUR).await;
    let elapsed = house.grant(&role(), 0, HOUR).await;
    house.at(60).await;
    let two = house.start_as("two").await;
    house.at(HOUR - 1).await;
    assert_eq!(house.claims(), ["one"]);
    one.kill().await;
    house.at(HOUR + TAKE_OVER).await;
    assert_eq!(house.claims(), ["one", "two"]);
    for id in [removed, elapsed] {
        assert_eq!(house.over(id).await.unwrap().0, EndReason::Ended(EndedBecause::Elapsed));
    }
    assert_eq!(house.calls(AwsOperation::Delete), 1);
    house.at(HOUR + 10).await;
    assert!(!house.has(&key));
    assert_eq!(house.closed(removed).await, Some(ClosedHow::Deleted));
    assert!(two.aws_calls() > 0);
}

#[tokio::test(start_paused = true)]
async fn what_comes_due_after_the_holder_died_is_taken_over_within_the_patience() {
    for target in [permission_set(), role()] {
        let house = House::new().await;
        let one = house.start_as("one").await;
        let other = Target::parse(sample::PAYMENTS_DEV, sample::READ_ONLY).unwrap();
        house.grant(&other, 0, HOUR).await;
        house.at(30).await;
        assert_eq!(house.claims(), ["one"]);
        let _two = house.start_as("two").await;
        let id = house.grant(&target, 100, HOUR).await;
        one.kill().await;
        // A change is left for 5 seconds to whoever may be looking at AWS.
        house.at(100 + 5 + TAKE_OVER).await;
        assert!(house.is_active(id).await, "{target}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_killed_replica_had_begun_is_finished_by_another() {
    for step in 0..30_u64 {
        let house = House::new().await;
        let key = key_of(&permission_set());
        let one = house.start_as("one").await;
        let _two = house.start_as("two").await;
        let id = house.grant(&permission_set(), 10, 600).await;
        house.at(10).await;
        tokio::time::sleep(std::time::Duration::from_millis(step * 50)).await;
        one.kill().await;
        house.at(60).await;
        assert!(house.is_active(id).await && house.has(&key), "step {step}");
        assert!(house.calls(AwsOperation::Create) <= 2, "step {step}");
        house.at(700).await;
        assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted), "step {step}");
        assert!(!house.has(&key), "step {step}");
    }
}

/// A paused process creates an assignment after its removal was confirmed.
#[tokio::test(start_paused = true)]
async fn zombie_create() {
    // Paused anywhere on the way from the start of the window to the call, woken when all is over.
    for step in 0..12_u64 {
        let latency = std::time::Duration::from_millis(100);
        let house = House::with(Behaviour { latency, ..Behaviour::default() }).await;
        let key = key_of(&permission_set());
        let one = house.start_as("one").await;
        let two = house.start_as("two").await;
        let id = house.grant(&permission_set(), 10, 120).await;
        two.pause();
        house.at(10).await;
        two.resume();
        tokio::time::sleep(std::time::Duration::from_millis(step * 20)).await;
        one.pause();
        house.at(60).await;
        two.revoke("ada", id).await.unwrap();
        // The fence of an attempt of which nothing is known takes 20 minutes.
        house.at(30 * 60).await;
        assert!(!house.has(&key), "step {step}");
        assert!(house.closed(id).await.is_some(), "step {step}");
        let accepted = || {
            let calls = house.aws.calls();
            calls
                .iter()
                .filter(|record| record.call.operation() == AwsOperation::Create && record.error.is_none())
                .count()
        };
        let creates = accepted();
        let changes = house.aws.changes().len();
        one.resume();
        house.at(40 * 60).await;
        // A call that was on its way is refused by its signature; none begins.
        assert_eq!(accepted(), creates, "step {step}");
        assert_eq!(house.aws.changes().len(), changes, "step {step}");
        assert!(!house.has(&key), "step {step}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_was_paused_looks_who_has_the_duty_before_doing_anything() {
    let house = House::new().await;
    let one = house.start_as("one").await;
    let first = house.grant(&permission_set(), 0, 600).await;
    house.at(100).await;
    let two = house.start_as("two").await;
    one.pause();
    house.at(700).await;
    assert_eq!(house.closed(first).await, Some(ClosedHow::Deleted));
    assert_eq!(house.claims(), ["one", "two"]);
    // Due at the instant at which it wakes.
    let second = house.grant(&permission_set(), 800, 2 * HOUR).await;
    house.at(799).await;
    let before = one.aws_calls();
    one.resume();
    house.at(900).await;
    assert!(house.is_active(second).await);
    assert_eq!(one.aws_calls(), before, "it steps back");
    assert_eq!(house.claims(), ["one", "two"]);
    assert!(two.aws_calls() > 0);
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_aws_is_no_reason_to_take_over() {
    let house = House::new().await;
    let _one = house.start_as("one").await;
    let _two = house.start_as("two").await;
    // An operation that takes long, removals that fail again and again, and an outcome that is never known.
    house.aws.fail_next(AwsOperation::Create, Fault::Slow(SignedDuration::from_secs(12)));
    let id = house.grant(&permission_set(), 0, 600).await;
    house.at(30).await;
    assert!(house.is_active(id).await);
    house.at(599).await;
    // For less than half a minute: longer, and another has a try.
    for _ in 0..4 {
        house.aws.fail_next(AwsOperation::Delete, Fault::Refused(ErrorKind::Conflict));
    }
    house.at(HOUR).await;
    assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted));
    house.aws.fail_next(AwsOperation::Create, Fault::REQUEST_LOST);
    let lost = house.grant(&permission_set(), HOUR, HOUR + 3).await;
    house.at(2 * HOUR).await;
    assert!(house.closed(lost).await.is_some());
    assert_eq!(house.claims().len(), 1, "{:?}", house.claims());
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_aws_makes_long_is_no_reason_to_take_over() {
    let behaviour = Behaviour { outstanding_max: Some(2), ..Behaviour::like_aws() };
    let mut house = House::with(behaviour).await;
    house.settings.outstanding_max = 2;
    let accounts = house.many_accounts(40);
    let _one = house.start_as("one").await;
    let _two = house.start_as("two").await;
    house.at(5).await;
    let mut ids = Vec::new();
    for account in &accounts {
        ids.push(house.grant(&Target::parse(account, sample::READ_ONLY).unwrap(), 10, 4 * HOUR).await);
    }
    house.at(20 * 60).await;
    for id in &ids {
        assert!(house.is_active(*id).await);
    }
    assert_eq!(house.claims().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_its_fence_keeps_nobody_from_taking_over_in_its_account() {
    let house = House::new().await;
    let one = house.start_as("one").await;
    house.aws.fail_next(AwsOperation::Create, Fault::ArrivesLater(SignedDuration::from_secs(240)));
    for _ in 0..40 {
        house.aws.fail_next(AwsOperation::Create, Fault::Refused(ErrorKind::Throttled));
    }
    let fenced = house.grant(&permission_set(), 0, 120).await;
    house.at(150).await;
    house.aws.heal();
    assert!(house.request(fenced).await.is_closing());
    let _two = house.start_as("two").await;
    one.kill().await;
    house.at(180).await;
    let next = house.grant(&permission_set(), 180, HOUR).await;
    house.at(210).await;
    assert!(house.is_active(next).await && house.has(&key_of(&permission_set())));
    assert_eq!(house.claims(), ["one", "two"]);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_late_with_what_waits_for_its_fence_alone() {
    let house = House::new().await;
    let one = house.start_as("one").await;
    let two = house.start_as("two").await;
    for _ in 0..40 {
        house.aws.fail_next(AwsOperation::Create, Fault::Refused(ErrorKind::Unknown));
    }
    let id = house.grant(&permission_set(), 0, 120).await;
    for second in (180..30 * 60).step_by(5) {
        house.at(second).await;
        assert_eq!((one.service.overdue(), two.service.overdue()), (0, 0), "second {second}");
        assert!(second > 18 * 60 || house.request(id).await.is_closing());
    }
    assert!(house.closed(id).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn who_starts_in_the_middle_of_a_queue_does_not_take_over() {
    let behaviour = Behaviour { outstanding_max: Some(2), ..Behaviour::like_aws() };
    let mut house = House::with(behaviour).await;
    house.settings.outstanding_max = 2;
    let accounts = house.many_accounts(40);
    let _one = house.start_as("one").await;
    house.at(5).await;
    for account in &accounts {
        house.grant(&Target::parse(account, sample::READ_ONLY).unwrap(), 10, 4 * HOUR).await;
    }
    for at in [30, 42, 54] {
        house.at(at).await;
        let started = house.start_as("two").await;
        house.at(at + 10).await;
        started.kill().await;
    }
    assert_eq!(house.claims(), ["one"]);
}

#[tokio::test(start_paused = true)]
async fn hands_change_less_and_less_often_when_it_does_not_help() {
    let house = House::new().await;
    let _one = house.start_as("one").await;
    let _two = house.start_as("two").await;
    // Nobody can look at what exists, so nobody can begin.
    for _ in 0..100_000 {
        house.aws.fail_next(AwsOperation::Holders, Fault::Refused(ErrorKind::Unavailable));
    }
    house.grant(&permission_set(), 0, 8 * HOUR).await;
    house.at(10 * 60).await;
    let claims = house.claims().len();
    assert!((2..=10).contains(&claims), "{claims} claims in ten minutes");
}

/// The creation of who died is waited for by who took over; nobody takes that over in turn.
#[tokio::test(start_paused = true)]
async fn who_waits_for_what_another_began_is_left_to_it() {
    let latency = std::time::Duration::from_secs(3);
    let house = House::with(Behaviour { latency, ..Behaviour::default() }).await;
    let one = house.start_as("one").await;
    house.at(20).await;
    let id = house.grant(&permission_set(), 30, HOUR).await;
    house.aws.fail_next(AwsOperation::Create, Fault::REQUEST_LOST);
    house.at(32).await;
    let ledger = house.ledger(&key_of(&permission_set())).await;
    assert!(ledger.is_some_and(|ledger| ledger.attempt().is_some()), "its call is on its way");
    house.aws.set_behaviour(Behaviour::default());
    one.kill().await;
    let _two = house.start_as("two").await;
    let _three = house.start_as("three").await;
    house.at(200).await;
    assert!(house.is_active(id).await);
    assert_eq!(house.claims().len(), 2, "{:?}", house.claims());
}

#[tokio::test(start_paused = true)]
async fn a_history_that_cannot_be_read_is_no_reason_to_take_over() {
    let house = House::new().await;
    let _one = house.start_as("one").await;
    let _two = house.start_as("two").await;
    let id = house.grant(&permission_set(), 0, 600).await;
    house.at(60).await;
    house.garble(id).await;
    house.at(HOUR).await;
    assert!(!house.aws.has(&aws_key(&key_of(&permission_set()))));
    assert_eq!(house.claims().len(), 1, "{:?}", house.claims());
}

/// Of two requests for the same one is damaged, and nothing can follow for it; but for the other one something can.
#[tokio::test(start_paused = true)]
async fn an_attempt_that_the_dead_have_left_open_keeps_nobody_from_taking_over() {
    let house = House::new().await;
    let key = key_of(&permission_set());
    let one = house.start_as("one").await;
    house.grant(&Target::parse(sample::WEB_DEV, sample::READ_ONLY).unwrap(), 0, HOUR).await;
    house.at(10).await;
    one.kill().await;
    let damaged = house.grant(&permission_set(), 10, 300).await;
    let other = house.grant(&permission_set(), 10, HOUR).await;
    let (operation, deadline) = (Operation::Create, instant(40));
    house.write_ledger(&key, AssignmentEvent::Attempted { key: key.clone(), operation, deadline }).await;
    house.garble(damaged).await;
    let two = house.start_as("two").await;
    house.at(11).await;
    two.revoke("ada", other).await.unwrap();
    house.at(HOUR - 60).await;
    assert_eq!(house.claims(), ["one", "two"]);
    assert!(house.closed(other).await.is_some() && !house.has(&key));
}

#[tokio::test(start_paused = true)]
async fn the_same_name_goes_on_at_once_after_a_restart() {
    let house = House::new().await;
    let process = house.start_as("serve").await;
    let id = house.grant(&permission_set(), 0, HOUR).await;
    house.at(60).await;
    process.kill().await;
    house.at(HOUR + 60).await;
    let _process = house.start_as("serve").await;
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert_eq!(house.calls(AwsOperation::Delete), 1, "whatever is overdue is called for at once");
    house.at(HOUR + 70).await;
    assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted));
    assert_eq!(house.claims(), ["serve"]);
    assert!(house.clock.now() < instant(2 * HOUR));
}

/// Access stays past its end, although a replica that could remove it runs.
#[tokio::test(start_paused = true)]
async fn what_fails_for_one_replica_alone_is_done_by_another() {
    let house = House::new().await;
    let key = key_of(&permission_set());
    let one = house.start_as("one").await;
    let removed = house.grant(&permission_set(), 0, 600).await;
    house.at(30).await;
    let two = house.start_as("two").await;
    one.cut_from_aws(true);
    house.at(600 + 25).await;
    assert_eq!(house.claims(), ["one"], "at first it is AWS that may be at fault");
    assert!(house.has(&key));
    house.at(600 + 30 + 20).await;
    assert_eq!(house.claims(), ["one", "two"]);
    assert!(!house.has(&key));
    assert_eq!(house.closed(removed).await, Some(ClosedHow::Deleted));
    assert!(two.aws_calls() > 0);
}

/// AWS may refuse one change alone, so it is left to who gets others done; not for ever.
#[tokio::test(start_paused = true)]
async fn what_fails_while_all_else_is_done_is_left_to_who_does_that_for_minutes() {
    let house = House::new().await;
    let _one = house.start_as("one").await;
    house.grant(&permission_set(), 0, 600).await;
    house.at(30).await;
    let _two = house.start_as("two").await;
    let account = &house.many_accounts(1)[0];
    let target = Target::parse(account, sample::READ_ONLY).unwrap();
    for _ in 0..1_000 {
        house.aws.fail_next(AwsOperation::Delete, Fault::Refused(ErrorKind::Denied));
    }
    house.at(605).await;
    let granted = house.grant(&target, 605, HOUR).await;
    house.at(600 + 5 * 60 - 5).await;
    assert!(house.is_active(granted).await);
    assert_eq!(house.claims(), ["one"]);
    house.at(600 + 5 * 60 + 20).await;
    assert_eq!(house.claims(), ["one", "two"]);
}

#[tokio::test(start_paused = true)]
async fn what_fails_for_everybody_changes_hands_less_often_and_still_every_ten_minutes() {
    let house = House::new().await;
    let one = house.start_as("one").await;
    let two = house.start_as("two").await;
    house.grant(&permission_set(), 0, 600).await;
    house.at(30).await;
    one.cut_from_aws(true);
    two.cut_from_aws(true);
    house.at(5 * HOUR).await;
    let claims = house.claims().len();
    assert!((27..=34).contains(&claims), "{claims} claims in five hours");
    one.cut_from_aws(false);
    two.cut_from_aws(false);
    house.at(5 * HOUR + 600).await;
    assert!(!house.has(&key_of(&permission_set())));
}

/// Two replicas of which the first has the duty, and Ada's access until the hour is over.
async fn on_duty_and_beside(house: &House) -> (Process, Process) {
    let one = house.start_as("one").await;
    house.grant(&permission_set(), 0, HOUR).await;
    house.at(60).await;
    let two = house.start_as("two").await;
    house.at(90).await;
    assert_eq!(house.claims(), ["one"]);
    (one, two)
}

#[tokio::test(start_paused = true)]
async fn an_account_is_busy_until_nobody_has_been_at_work_in_it_for_the_patience() {
    let house = House::new().await;
    let both = format!("\"{}\", \"{}\"", sample::READ_ONLY, sample::ADMINISTRATOR_ACCESS);
    house.apply(&POLICY.replace(&format!("\"{}\"", sample::READ_ONLY), &both)).await;
    let (one, _two) = on_duty_and_beside(&house).await;
    one.kill().await;
    let targets = [sample::READ_ONLY, sample::ADMINISTRATOR_ACCESS]
        .map(|set| Target::parse(sample::PAYMENTS_DEV, set).unwrap());
    let mut ids = Vec::new();
    for target in &targets {
        ids.push(house.grant(target, 100, HOUR).await);
    }
    // What whoever has the duty writes, who is at the first; the second waits for the account.
    let key = key_of(&targets[0]);
    let deadline = instant(100 + 20 * 60);
    house.at(101).await;
    let attempted = AssignmentEvent::Attempted { key: key.clone(), operation: Operation::Create, deadline };
    let attempt = house.write_ledger(&key, attempted).await;
    house.at(108).await;
    assert_eq!(house.claims(), ["one"], "a call is under way");
    let reason = "ThrottlingException".to_owned();
    house.write_ledger(&key, AssignmentEvent::Failed { attempt, reason, definite: true }).await;
    tokio::time::sleep(std::time::Duration::from_millis(1_800)).await;
    assert_eq!(house.claims(), ["one"], "it was a moment ago: they look at the second");
    // The call alone would excuse them for some seconds more.
    house.at(108 + 2 * TAKE_OVER).await;
    assert_eq!(house.claims(), ["one", "two"]);
    house.at(130).await;
    for id in ids {
        assert!(house.is_active(id).await);
    }
}

/// A replica without the duty says that it looks, and nobody does.
#[tokio::test(start_paused = true)]
async fn whichever_replica_is_asked_looks_and_whoever_has_the_duty_mends_what_differs() {
    let house = House::new().await;
    let (_one, two) = on_duty_and_beside(&house).await;
    let key = key_of(&permission_set());
    for (at, named) in [(120, Some(&key)), (180, None)] {
        house.at(at).await;
        house.aws.remove(aws_key(&key));
        let before = two.aws_calls();
        let looked = two.reconcile("carol", named, false).await.unwrap();
        assert_eq!(looked.assignments, 1);
        house.at(at + 20).await;
        assert_eq!(two.aws_calls(), before + 1, "it looks, and does no more");
        assert!(house.has(&key), "long before the next sweep");
    }
    assert_eq!(house.claims(), ["one"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_adopted_at_any_replica_is_removed_at_once_by_whoever_has_the_duty() {
    let house = House::new().await;
    let (_one, two) = on_duty_and_beside(&house).await;
    let target = Target::parse(sample::PAYMENTS_DEV, sample::ADMINISTRATOR_ACCESS).unwrap();
    let theirs = AssignmentKey { principal: PrincipalId::new(sample::DAVE).unwrap(), target };
    house.aws.standing(aws_key(&theirs));
    two.reconcile("carol", Some(&theirs), true).await.unwrap();
    house.at(110).await;
    assert!(!house.has(&theirs));
    assert_eq!((two.aws_changes(), house.claims()), (0, vec!["one".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn a_look_by_any_replica_leaves_alone_what_no_request_needs() {
    let house = House::new().await;
    let (_one, two) = on_duty_and_beside(&house).await;
    let key = key_of(&Target::parse(sample::WEB_DEV, sample::READ_ONLY).unwrap());
    house.aws.standing(aws_key(&key));
    let noted = two.reconcile("carol", Some(&key), false).await.unwrap().assignment.unwrap();
    assert_eq!(noted.state(), api::activation::v1::AssignmentState::Standing);
    house.aws.remove(aws_key(&key));
    house.at(110).await;
    two.reconcile("carol", Some(&key), false).await.unwrap();
    house.at(130).await;
    assert!(!house.has(&key), "gone by whoever made it, and not made again");
    assert_eq!(house.calls(AwsOperation::Delete), 0);
}

#[tokio::test(start_paused = true)]
async fn what_stood_there_and_is_gone_is_made_at_once_whichever_replica_is_asked() {
    let house = House::new().await;
    let key = key_of(&permission_set());
    house.aws.standing(aws_key(&key));
    let (_one, two) = on_duty_and_beside(&house).await;
    house.aws.remove(aws_key(&key));
    two.reconcile("carol", Some(&key), false).await.unwrap();
    house.at(110).await;
    assert!(house.has(&key), "long before the next sweep");
    assert_eq!(house.claims(), ["one"]);
}

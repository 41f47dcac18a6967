//! Sweeps change hands as well: what a killed replica would have found, another finds, and takes over to see to it.

use crate::house::{HOUR, House, Process, aws_key, human, instant, key_of, permission_set, role_for_users};
use activation::Settings;
use aws::simulated::{Call, Fault, Operation as AwsOperation, sample};
use domain::{PrincipalId, SignedDuration, Target};
use lifecycle::assignment::{AssignmentEvent, AssignmentKey, Operation, Presence};

/// Ledgers are looked through every five minutes, the organisation every ten.
const SWEEP: i64 = 300;
const ORGANISATION: i64 = 600;

/// When the only request has long been over, and the next thing due is a sweep.
const QUIET: i64 = 1_200;

/// Two replicas of which the first has the duty, and nothing to do but sweeps.
async fn quiet() -> (House, Process, Process) {
    let mut house = House::new().await;
    house.settings = Settings {
        organisation_sweep_interval: SignedDuration::from_secs(ORGANISATION),
        ..Settings::default()
    };
    let one = house.start_as("one").await;
    house.grant(&Target::parse(sample::WEB_DEV, sample::READ_ONLY).unwrap(), 0, 600).await;
    house.at(60).await;
    let two = house.start_as("two").await;
    house.at(QUIET).await;
    assert_eq!(house.claims(), ["one"]);
    (house, one, two)
}

fn of_dave(target: Target) -> AssignmentKey {
    AssignmentKey { principal: PrincipalId::new(sample::DAVE).unwrap(), target }
}

/// Made by a process that is gone, for a request that is not there.
async fn orphan(house: &House, key: &AssignmentKey) {
    let attempted = AssignmentEvent::Attempted {
        key: key.clone(),
        operation: Operation::Create,
        deadline: instant(QUIET + 60),
    };
    let attempt = house.write_ledger(key, attempted).await;
    house.write_ledger(key, AssignmentEvent::Confirmed { attempt }).await;
    house.aws.standing(aws_key(key));
}

async fn presence(house: &House, key: &AssignmentKey) -> Option<Presence> {
    house.ledger(key).await.map(|ledger| ledger.presence)
}

#[tokio::test(start_paused = true)]
async fn what_is_ours_goes_within_three_sweeps_although_who_has_the_duty_is_dead() {
    for target in [permission_set(), role_for_users()] {
        let (house, one, _two) = quiet().await;
        one.kill().await;
        let key = key_of(&target);
        orphan(&house, &key).await;
        house.at(QUIET + 2 * SWEEP - 30).await;
        assert!(house.has(&key), "whoever has the duty is given the time to come by");
        house.at(QUIET + 3 * SWEEP + 30).await;
        assert!(!house.has(&key), "{target}");
        assert!(house.ledger(&key).await.unwrap().is_settled_absent());
        assert_eq!(house.claims(), ["one", "two"]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_active_request_lacks_is_made_within_three_sweeps_although_who_has_the_duty_is_dead() {
    for standing in [false, true] {
        let (house, one, _two) = quiet().await;
        let key = key_of(&permission_set());
        if standing {
            house.aws.standing(aws_key(&key));
        }
        let id = house.grant(&permission_set(), QUIET, 12 * HOUR).await;
        house.at(QUIET + 60).await;
        assert!(house.is_active(id).await && house.has(&key));
        one.kill().await;
        house.aws.remove(aws_key(&key));
        house.at(QUIET + 2 * SWEEP).await;
        assert!(!house.has(&key), "whoever has the duty is given the time to come by");
        house.at(QUIET + 4 * SWEEP).await;
        assert!(house.has(&key));
        assert_eq!(house.claims(), ["one", "two"]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_there_and_what_cannot_be_given_is_no_reason_to_take_over() {
    let (house, one, two) = quiet().await;
    let key = key_of(&permission_set());
    let id = house.grant(&permission_set(), QUIET, 12 * HOUR).await;
    house.at(QUIET + 60).await;
    one.kill().await;
    house.at(2 * HOUR).await;
    assert_eq!(house.claims(), ["one"]);
    // Who is eligible cannot be told.
    two.stop_reading_the_directory();
    house.at(3 * HOUR).await;
    house.aws.remove(aws_key(&key));
    house.at(5 * HOUR).await;
    assert!(house.is_active(id).await && !house.has(&key));
    assert_eq!(house.claims(), ["one"]);
}

#[tokio::test(start_paused = true)]
async fn what_whoever_has_the_duty_removes_in_vain_another_removes() {
    let (house, one, _two) = quiet().await;
    one.cut_from_aws(true);
    let key = key_of(&permission_set());
    orphan(&house, &key).await;
    house.at(QUIET + 5 * SWEEP).await;
    assert!(!house.has(&key));
    assert_eq!(house.claims(), ["one", "two"]);
}

#[tokio::test(start_paused = true)]
async fn what_whoever_has_the_duty_removes_in_vain_another_removes_although_a_request_about_it_begins_later()
{
    let (house, one, _two) = quiet().await;
    one.cut_from_aws(true);
    let key = key_of(&permission_set());
    house.grant(&permission_set(), QUIET + 10 * HOUR, QUIET + 11 * HOUR).await;
    orphan(&house, &key).await;
    house.at(QUIET + 5 * SWEEP).await;
    assert!(!house.has(&key));
    assert_eq!(house.claims(), ["one", "two"]);
}

#[tokio::test(start_paused = true)]
async fn what_comes_back_with_an_account_goes_although_who_has_the_duty_is_dead() {
    let (house, one, _two) = quiet().await;
    let key = key_of(&permission_set());
    orphan(&house, &key).await;
    house.aws.remove(aws_key(&key));
    for name in ["carol", "dave"] {
        let (by, principal, comment) = (human(name), None, None);
        let given_up = if name == "carol" {
            AssignmentEvent::AbandonAsked { by, principal, comment }
        } else {
            AssignmentEvent::Abandoned { by, principal, comment }
        };
        house.write_ledger(&key, given_up).await;
    }
    house.at(QUIET + 2 * SWEEP).await;
    one.kill().await;
    house.aws.standing(aws_key(&key));
    house.at(QUIET + 5 * SWEEP + 30).await;
    assert!(!house.has(&key));
    assert_eq!(house.claims(), ["one", "two"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_someone_elses_is_noted_within_three_rounds_although_who_has_the_duty_is_dead() {
    let (house, one, _two) = quiet().await;
    one.kill().await;
    let keys = [
        of_dave(Target::parse(sample::PAYMENTS_DEV, sample::ADMINISTRATOR_ACCESS).unwrap()),
        of_dave(role_for_users()),
    ];
    for key in &keys {
        house.aws.standing(aws_key(key));
    }
    house.at(QUIET + 3 * ORGANISATION + SWEEP + 30).await;
    for key in &keys {
        assert_eq!(presence(&house, key).await, Some(Presence::Standing), "{}", key.target);
        assert!(house.has(key));
    }
    assert_eq!(house.claims(), ["one", "two"]);
    assert_eq!(house.calls(AwsOperation::Delete), 1, "that of the request");
}

/// Lets time pass until somebody has looked who holds what this one holds; says when that is.
async fn looked_for(house: &House, key: &AssignmentKey, mut second: i64) -> i64 {
    let looked = Call::Holders(key.target.account().clone(), key.target.entitlement().clone());
    let since = house.clock.now();
    while !house.aws.calls().iter().any(|record| record.at > since && record.call == looked) {
        second += 5;
        house.at(second).await;
        assert!(second < QUIET + 3 * ORGANISATION, "a round");
    }
    second
}

/// What a replica had found once was for ever older to it than what had been written of it since, and so never undone.
#[tokio::test(start_paused = true)]
async fn what_comes_back_is_noted_once_more_although_who_has_the_duty_is_dead() {
    let (house, one, two) = quiet().await;
    one.kill().await;
    let key = of_dave(Target::parse(sample::PAYMENTS_DEV, sample::ADMINISTRATOR_ACCESS).unwrap());
    house.aws.standing(aws_key(&key));
    let found = looked_for(&house, &key, QUIET).await;
    two.reconcile("carol", Some(&key), false).await.unwrap();
    assert_eq!(presence(&house, &key).await, Some(Presence::Standing));
    house.aws.remove(aws_key(&key));
    house.at(found + 60).await;
    two.reconcile("carol", Some(&key), false).await.unwrap();
    assert_eq!(presence(&house, &key).await, Some(Presence::Absent));
    house.aws.standing(aws_key(&key));
    house.at(found + 60 + ORGANISATION + SWEEP + 30).await;
    assert_eq!(presence(&house, &key).await, Some(Presence::Standing));
    assert_eq!(house.claims(), ["one", "two"]);
}

/// It waited for as long as the clock had been ahead.
#[tokio::test(start_paused = true)]
async fn what_is_ours_and_was_found_by_a_clock_that_was_ahead_waits_no_longer_once_it_is_set_right() {
    let (house, one, two) = quiet().await;
    one.kill().await;
    let key = key_of(&permission_set());
    two.set_clock_ahead(SignedDuration::from_hours(2));
    orphan(&house, &key).await;
    // The ledgers are looked through meanwhile.
    house.at(QUIET + 90).await;
    two.set_clock_ahead(SignedDuration::ZERO);
    house.at(QUIET + 4 * SWEEP + 30).await;
    assert!(!house.has(&key));
    assert_eq!(house.claims(), ["one", "two"]);
}

/// The same of what is someone else's.
#[tokio::test(start_paused = true)]
async fn what_is_someone_elses_and_was_found_by_a_clock_that_was_ahead_waits_no_longer_once_it_is_set_right()
{
    let (house, one, two) = quiet().await;
    one.kill().await;
    let key = of_dave(Target::parse(sample::PAYMENTS_DEV, sample::ADMINISTRATOR_ACCESS).unwrap());
    two.set_clock_ahead(SignedDuration::from_hours(2));
    house.aws.standing(aws_key(&key));
    let found = looked_for(&house, &key, QUIET).await;
    two.set_clock_ahead(SignedDuration::ZERO);
    house.at(found + ORGANISATION + 2 * SWEEP).await;
    assert_eq!(presence(&house, &key).await, Some(Presence::Standing));
    assert_eq!(house.claims(), ["one", "two"]);
}

#[tokio::test(start_paused = true)]
async fn what_others_took_away_is_noted_within_three_rounds_although_who_has_the_duty_is_dead() {
    let (house, one, _two) = quiet().await;
    let keys = [
        of_dave(Target::parse(sample::PAYMENTS_DEV, sample::ADMINISTRATOR_ACCESS).unwrap()),
        of_dave(role_for_users()),
    ];
    for key in &keys {
        house.aws.standing(aws_key(key));
    }
    let noted = QUIET + 2 * ORGANISATION;
    house.at(noted).await;
    for key in &keys {
        assert_eq!(presence(&house, key).await, Some(Presence::Standing), "{}", key.target);
    }
    one.kill().await;
    for key in &keys {
        house.aws.remove(aws_key(key));
    }
    house.at(noted + 3 * ORGANISATION + SWEEP + 30).await;
    for key in &keys {
        assert_eq!(presence(&house, key).await, Some(Presence::Absent), "{}", key.target);
    }
    assert_eq!(house.claims(), ["one", "two"]);
}

#[tokio::test(start_paused = true)]
async fn who_sweeps_is_not_taken_over_from() {
    let (house, one, two) = quiet().await;
    // What is removed only after minutes of refusals, what is someone else's, and what may appear but does not.
    let key = key_of(&permission_set());
    orphan(&house, &key).await;
    for _ in 0..8 {
        house.aws.fail_next(AwsOperation::Delete, Fault::Refused(aws::ErrorKind::Conflict));
    }
    let theirs = of_dave(Target::parse(sample::PAYMENTS_DEV, sample::ADMINISTRATOR_ACCESS).unwrap());
    house.aws.standing(aws_key(&theirs));
    let lost = of_dave(permission_set());
    let attempted = AssignmentEvent::Attempted {
        key: lost.clone(),
        operation: Operation::Create,
        deadline: instant(QUIET + 20 * 60),
    };
    let attempt = house.write_ledger(&lost, attempted).await;
    let reason = "Timeout".to_owned();
    house.write_ledger(&lost, AssignmentEvent::Failed { attempt, reason, definite: false }).await;
    let before = two.aws_calls();
    house.at(QUIET + 4 * HOUR).await;
    assert!(!house.has(&key) && house.has(&theirs));
    assert_eq!(presence(&house, &theirs).await, Some(Presence::Standing));
    assert!(house.ledger(&lost).await.unwrap().is_settled_absent());
    assert_eq!(house.claims(), ["one"]);
    assert!(two.aws_calls() > before && one.aws_calls() > two.aws_calls(), "it looks, half as fast");
}

#[tokio::test(start_paused = true)]
async fn whom_aws_does_not_answer_takes_over_nothing_that_only_aws_can_tell() {
    let (house, one, two) = quiet().await;
    one.kill().await;
    two.cut_from_aws(true);
    let key = key_of(&permission_set());
    orphan(&house, &key).await;
    // Of a removal that a dead process intended, nothing is known either.
    let deadline = instant(QUIET + 60);
    let attempted = AssignmentEvent::Attempted { key: key.clone(), operation: Operation::Delete, deadline };
    house.write_ledger(&key, attempted).await;
    house.at(QUIET + 3 * SWEEP + 30).await;
    assert!(house.has(&key));
    assert_eq!(house.claims(), ["one"], "it could do nothing, and others would wait for longer");
    two.cut_from_aws(false);
    house.at(QUIET + 4 * SWEEP + 30).await;
    assert!(!house.has(&key), "it has waited long enough");
    assert_eq!(house.claims(), ["one", "two"]);
}

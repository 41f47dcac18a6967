//! AWS's limits: how well they are used, and that they are kept.

use crate::house::{HOUR, House, POLICY, aws_key, instant, key_of, permission_set, role_for_users};
use aws::simulated::{Behaviour, CallRecord, Fault, Operation as AwsOperation, sample};
use domain::{AccountId, PermissionSetArn, PrincipalId, RequestId, SignedDuration, Target, Timestamp};
use lifecycle::assignment::AssignmentKey;
use lifecycle::event::ClosedHow;
use std::time::Duration;

/// As it is at AWS, but for operations that take from three to eight seconds.
async fn house_like_aws() -> House {
    House::with(Behaviour { latency: Duration::from_millis(80), ..Behaviour::like_aws() }).await
}

/// Times from three to eight seconds, in no order, the same each time.
fn operation_times(count: usize) -> Vec<SignedDuration> {
    (0..i64::try_from(count).unwrap())
        .map(|nth| SignedDuration::from_millis(3_000 + (nth * 7_919) % 5_001))
        .collect()
}

/// No schedule is shorter: all of them one after the other in ten places.
fn best(times: &[SignedDuration], places: i32) -> SignedDuration {
    times.iter().sum::<SignedDuration>() / places
}

async fn ask_for(house: &House, accounts: &[String], start: i64, end: i64) -> Vec<RequestId> {
    let mut ids = Vec::new();
    for account in accounts {
        ids.push(house.grant(&Target::parse(account, sample::READ_ONLY).unwrap(), start, end).await);
    }
    ids
}

fn changed_until(house: &House, present: bool) -> Timestamp {
    house
        .aws
        .changes()
        .iter()
        .filter(|change| change.present == present)
        .map(|change| change.at)
        .max()
        .unwrap()
}

fn refused(calls: &[CallRecord]) -> usize {
    calls.iter().filter(|record| record.error.is_some()).count()
}

#[tokio::test(start_paused = true)]
async fn three_hundred_grants_and_as_many_removals_are_near_the_best_schedule() {
    let house = house_like_aws().await;
    let accounts = house.many_accounts(300);
    let _process = house.start().await;
    house.at(5).await;
    let times = operation_times(300);
    for time in &times {
        house.aws.fail_next(AwsOperation::Create, Fault::Slow(*time));
        house.aws.fail_next(AwsOperation::Delete, Fault::Slow(*time));
    }
    let (start, end) = (60, 2 * HOUR);
    let ids = ask_for(&house, &accounts, start, end).await;
    let best = best(&times, 10);
    let nearly = best * 11 / 10;
    house.at(start + nearly.as_secs() + 5).await;
    let granted_in = changed_until(&house, true).duration_since(instant(start));
    println!("grants: {granted_in:?}, at best {best:?}");
    for id in &ids {
        assert!(house.is_active(*id).await);
    }
    assert!(granted_in <= nearly, "{granted_in:?}, at best {best:?}");
    let calls = house.aws.take_calls();
    assert_eq!(refused(&calls), 0, "AWS never had to refuse");
    house.at(end + nearly.as_secs() + 5).await;
    let removed_in = changed_until(&house, false).duration_since(instant(end));
    println!("removals: {removed_in:?}, at best {best:?}");
    for id in &ids {
        assert_eq!(house.closed(*id).await, Some(ClosedHow::Deleted));
    }
    assert!(removed_in <= nearly, "{removed_in:?}, at best {best:?}");
    let removing: Vec<CallRecord> =
        house.aws.take_calls().into_iter().filter(|call| call.at >= instant(end)).collect();
    assert_eq!(refused(&removing), 0);
}

#[tokio::test(start_paused = true)]
async fn a_removal_goes_before_the_grants_that_wait() {
    let house = house_like_aws().await;
    let accounts = house.many_accounts(200);
    let _process = house.start().await;
    house.at(5).await;
    let leaving = house.grant(&Target::parse(sample::WEB_PROD, sample::READ_ONLY).unwrap(), 10, 130).await;
    ask_for(&house, &accounts, 100, 2 * HOUR).await;
    house.at(145).await;
    let calls = house.aws.calls();
    let removal = calls.iter().find(|call| call.call.operation() == AwsOperation::Delete).unwrap();
    let waited = removal.at.duration_since(instant(130));
    assert!(waited <= SignedDuration::from_millis(5_100), "no longer than until a place is free: {waited:?}");
    assert_eq!(house.closed(leaving).await, Some(ClosedHow::Deleted));
    assert!(house.calls(AwsOperation::Create) < 120, "there was a queue");
    assert_eq!(refused(&calls), 0);
}

#[tokio::test(start_paused = true)]
async fn a_removal_does_not_wait_for_a_check_of_its_assignment_or_of_its_account() {
    let house = house_like_aws().await;
    let accounts = house.many_accounts(300);
    let sets = house.many_permission_sets(1);
    let both = format!("\"{}\", \"{}\"", sample::READ_ONLY, sets[0]);
    house.apply(&POLICY.replace(&format!("\"{}\"", sample::READ_ONLY), &both)).await;
    let process = house.start().await;
    house.at(5).await;
    let mut ids = Vec::new();
    for set in [sample::READ_ONLY, &sets[0]] {
        ids.push(house.grant(&Target::parse(sample::WEB_PROD, set).unwrap(), 10, 2 * HOUR).await);
    }
    house.at(60).await;
    let began = instant(300);
    ask_for(&house, &accounts, 300, 2 * HOUR).await;
    // Both are to be looked at again five minutes after they were made: in the middle of the queue.
    house.at(340).await;
    for (at, id) in [(340, ids[0]), (360, ids[1])] {
        house.at(at).await;
        assert!(house.is_active(id).await);
        process.revoke("ada", id).await.unwrap();
    }
    house.at(385).await;
    for id in ids {
        assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted));
    }
    let made = house.aws.changes().iter().filter(|change| change.present && change.at > began).count();
    assert!(made < 250, "there was a queue: {made}");
}

#[tokio::test(start_paused = true)]
async fn a_crowded_account_is_begun_with_first() {
    let house = house_like_aws().await;
    let accounts = house.many_accounts(60);
    let sets = house.many_permission_sets(12);
    let listed: Vec<String> = sets.iter().map(|set| format!("\"{set}\"")).collect();
    let read_only = format!("\"{}\"", sample::READ_ONLY);
    house.apply(&POLICY.replace(&read_only, &format!("{read_only}, {}", listed.join(", ")))).await;
    let _process = house.start().await;
    house.at(5).await;
    // Last in the order of keys, and one after the other: no schedule is shorter than these.
    let mut ids = ask_for(&house, &accounts, 60, 2 * HOUR).await;
    for set in &sets {
        ids.push(house.grant(&Target::parse("799999999999", set).unwrap(), 60, 2 * HOUR).await);
    }
    let chain = SignedDuration::from_secs(5) * 12;
    house.at(60 + (chain * 12 / 10).as_secs()).await;
    for id in &ids {
        assert!(house.is_active(*id).await);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_begins_before_its_window_unless_that_is_set() {
    for (lead, early) in [(0, false), (60, true)] {
        let mut house = house_like_aws().await;
        house.settings.start_lead_max = SignedDuration::from_secs(lead);
        let accounts = house.many_accounts(60);
        let process = house.start().await;
        house.at(5).await;
        let ids = ask_for(&house, &accounts, 100, 2 * HOUR).await;
        house.at(99).await;
        let begun = house.calls(AwsOperation::Create);
        assert_eq!(begun > 0, early, "{begun} begun");
        let first = house.aws.calls().into_iter().find(|call| call.call.operation() == AwsOperation::Create);
        assert!(first.is_none_or(|call| call.at >= instant(100 - lead)), "by no more than is set");
        for id in &ids {
            assert!(!house.is_active(*id).await, "active inside the window alone");
        }
        if early {
            house.at(103).await;
            for id in &ids {
                assert!(house.is_active(*id).await, "all there when the window begins");
            }
            assert!(changed_until(&house, true) <= instant(100), "however long the queue was");
            // Taken back before the start: what was made in the lead goes.
            let other =
                house.grant(&Target::parse(sample::WEB_PROD, sample::READ_ONLY).unwrap(), 200, HOUR).await;
            house.at(198).await;
            assert!(house.calls(AwsOperation::Create) > ids.len());
            house.withdraw(other).await;
            house.at(230).await;
            assert_eq!(house.closed(other).await, Some(ClosedHow::Deleted));
            assert_eq!(house.aws.assignments().len(), ids.len());
        }
        process.kill().await;
    }
}

#[tokio::test(start_paused = true)]
async fn when_aws_throttles_everything_still_comes_about() {
    let house = house_like_aws().await;
    let accounts = house.many_accounts(40);
    let _process = house.start().await;
    house.at(5).await;
    // Somebody else uses the limit as well.
    house.aws.set_behaviour(Behaviour { calls_per_second: Some(5), ..house.aws.behaviour() });
    let ids = ask_for(&house, &accounts, 10, 2 * HOUR).await;
    house.at(10 * 60).await;
    for id in &ids {
        assert!(house.is_active(*id).await);
    }
    let calls = house.aws.calls();
    let refused = refused(&calls);
    assert!(refused > 0 && refused < calls.len() / 3, "{refused} of {} calls throttled", calls.len());
}

#[tokio::test(start_paused = true)]
async fn the_call_that_creates_is_made_at_the_start_for_the_look_was_made_ahead_of_it() {
    let house = house_like_aws().await;
    let _process = house.start().await;
    house.at(5).await;
    let id = house.grant(&permission_set(), 60, HOUR).await;
    house.at(59).await;
    assert_eq!(house.calls(AwsOperation::Holders), 1);
    house.at(70).await;
    assert!(house.is_active(id).await);
    let calls = house.aws.calls();
    let create = calls.iter().find(|call| call.call.operation() == AwsOperation::Create).unwrap();
    let late = create.at.duration_since(instant(60));
    assert!(!late.is_negative() && late <= SignedDuration::from_millis(50), "half a round trip: {late:?}");
    assert_eq!(house.calls(AwsOperation::Holders), 1, "and no other look");
}

#[tokio::test(start_paused = true)]
async fn a_look_that_is_old_when_the_call_is_due_is_made_again() {
    let house = house_like_aws().await;
    let process = house.start().await;
    house.at(5).await;
    let id = house.grant(&permission_set(), 60, HOUR).await;
    house.at(59).await;
    assert_eq!(house.calls(AwsOperation::Holders), 1);
    process.pause();
    let key = key_of(&permission_set());
    house.aws.standing(aws_key(&key));
    house.at(65).await;
    process.resume();
    house.at(HOUR + 60).await;
    assert_eq!(house.closed(id).await, Some(ClosedHow::Standing));
    assert!(house.has(&key) && house.calls(AwsOperation::Create) == 0);
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_one_of_awss_services_holds_up_nothing_of_the_other() {
    let house = house_like_aws().await;
    let accounts = house.many_accounts(200);
    let _process = house.start().await;
    house.at(5).await;
    ask_for(&house, &accounts, 10, 2 * HOUR).await;
    let role = house.grant(&role_for_users(), 20, 2 * HOUR).await;
    house.at(30).await;
    assert!(house.is_active(role).await, "its own service is idle");
    assert!(house.calls(AwsOperation::Create) < 100, "the other has a queue");
}

/// Others than developers may ask as well, and nobody looks through the organisation.
async fn house_where_all_may_ask() -> House {
    let mut house = house_like_aws().await;
    house.settings.organisation_sweep_calls_per_second = 0;
    let developers = "groups = [\"identity-store:developers\"";
    let all = format!("{developers}, \"identity-store:admins\", \"identity-store:auditors\"");
    house.apply(&POLICY.replace(developers, &all)).await;
    house
}

/// A call for each would take hours where very many have something.
#[tokio::test(start_paused = true)]
async fn one_list_tells_of_all_who_have_the_same_and_what_is_missing_is_found_all_the_same() {
    let house = house_where_all_may_ask().await;
    let people =
        [("ada", sample::ADA), ("carol", sample::CAROL), ("dave", sample::DAVE), ("eve", sample::EVE)];
    let _process = house.start().await;
    let (mut ids, mut start) = (Vec::new(), 10);
    for who in people {
        ids.push(house.grant_to(who, &permission_set(), start, 3 * HOUR).await);
        // Each in the midst of an interval of the others.
        start += 70;
    }
    house.at(HOUR).await;
    for id in &ids {
        assert!(house.is_active(*id).await);
    }
    house.aws.take_calls();
    house.at(2 * HOUR).await;
    let looks = house.calls(AwsOperation::Holders);
    assert!((11..=13).contains(&looks), "one in five minutes, for all four: {looks}");
    let principal = PrincipalId::new(sample::CAROL).unwrap();
    let key = AssignmentKey { principal, target: permission_set() };
    house.aws.remove(aws_key(&key));
    house.at(2 * HOUR + 330).await;
    assert!(house.has(&key), "found within five minutes, and made again");
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_under_way_does_not_answer_who_asks_to_look_now() {
    let house = house_where_all_may_ask().await;
    let process = house.start().await;
    let people = [("ada", sample::ADA), ("carol", sample::CAROL)];
    let keys = people.map(|(_, principal)| AssignmentKey {
        principal: PrincipalId::new(principal).unwrap(),
        target: permission_set(),
    });
    for who in people {
        house.grant_to(who, &permission_set(), 10, HOUR).await;
    }
    house.at(250).await;
    assert!(keys.iter().all(|key| house.has(key)));
    house.aws.take_calls();
    process.lists_come_late(SignedDuration::from_secs(8));
    let mut second = 250;
    while house.calls(AwsOperation::Holders) == 0 {
        assert!(second < 400, "looked at every five minutes");
        second += 1;
        house.at(second).await;
    }
    house.at(second + 1).await;
    for key in &keys {
        house.aws.remove(aws_key(key));
    }
    process.lists_come_late(SignedDuration::ZERO);
    assert_eq!(process.reconcile("carol", None, false).await.unwrap().assignments, 2);
    house.at(second + 60).await;
    for key in &keys {
        assert!(house.has(key), "of whoever the list was made for, and of the other: found, and made again");
    }
}

/// Lists need not show yet what was made a moment ago: the look that was asked for was not made for five minutes.
#[tokio::test(start_paused = true)]
async fn whoever_asks_to_look_at_what_was_just_made_is_answered_as_soon_as_lists_show_it() {
    let house = house_where_all_may_ask().await;
    let process = house.start().await;
    let key = key_of(&permission_set());
    house.grant(&permission_set(), 10, HOUR).await;
    let mut second = 10;
    while !house.has(&key) {
        assert!(second < 60);
        second += 1;
        house.at(second).await;
    }
    house.at(second + 2).await;
    house.aws.remove(aws_key(&key));
    assert_eq!(process.reconcile("carol", None, false).await.unwrap().assignments, 1);
    house.at(second + 60).await;
    assert!(house.has(&key), "found, and made again");
}

#[tokio::test(start_paused = true)]
async fn every_page_of_a_list_is_within_the_limit() {
    let house = House::with(Behaviour { page_max: Some(1), ..Behaviour::like_aws() }).await;
    let accounts = house.many_accounts(20);
    for account in &accounts {
        for nth in 0..6 {
            house.aws.standing(aws::AssignmentKey::new(
                PrincipalId::new(format!("10000000-0000-4000-8000-{nth:012}")).unwrap(),
                AccountId::new(account).unwrap(),
                PermissionSetArn::new(sample::READ_ONLY).unwrap(),
            ));
        }
    }
    let _process = house.start().await;
    house.at(5).await;
    let ids = ask_for(&house, &accounts, 10, HOUR).await;
    house.at(10 * 60).await;
    for id in &ids {
        assert!(house.is_active(*id).await);
    }
    let calls = house.aws.take_calls();
    let looks = calls.iter().filter(|call| call.call.operation() == AwsOperation::Holders).count();
    assert!(looks >= accounts.len() * 6, "lists have pages: {looks}");
    assert_eq!(refused(&calls), 0, "AWS never had to refuse");
    house.at(HOUR + 10 * 60).await;
    for id in &ids {
        assert_eq!(house.closed(*id).await, Some(ClosedHow::Deleted));
    }
    assert_eq!(refused(&house.aws.take_calls()), 0);
}

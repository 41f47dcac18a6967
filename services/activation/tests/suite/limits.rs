//! AWS's limits: how well they are used, and that they are kept.

use crate::house::{HOUR, House, instant};
use aws::simulated::{Behaviour, CallRecord, Fault, Operation as AwsOperation, sample};
use domain::{RequestId, SignedDuration, Target, Timestamp};
use lifecycle::event::ClosedHow;
use std::time::Duration;

/// As it is at AWS, but for operations that take from three to eight seconds.
async fn house_like_aws() -> House {
    House::with(Behaviour { latency: Duration::from_millis(80), ..Behaviour::like_aws() }).await
}

/// Times from three to eight seconds, in no order, the same each time.
fn operation_times(count: usize) -> Vec<SignedDuration> {
    (0..count as i64).map(|nth| SignedDuration::from_millis(3_000 + (nth * 7_919) % 5_001)).collect()
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
    house.aws.changes().iter().filter(|change| change.present == present).map(|change| change.at).max().unwrap()
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
    let removing: Vec<CallRecord> = house.aws.take_calls().into_iter().filter(|call| call.at >= instant(end)).collect();
    assert_eq!(refused(&removing), 0);
}

//! Many changes under AWS's limits, beside the best schedule that these allow: with the settings that a program has which is told
//! nothing, while other active requests are looked at and permission sets are read. Time is simulated, so the figure says nothing
//! of the machine: it is how well the limits are used.

use crate::house::{House, Story};
use crate::shipped::Shipped;
use crate::{Failed, say};
use activation::Settings;
use aws::simulated::{Behaviour, Call, CallRecord, Fault, Operation, SimulatedAws};
use aws::{Assignments as _, Limits, Uncounted};
use domain::ports::{Clock, SharedClock};
use domain::{AccountId, Entitlement, SignedDuration, Timestamp, Window};
use event_log::memory::MemoryLog;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// DESIGN §17: the best schedule, and a tenth.
const BUDGET: f64 = 1.1;
/// What AWS takes, from all callers together.
const LIMITS: Limits = Limits::IDENTITY_CENTER;
/// No change is known to be done with fewer calls: itself, and its status.
const CALLS_PER_CHANGE: u64 = 2;
/// How long nothing is due before the creations, and before the removals: several looks at everything that is active.
const QUIET: SignedDuration = SignedDuration::from_mins(15);
/// Where permission sets are read: an account in which nothing is assigned, by which these calls are told from all others.
const READ_IN: &str = "800000000000";

/// tokio's clock, from the beginning of 2026.
struct Simulated(tokio::time::Instant);

impl Clock for Simulated {
    fn now(&self) -> Timestamp {
        let since = SignedDuration::try_from(self.0.elapsed()).unwrap_or_default();
        Timestamp::constant(1_767_225_600, 0).checked_add(since).unwrap_or(Timestamp::MAX)
    }
}

/// In a runtime whose time is simulated.
pub(crate) fn run(changes: u64, others: u64) -> Result<(), Failed> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()?
        .block_on(schedule(changes, others))
}

async fn schedule(changes: u64, others: u64) -> Result<(), Failed> {
    let shipped = Shipped::read()?;
    let reading = shipped.permission_set_calls_per_second;
    let settings = Settings { replica: Some("bench".to_owned()), ..shipped.activation };
    say(&format!(
        "as shipped: {} calls/s, {} operations at a time, looks every {:#}; beside {others} active requests and {reading} calls/s \
         that read permission sets; AWS takes {} calls/s, {} at a time",
        settings.calls_per_second,
        settings.outstanding_max,
        settings.sweep_interval,
        LIMITS.calls_per_second,
        LIMITS.outstanding_max,
    ));
    let clock: SharedClock = Arc::new(Simulated(tokio::time::Instant::now()));
    let behaviour = Behaviour {
        calls_per_second: Some(LIMITS.calls_per_second),
        outstanding_max: Some(LIMITS.outstanding_max),
        ..Behaviour::like_aws()
    };
    let log = Arc::new(MemoryLog::with_id(Uuid::from_u128(1)));
    let half = changes / 2;
    let accounts = half + others;
    let house = House::new(log, clock.clone(), behaviour, settings, (accounts, 1)).await?;
    let began = clock.now();
    let best = best(half)?;
    let start = began.checked_add(QUIET)?;
    let end = start.checked_add(best * 2)?.checked_add(QUIET)?;
    let others_end = end.checked_add(best * 2)?.checked_add(QUIET)?;
    for number in half..accounts {
        house.write(&Story::new(number, accounts, Window::new(began, others_end)?, true)?, began).await?;
    }
    let process = house.start(None).await?;
    process.views.requests.projection().caught_up().await;
    let reader = AccountId::new(READ_IN)?;
    let some_set = Story::new(0, accounts, Window::new(start, end)?, false)?.key.target.entitlement().clone();
    let reads = tokio::spawn(read(Arc::clone(&house.aws), reader.clone(), some_set, reading));
    for number in 0..half {
        house.write(&Story::new(number, accounts, Window::new(start, end)?, false)?, began).await?;
        house.aws.fail_next(Operation::Create, Fault::Slow(operation_time(number)?));
        house.aws.fail_next(Operation::Delete, Fault::Slow(operation_time(number)?));
    }
    for (what, from, present) in [("creations", start, true), ("removals", end, false)] {
        tokio::time::sleep(Duration::try_from(from.duration_since(clock.now()))?).await;
        tokio::time::sleep(Duration::try_from(best * 2)?).await;
        say_phase(&house, (what, half), from, present, best, &reader)?;
    }
    reads.abort();
    process.stop().await;
    Ok(())
}

/// From three to eight seconds, in no order.
fn operation_time(number: u64) -> Result<SignedDuration, Failed> {
    Ok(SignedDuration::from_millis(3_000 + i64::try_from(number * 7_919 % 5_001)?))
}

/// No schedule of so many changes is shorter, whoever makes them: all of them one after the other in as many places as AWS has, and
/// no more calls a second than it takes.
fn best(count: u64) -> Result<SignedDuration, Failed> {
    let times = (0..count).map(operation_time).collect::<Result<Vec<_>, _>>()?;
    let total = times.into_iter().fold(SignedDuration::ZERO, SignedDuration::saturating_add);
    let millis = count * CALLS_PER_CHANGE * 1_000 / u64::try_from(LIMITS.calls_per_second)?;
    let calling = SignedDuration::from_millis(i64::try_from(millis)?);
    Ok((total / i32::try_from(LIMITS.outstanding_max)?).max(calling))
}

/// Permission sets are read without a pause, as an organisation of many has it: calls that count against the same limit.
async fn read(aws: Arc<SimulatedAws>, account: AccountId, some_set: Entitlement, calls_per_second: u32) {
    let mut turns = tokio::time::interval(Duration::from_secs(1) / calls_per_second.max(1));
    loop {
        turns.tick().await;
        // One that is refused is counted, and asked for again as the next.
        drop(aws.holders(&account, &some_set, &Uncounted).await);
    }
}

/// What was changed since `from`, and what it took.
fn say_phase(
    house: &House,
    (what, count): (&str, u64),
    from: Timestamp,
    present: bool,
    best: SignedDuration,
    reader: &AccountId,
) -> Result<(), Failed> {
    let all = house.aws.changes();
    let done = all.iter().filter(|change| change.present == present && change.at >= from);
    let times: Vec<Timestamp> = done.map(|change| change.at).collect();
    let last = times.iter().max().copied().ok_or("nothing was changed")?;
    let took = last.duration_since(from);
    say(&format!(
        "{} of {count} {what}: {took:#}; at best {best:#}; ratio {:.2} (budget {BUDGET})",
        times.len(),
        took.as_secs_f64() / best.as_secs_f64(),
    ));
    let calls = house.aws.take_calls();
    let meanwhile = calls.iter().filter(|record| record.at >= from && record.at <= last);
    Calls::of(meanwhile, reader).say(took);
    Ok(())
}

/// Calls of Identity Center, by what they were for.
#[derive(Default)]
struct Calls {
    changes: u32,
    statuses: u32,
    looks: u32,
    reads: u32,
    /// Of all of these.
    refused: u32,
    /// Of those that read permission sets.
    reads_refused: u32,
}

impl Calls {
    fn of<'a>(records: impl Iterator<Item = &'a CallRecord>, reader: &AccountId) -> Self {
        let mut calls = Self::default();
        for record in records {
            let reads = matches!(&record.call, Call::Holders(account, _) if account == reader);
            match &record.call {
                Call::Create(..) | Call::Delete(..) => calls.changes += 1,
                Call::CreationStatus(_) | Call::DeletionStatus(_) => calls.statuses += 1,
                Call::Holders(..) if reads => calls.reads += 1,
                Call::Holders(..) => calls.looks += 1,
                // Other services', with limits of their own.
                Call::AssumeRole(_)
                | Call::CallerIdentity
                | Call::HeldIn(_)
                | Call::FetchDirectory
                | Call::SignIn => continue,
            }
            let refused = u32::from(record.error.is_some());
            calls.refused += refused;
            calls.reads_refused += if reads { refused } else { 0 };
        }
        calls
    }

    fn say(&self, took: SignedDuration) {
        let all = self.changes + self.statuses + self.looks + self.reads;
        say(&format!(
            "  {all} calls, {:.1}/s: {} changes, {} statuses, {} looks, {} that read permission sets; {} refused, {} of these reads",
            f64::from(all) / took.as_secs_f64(),
            self.changes,
            self.statuses,
            self.looks,
            self.reads,
            self.refused,
            self.reads_refused,
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1,000 operations of 3 to 8 seconds in ten places take nine minutes; their 2,000 calls, at 20 a second, under two.
    #[test]
    fn the_best_schedule_is_bound_by_places() {
        let minutes = best(1_000).unwrap().as_secs() / 60;
        assert_eq!(minutes, 9);
    }
}

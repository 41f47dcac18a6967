//! Many changes under AWS's limits, beside the best schedule that these allow: with the settings that a program has which is told
//! nothing, while other active requests are looked at and permission sets are read. Time is simulated, so the figure says nothing
//! of the machine: it is how well the limits are used.
//!
//! AWS changes one assignment at a time in an account. So changes are spread as an organisation has them: half of them in a few
//! busy accounts, where each waits for the one before it.

use crate::house::{House, Story};
use crate::shipped::Shipped;
use crate::{Failed, say};
use activation::Settings;
use aws::simulated::{Behaviour, Call, CallRecord, SimulatedAws};
use aws::{Assignments as _, Limits, Uncounted};
use domain::ports::{Clock, SharedClock};
use domain::{AccountId, Entitlement, SignedDuration, Timestamp, Window};
use event_log::memory::MemoryLog;
use std::collections::BTreeMap;
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

/// In which accounts things are.
#[derive(Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) accounts: u64,
    /// The first of them, which have every second thing between them; zero: all have as many.
    pub(crate) busy: u64,
}

impl Spread {
    /// Where the `number`th is: the busy ones take turns, and the others do.
    fn account(self, number: u64) -> Result<u64, Failed> {
        let quiet = self.accounts.checked_sub(self.busy).ok_or("more busy accounts than accounts")?;
        let all_alike = self.busy == 0 || quiet == 0;
        let turn = if all_alike { number } else { number / 2 };
        let within = |among: u64| turn.checked_rem(among).ok_or("no accounts");
        Ok(match (all_alike, number.is_multiple_of(2)) {
            (true, _) => within(self.accounts)?,
            (false, true) => within(self.busy)?,
            (false, false) => self.busy + within(quiet)?,
        })
    }

    /// The `number`th story, of a user of its own.
    fn story(self, number: u64, window: Window, active: bool) -> Result<Story, Failed> {
        Story::of(number, (number, self.account(number)?), window, active)
    }
}

/// In a runtime whose time is simulated.
pub(crate) fn run(changes: u64, others: u64, spread: Spread) -> Result<(), Failed> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()?
        .block_on(schedule(changes, others, spread))
}

async fn schedule(changes: u64, others: u64, spread: Spread) -> Result<(), Failed> {
    let shipped = Shipped::read()?;
    let reading = shipped.permission_set_calls_per_second;
    let settings = Settings { replica: Some("bench".to_owned()), ..shipped.activation };
    say(&format!(
        "as shipped: {} calls/s, {} operations at a time, looks every {:#}; beside {others} active requests and {reading} calls/s \
         that read permission sets; AWS takes {} calls/s, {} at a time, one in an account",
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
    let stories = half + others;
    let house = House::new(log, clock.clone(), behaviour, settings, (spread.accounts, stories)).await?;
    let began = clock.now();
    let bounds = Bounds::of(half, spread)?;
    bounds.say(half, spread);
    let best = bounds.best();
    let start = began.checked_add(QUIET)?;
    let end = start.checked_add(best * 2)?.checked_add(QUIET)?;
    let others_end = end.checked_add(best * 2)?.checked_add(QUIET)?;
    for number in half..stories {
        house.write(&spread.story(number, Window::new(began, others_end)?, true)?, began).await?;
    }
    let process = house.start(None).await?;
    process.views.requests.projection().caught_up().await;
    let reader = AccountId::new(READ_IN)?;
    let some_set = spread.story(0, Window::new(start, end)?, false)?.key.target.entitlement().clone();
    let reads = tokio::spawn(read(Arc::clone(&house.aws), reader.clone(), some_set, reading));
    for number in 0..half {
        let story = spread.story(number, Window::new(start, end)?, false)?;
        house.aws.takes(story.aws_key(), operation_time(number)?);
        house.write(&story, began).await?;
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

/// From three to eight seconds, in no order, and in none among every second or sixth either: the golden ratio scatters them.
fn operation_time(number: u64) -> Result<SignedDuration, Failed> {
    let scattered = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33;
    Ok(SignedDuration::from_millis(3_000 + i64::try_from(scattered % 5_001)?))
}

/// What no schedule of so many changes is shorter than, whoever makes them. Each bound leaves the other two out, so the best
/// schedule there is may be longer than all three.
struct Bounds {
    /// All of them one after the other in as many places as AWS has, none of which is ever empty.
    places: SignedDuration,
    /// No more calls a second than AWS takes.
    calls: SignedDuration,
    /// Those of the account that takes longest, one after the other.
    account: SignedDuration,
}

impl Bounds {
    fn of(count: u64, spread: Spread) -> Result<Self, Failed> {
        let mut by_account: BTreeMap<u64, SignedDuration> = BTreeMap::new();
        for number in 0..count {
            let taken = by_account.entry(spread.account(number)?).or_default();
            *taken = taken.saturating_add(operation_time(number)?);
        }
        let total = by_account.values().copied().fold(SignedDuration::ZERO, SignedDuration::saturating_add);
        let millis = count * CALLS_PER_CHANGE * 1_000 / u64::try_from(LIMITS.calls_per_second)?;
        Ok(Self {
            places: total / i32::try_from(LIMITS.outstanding_max)?,
            calls: SignedDuration::from_millis(i64::try_from(millis)?),
            account: by_account.into_values().max().unwrap_or_default(),
        })
    }

    fn best(&self) -> SignedDuration {
        self.places.max(self.calls).max(self.account)
    }

    fn say(&self, count: u64, spread: Spread) {
        say(&format!(
            "{count} assignments in {} accounts, half of them in {} busy ones; no schedule is shorter than places ({:#}), calls ({:#}) \
             and the busiest account ({:#}) allow",
            spread.accounts, spread.busy, self.places, self.calls, self.account,
        ));
    }
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

    /// As if the limit of one change in an account were none.
    const APART: Spread = Spread { accounts: 1_000, busy: 0 };

    fn seconds(bound: SignedDuration) -> i64 {
        bound.as_secs()
    }

    /// 1,000 operations of 3 to 8 seconds in ten places take nine minutes; their 2,000 calls, at 20 a second, under two.
    #[test]
    fn the_best_schedule_is_bound_by_places() {
        let bounds = Bounds::of(1_000, APART).unwrap();
        assert_eq!(bounds.best(), bounds.places);
        assert_eq!((seconds(bounds.places) / 60, seconds(bounds.calls)), (9, 100));
        assert!(seconds(bounds.account) < 8);
    }

    /// Half of 600 in three accounts: a hundred in each, one after the other.
    #[test]
    fn the_best_schedule_is_bound_by_the_busiest_account_where_that_takes_longer() {
        let bounds = Bounds::of(600, Spread { accounts: 200, busy: 3 }).unwrap();
        assert_eq!(bounds.best(), bounds.account);
        assert!((540..560).contains(&seconds(bounds.account)), "{:#}", bounds.account);
        assert_eq!(seconds(bounds.places), 330);
    }

    /// The busy accounts have work for most of the time that the places need, so none of them may be left to the end.
    #[test]
    fn by_default_busy_accounts_nearly_fill_the_best_schedule() {
        let bounds = Bounds::of(600, Spread { accounts: 200, busy: 6 }).unwrap();
        assert_eq!(bounds.best(), bounds.places);
        let share = bounds.account.as_secs_f64() / bounds.places.as_secs_f64();
        assert!(share > 0.8 && share < 1.0, "{share}");
    }

    #[test]
    fn every_second_change_is_in_a_busy_account_and_no_account_is_left_out() {
        let spread = Spread { accounts: 5, busy: 2 };
        let accounts: Vec<u64> = (0..12).map(|number| spread.account(number).unwrap()).collect();
        assert_eq!(accounts, [0, 2, 1, 3, 0, 4, 1, 2, 0, 3, 1, 4]);
        let alike = Spread { accounts: 3, busy: 3 };
        assert_eq!([0, 1, 2, 3].map(|number| alike.account(number).unwrap()), [0, 1, 2, 0]);
        assert!(Spread { accounts: 2, busy: 3 }.account(0).is_err());
        assert!(Spread { accounts: 0, busy: 0 }.account(0).is_err());
    }
}

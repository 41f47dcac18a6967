//! As long as it runs, what is ours and nobody needs is found: in the ledgers every few minutes, in the organisation every day.

use crate::core::Core;
use crate::fault::Fault;
use domain::{SignedDuration, Timestamp};
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// When to ask again whether there is anything to look through, or whether it is for us to do.
const ASK_AGAIN: Duration = Duration::from_mins(1);

/// When to see to a restored log again, after something was in the way or another replica does it.
const RESTORED_AGAIN: Duration = Duration::from_secs(5);

/// Runs until `shutdown`.
pub(crate) async fn run(core: &Core, shutdown: &CancellationToken) {
    tokio::select! {
        biased;
        () = shutdown.cancelled() => {}
        () = sweep(core) => {}
    }
}

async fn sweep(core: &Core) {
    core.views.requests.projection().caught_up().await;
    tokio::join!(ledgers(core), organisation(core), after_restore(core), heed(core), asked(core));
}

/// What any replica notes in a ledger is seen to by whoever has the duty, without waiting for the next sweep.
async fn heed(core: &Core) {
    let mut heard = core.views.requests.projection().heard();
    loop {
        match heard.recv().await {
            Ok(event) => {
                if let Err(fault) = core.heed_ledger(&event).await {
                    tracing::warn!(%fault, "what was noted in a ledger is left to the next sweep");
                }
            }
            // The next sweep finds what was missed.
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

/// What this replica is asked to look at while another has the duty.
async fn asked(core: &Core) {
    loop {
        let key = core.asked.next().await;
        if let Err(fault) = core.inspect(&key).await {
            tracing::warn!(target = %key.target, principal = %key.principal, %fault, "what was asked for cannot be looked at");
        }
    }
}

/// Until the log knows what is in AWS; of one that was not restored it does.
async fn after_restore(core: &Core) {
    let mut look = None;
    loop {
        match core.see_to_restored(&mut look).await {
            Ok(true) => return,
            Ok(false) => {}
            Err(fault) => {
                tracing::warn!(%fault, "AWS is not looked through since the log was restored, so nothing is granted; tried again");
            }
        }
        tokio::time::sleep(RESTORED_AGAIN).await;
    }
}

async fn ledgers(core: &Core) {
    let interval = Duration::try_from(core.settings.sweep_interval).unwrap_or(ASK_AGAIN);
    loop {
        if let Err(fault) = look_through_ledgers(core).await {
            tracing::warn!(%fault, "the ledgers could not be looked through; tried again later");
        }
        tokio::time::sleep(interval).await;
    }
}

/// What is found undone is seen to by whoever has the duty; the others see to it that somebody has it who does.
async fn look_through_ledgers(core: &Core) -> Result<(), Fault> {
    // Reading them takes as long as there are many: not before what is due has its turn.
    core.refresh().await?;
    let looked = if core.sweeps().await? { core.sweep_ledgers().await } else { core.look_for_undone().await };
    let told = core.tell_unknown().await;
    core.note_all_left().await.and(looked).and(told)
}

async fn organisation(core: &Core) {
    let most = core.settings.organisation_sweep_calls_per_second;
    if most == 0 {
        return;
    }
    let interval = core.settings.organisation_sweep_interval;
    let (mut stand, mut took) = (Stand::default(), Duration::ZERO);
    loop {
        let places = core.places();
        let round = round(stand.spent.in_round(places), interval, most);
        if stand.next.is_none() {
            stand.ours = core.sweeps().await.unwrap_or(stand.ours);
        }
        tokio::time::sleep(stand.wait(core.now(), places, round, took)).await;
        let began = Instant::now();
        let mut calls = 0;
        if let Err(fault) = step(core, &mut stand, places, round, &mut calls).await {
            tracing::warn!(%fault, again = stand.again, "a part of the organisation could not be looked at");
        }
        stand.cost = cost(calls, most);
        stand.spent.add(calls, places);
        took = began.elapsed();
    }
}

/// Where a sweep of the organisation stands.
#[derive(Default)]
struct Stand {
    /// The place to look at next; `None`: the one that the time says.
    next: Option<usize>,
    /// Whether that could not be looked at the first time.
    again: bool,
    /// Whether this replica has the duty, as far as is known.
    ours: bool,
    /// What the calls of the latest look cost of the time of a round.
    cost: Duration,
    /// By how much more than their share of a round the latest looks have taken.
    behind: Duration,
    spent: Spent,
}

impl Stand {
    /// How long a round takes here, which takes whoever has the duty `round`. The others look half as fast: so many replicas there may
    /// be, so many calls more it is.
    fn pace(&self, round: Duration) -> Duration {
        if self.ours { round } else { round.saturating_mul(2) }
    }

    /// How long to wait for the next look, after one that took so long.
    fn wait(&mut self, now: Timestamp, places: usize, round: Duration, took: Duration) -> Duration {
        let (round, cost) = (self.pace(round), self.pace(self.cost));
        if places == 0 {
            // Nothing is known of the organisation yet.
            return ASK_AGAIN;
        }
        if self.next.is_none() {
            return until_next(now, places, round);
        }
        let pause = pause(places, round);
        if self.again {
            return pause.min(ASK_AGAIN).max(cost).saturating_sub(took);
        }
        // What many calls take longer, the next ones make up for as far as theirs allow.
        let wait = pause.saturating_sub(self.behind).max(cost);
        self.behind = self.behind.saturating_add(wait).saturating_sub(pause).min(round);
        wait.saturating_sub(took)
    }

    /// What could not be looked at is looked at once more; what never can be holds up nothing else.
    fn looked_at(&mut self, place: usize, well: bool) {
        self.again = !well && !self.again;
        self.next = Some(if self.again { place } else { place.saturating_add(1) });
    }
}

/// How many calls places took of late: a list of many pages takes as many.
#[derive(Default)]
struct Spent {
    calls: usize,
    places: usize,
}

impl Spent {
    /// One place of so many took so many calls. What was longer ago than a round counts ever less.
    fn add(&mut self, calls: usize, places: usize) {
        if calls == 0 {
            // Nothing was looked at.
            return;
        }
        if self.places >= places {
            (self.calls, self.places) = (self.calls / 2, self.places / 2);
        }
        self.calls = self.calls.saturating_add(calls);
        self.places = self.places.saturating_add(1);
    }

    /// How many calls a round of so many places takes: one for each, unless more are known. In quarters for each, so that replicas
    /// that have looked at other places come to the same round.
    fn in_round(&self, places: usize) -> usize {
        let quarters = self.calls.saturating_mul(4).div_ceil(self.places.max(1)).max(4);
        places.saturating_mul(quarters).div_ceil(4)
    }
}

/// In how long whoever has the duty looks at every place, which takes so many calls: in the interval, unless they take longer.
fn round(calls: usize, interval: SignedDuration, calls_per_second: usize) -> Duration {
    Duration::try_from(interval).unwrap_or_default().max(cost(calls, calls_per_second))
}

/// How long so many calls take, at so many a second.
fn cost(calls: usize, calls_per_second: usize) -> Duration {
    let one = Duration::from_secs(1) / u32::try_from(calls_per_second).unwrap_or(u32::MAX).max(1);
    one.saturating_mul(u32::try_from(calls).unwrap_or(u32::MAX))
}

/// From one place to the next.
fn pause(places: usize, round: Duration) -> Duration {
    u32::try_from(places).ok().and_then(|places| round.checked_div(places)).unwrap_or(ASK_AGAIN)
}

/// Looks at the next place; `round` is that of whoever has the duty. Adds the calls that it took to `calls`.
async fn step(
    core: &Core,
    stand: &mut Stand,
    places: usize,
    round: Duration,
    calls: &mut usize,
) -> Result<(), Fault> {
    let before = std::mem::replace(&mut stand.ours, core.sweeps().await?);
    if before != stand.ours {
        stand.next = None;
    }
    let place = stand.next.unwrap_or_else(|| place_at(core.now(), places, stand.pace(round)));
    let Some(place) = place.checked_rem(places) else {
        stand.next = None;
        return Ok(());
    };
    let looked = if stand.ours {
        core.sweep_place(place, calls).await
    } else {
        let round = SignedDuration::try_from(round).unwrap_or(SignedDuration::MAX);
        core.look_for_unnoted(place, round, calls).await
    };
    stand.looked_at(place, looked.is_ok());
    looked
}

/// Where a sweep stands that never stops, and takes so long for each round: whoever takes over, or starts again, goes on from there.
/// Rounds are counted from the beginning of time, not of the day, since one may take longer than a day.
fn place_at(now: Timestamp, places: usize, round: Duration) -> usize {
    let places = u128::try_from(places).unwrap_or_default();
    let place = places.saturating_mul(passed(now, round)).checked_div(round.as_nanos());
    usize::try_from(place.unwrap_or_default()).unwrap_or_default()
}

/// How long it is until such a sweep comes to the next place. Who starts waits for that, and leaves out none but those of the time in
/// which nobody ran.
fn until_next(now: Timestamp, places: usize, round: Duration) -> Duration {
    let begun = u128::try_from(place_at(now, places, round).saturating_add(1)).unwrap_or_default();
    let places = u128::try_from(places).unwrap_or_default().max(1);
    let begins = begun.saturating_mul(round.as_nanos()).div_ceil(places);
    Duration::from_nanos(u64::try_from(begins.saturating_sub(passed(now, round))).unwrap_or(u64::MAX))
}

/// How much of its round has passed, in nanoseconds.
fn passed(now: Timestamp, round: Duration) -> u128 {
    let now = u128::try_from(now.as_nanosecond()).unwrap_or_default();
    now.checked_rem(round.as_nanos()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: SignedDuration = SignedDuration::from_hours(24);
    const A_DAY: Duration = Duration::from_hours(24);

    fn midnight() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_sweep_takes_a_day_or_as_long_as_its_calls_allow() {
        assert_eq!(round(24, DAY, 2), A_DAY);
        assert_eq!(pause(24, A_DAY), Duration::from_hours(1));
        let long = round(1_000_000, DAY, 2);
        assert_eq!(long, Duration::from_secs(500_000));
        assert_eq!(pause(1_000_000, long), Duration::from_millis(500));
        let unknown = Stand::default().wait(midnight(), 0, round(0, DAY, 2), Duration::ZERO);
        assert_eq!(unknown, ASK_AGAIN, "nothing is known of the organisation yet");
    }

    #[test]
    fn a_sweep_goes_on_where_the_time_of_day_says() {
        assert_eq!(place_at(midnight(), 48, A_DAY), 0);
        assert_eq!(place_at(midnight() + SignedDuration::from_hours(12), 48, A_DAY), 24);
        assert_eq!(place_at(midnight() + SignedDuration::from_secs(86_399), 48, A_DAY), 47);
    }

    #[test]
    fn a_sweep_that_takes_longer_than_a_day_goes_on_where_the_day_before_ended() {
        let places = 1_000_000;
        let round = round(places, DAY, 2);
        let first = place_at(midnight(), places, round);
        for day in 1..12 {
            let goes_on = place_at(midnight() + DAY * day, places, round);
            let looked_at = usize::try_from(day).unwrap() * 2 * 86_400;
            assert_eq!(goes_on, (first + looked_at) % places, "after {day} days");
        }
    }

    #[test]
    fn who_starts_waits_for_the_next_place() {
        let hour = SignedDuration::from_hours(1);
        assert_eq!(until_next(midnight(), 24, A_DAY), Duration::from_hours(1));
        assert_eq!(until_next(midnight() + hour / 4, 24, A_DAY), Duration::from_mins(45));
        let next = midnight() + SignedDuration::try_from(until_next(midnight(), 7, A_DAY)).unwrap();
        assert_eq!(place_at(next, 7, A_DAY), 1);
    }

    #[test]
    fn what_cannot_be_looked_at_is_looked_at_once_more() {
        let mut stand = Stand { next: Some(7), ours: true, ..Stand::default() };
        stand.looked_at(7, false);
        assert_eq!(stand.next, Some(7));
        assert_eq!(stand.wait(midnight(), 24, A_DAY, Duration::ZERO), ASK_AGAIN);
        stand.looked_at(7, false);
        assert_eq!(stand.next, Some(8), "what never can be holds up nothing else");
        stand.looked_at(8, true);
        assert_eq!(stand.next, Some(9));
        let took = Duration::from_mins(10);
        assert_eq!(stand.wait(midnight(), 24, A_DAY, took), Duration::from_mins(50), "the pace is kept");
    }

    #[test]
    fn a_list_of_many_pages_costs_as_many_calls() {
        for (ours, seconds) in [(true, 200), (false, 400)] {
            let mut stand = Stand { next: Some(0), ours, ..Stand::default() };
            let mut passed = Duration::ZERO;
            for _ in 0..100 {
                stand.cost = cost(4, 2);
                passed += stand.wait(midnight(), 150_000, A_DAY, Duration::ZERO);
            }
            assert_eq!(passed, Duration::from_secs(seconds), "four hundred calls");
        }
    }

    #[test]
    fn what_many_pages_take_longer_is_made_up_for_by_places_of_one() {
        let mut stand = Stand { next: Some(0), ours: true, ..Stand::default() };
        let mut passed = Duration::ZERO;
        for place in 0..100 {
            stand.cost = cost(if place == 0 { 50 } else { 1 }, 2);
            let wait = stand.wait(midnight(), 86_400, A_DAY, Duration::ZERO);
            assert!(wait >= stand.cost, "never more calls than there may be");
            passed += wait;
        }
        assert_eq!(passed, Duration::from_secs(100), "a second for each place, all together");
    }

    #[test]
    fn a_round_takes_as_long_as_its_pages_need() {
        let mut spent = Spent::default();
        assert_eq!(spent.in_round(150_000), 150_000, "nothing is known of pages yet");
        for nth in 0..1_000 {
            spent.add(if nth % 2 == 0 { 3 } else { 5 }, 150_000);
        }
        assert_eq!(spent.in_round(150_000), 600_000);
        assert_eq!(round(spent.in_round(150_000), DAY, 2), Duration::from_mins(5_000));
        spent.add(20, 150_000);
        assert_eq!(spent.in_round(150_000), 637_500, "to the next quarter of a call for each");
        for _ in 0..1_000 {
            spent.add(1, 100);
        }
        assert_eq!(spent.in_round(100), 100, "fewer by now");
    }
}

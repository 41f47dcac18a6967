//! As long as it runs, what is ours and nobody needs is found: in the ledgers every few minutes, in the organisation every day.

use crate::core::Core;
use crate::fault::Fault;
use domain::{SignedDuration, Timestamp};
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
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
    loop {
        match core.see_to_restored().await {
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
    core.note_all_left().await.and(looked)
}

async fn organisation(core: &Core) {
    let most = core.settings.organisation_sweep_calls_per_second;
    if most == 0 {
        return;
    }
    let interval = core.settings.organisation_sweep_interval;
    let mut next = None;
    let mut ours = false;
    loop {
        let places = core.places();
        let pause = pause(places, interval, most);
        // The others look half as fast: so many replicas there may be, so many calls more it is.
        tokio::time::sleep(if ours || places == 0 { pause } else { pause * 2 }).await;
        if let Err(fault) = step(core, &mut next, &mut ours, places, pause).await {
            tracing::warn!(%fault, "a part of the organisation could not be looked at; the next one is");
        }
    }
}

/// From one place to the next: as long as the interval allows, and no shorter than the calls that there may be.
fn pause(places: usize, interval: SignedDuration, calls_per_second: usize) -> Duration {
    let interval = Duration::try_from(interval).unwrap_or_default();
    let Some(share) = u32::try_from(places).ok().and_then(|places| interval.checked_div(places)) else {
        return ASK_AGAIN;
    };
    let shortest = Duration::from_secs(1) / u32::try_from(calls_per_second).unwrap_or(u32::MAX).max(1);
    share.max(shortest)
}

/// Looks at the next place; `pause` is that of whoever has the duty.
async fn step(
    core: &Core,
    next: &mut Option<usize>,
    ours: &mut bool,
    places: usize,
    pause: Duration,
) -> Result<(), Fault> {
    let before = std::mem::replace(ours, core.sweeps().await?);
    if before != *ours {
        *next = None;
    }
    let interval = core.settings.organisation_sweep_interval;
    let interval = if *ours { interval } else { interval.saturating_mul(2) };
    let place = next.unwrap_or_else(|| place_at(core.now(), places, interval));
    let Some(place) = place.checked_rem(places) else {
        *next = None;
        return Ok(());
    };
    *next = Some(place.saturating_add(1));
    if *ours {
        return core.sweep_place(place).await;
    }
    let round = pause.saturating_mul(u32::try_from(places).unwrap_or(u32::MAX));
    core.look_for_unnoted(place, SignedDuration::try_from(round).unwrap_or(SignedDuration::MAX)).await
}

/// Where a sweep stands that keeps to the interval: whoever takes over, or starts again, goes on from there.
fn place_at(now: Timestamp, places: usize, interval: SignedDuration) -> usize {
    let seconds = interval.as_secs().max(1);
    let passed = usize::try_from(now.as_second().rem_euclid(seconds)).unwrap_or(0);
    let seconds = usize::try_from(seconds).unwrap_or(usize::MAX);
    places.saturating_mul(passed).checked_div(seconds).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: SignedDuration = SignedDuration::from_hours(24);

    #[test]
    fn a_sweep_takes_a_day_or_as_long_as_its_calls_allow() {
        assert_eq!(pause(24, DAY, 2), Duration::from_hours(1));
        assert_eq!(pause(1_000_000, DAY, 2), Duration::from_millis(500));
        assert_eq!(pause(0, DAY, 2), ASK_AGAIN, "nothing is known of the organisation yet");
    }

    #[test]
    fn a_sweep_goes_on_where_the_time_of_day_says() {
        let midnight: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(place_at(midnight, 48, DAY), 0);
        assert_eq!(place_at(midnight + SignedDuration::from_hours(12), 48, DAY), 24);
        assert_eq!(place_at(midnight + SignedDuration::from_secs(86_399), 48, DAY), 47);
    }
}

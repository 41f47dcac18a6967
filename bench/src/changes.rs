//! Many changes under AWS's limits, beside the best schedule that these allow. Time is simulated, so the figure says nothing of the
//! machine: it is how well the limits are used.

use crate::house::{House, Story};
use crate::{Failed, say};
use activation::Settings;
use aws::simulated::{Behaviour, Fault, Operation};
use domain::ports::{Clock, SharedClock};
use domain::{SignedDuration, Timestamp, Window};
use event_log::memory::MemoryLog;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// DESIGN §17: the best schedule, and a tenth.
const BUDGET: f64 = 1.1;
/// Operations that AWS takes at a time.
const PLACES: i32 = 10;

/// tokio's clock, from the beginning of 2026.
struct Simulated(tokio::time::Instant);

impl Clock for Simulated {
    fn now(&self) -> Timestamp {
        let since = SignedDuration::try_from(self.0.elapsed()).unwrap_or_default();
        Timestamp::constant(1_767_225_600, 0).checked_add(since).unwrap_or(Timestamp::MAX)
    }
}

/// In a runtime whose time is simulated.
pub(crate) fn run(changes: u64) -> Result<(), Failed> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()?
        .block_on(schedule(changes))
}

async fn schedule(changes: u64) -> Result<(), Failed> {
    let clock: SharedClock = Arc::new(Simulated(tokio::time::Instant::now()));
    let behaviour = Behaviour { latency: Duration::from_millis(80), ..Behaviour::like_aws() };
    let settings = Settings { replica: Some("bench".to_owned()), ..Settings::default() };
    let log = Arc::new(MemoryLog::with_id(Uuid::from_u128(1)));
    let half = changes / 2;
    let house = House::new(log, clock.clone(), behaviour, settings, (half, 1)).await?;
    let began = clock.now();
    let start = began.checked_add(SignedDuration::from_secs(60))?;
    let end = began.checked_add(SignedDuration::from_hours(6))?;
    let process = house.start(None).await?;
    process.views.requests.projection().caught_up().await;
    let mut total = SignedDuration::ZERO;
    for number in 0..half {
        house.write(&Story::new(number, half, Window::new(start, end)?, false)?, began).await?;
        // From three to eight seconds, in no order.
        let time = SignedDuration::from_millis(3_000 + i64::try_from(number * 7_919 % 5_001)?);
        house.aws.fail_next(Operation::Create, Fault::Slow(time));
        house.aws.fail_next(Operation::Delete, Fault::Slow(time));
        total = total.saturating_add(time);
    }
    let best = total / PLACES;
    for (what, from, present) in [("creations", start, true), ("removals", end, false)] {
        tokio::time::sleep(Duration::try_from(from.duration_since(clock.now()))?).await;
        tokio::time::sleep(Duration::try_from(best * 2)?).await;
        let all = house.aws.changes();
        let done = all.iter().filter(|change| change.present == present && change.at >= from);
        let times: Vec<Timestamp> = done.map(|change| change.at).collect();
        let last = times.iter().max().ok_or("nothing was changed")?;
        let took = last.duration_since(from);
        let calls = house.aws.take_calls();
        let refused = calls.iter().filter(|record| record.error.is_some()).count();
        say(&format!(
            "{} of {half} {what}: {took:#}; at best {best:#}; ratio {:.2} (budget {BUDGET}); {} calls, {refused} refused",
            times.len(),
            took.as_secs_f64() / best.as_secs_f64(),
            calls.len(),
        ));
    }
    process.stop().await;
    Ok(())
}

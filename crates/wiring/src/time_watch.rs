//! Asks others what time it is: answers that come by themselves may be rare, and a doubt ends only by an answer.

use aws::Sts;
use domain::ports::SharedClock;
use domain::{Sighting, SignedDuration, TimeSource};
use event_log::EventLog;
use service_runtime::clock::SystemClock;
use std::sync::Arc;
use std::time::Duration;
use views::WatchedClock;

/// How often the log is asked; while the clock is in doubt, AWS as well.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// How often AWS is asked otherwise: whatever else it answers tells the time, too.
const AWS_INTERVAL: Duration = Duration::from_mins(1);

/// The machine's clock, in doubt as soon as it is provably more than `skew_max` from AWS's or the log's.
pub fn machine_clock(skew_max: SignedDuration) -> SharedClock {
    Arc::new(WatchedClock::new(Arc::new(SystemClock), skew_max))
}

/// Asks for ever. AWS's adapters tell the clock what they hear.
pub(crate) async fn watch(clock: SharedClock, log: Arc<dyn EventLog>, aws: Option<Arc<dyn Sts>>) {
    let mut until_aws = Duration::ZERO;
    loop {
        ask_log(&clock, log.as_ref()).await;
        if let Some(aws) = &aws
            && (until_aws.is_zero() || clock.doubt().is_some())
        {
            if let Err(error) = aws.caller_identity().await {
                tracing::debug!(%error, "AWS was asked for the time");
            }
            until_aws = AWS_INTERVAL;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
        until_aws = until_aws.saturating_sub(LOOK_AGAIN);
    }
}

/// Tells the clock what time the log has.
pub async fn ask_log(clock: &SharedClock, log: &dyn EventLog) {
    let asked_at = clock.now();
    match log.time().await {
        Ok(Some(at)) => {
            let heard_at = clock.now();
            let source = TimeSource::Log;
            clock.compare(&Sighting::Answer { source, asked_at, heard_at, earliest: at, latest: at });
        }
        Ok(None) => {}
        Err(error) => tracing::debug!(%error, "the log was asked for the time"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws::simulated::{Behaviour, SimulatedAws};
    use domain::Timestamp;
    use domain::ports::Clock;
    use event_log::memory::MemoryLog;
    use std::sync::atomic::{AtomicI64, Ordering};
    use tokio::time::Instant;
    use views::clock_health::SKEW_MAX;

    /// Tokio's clock, and some seconds.
    struct Apart(Instant, AtomicI64);

    impl Clock for Apart {
        fn now(&self) -> Timestamp {
            let passed = SignedDuration::try_from(self.0.elapsed()).unwrap();
            let apart = SignedDuration::from_secs(self.1.load(Ordering::Relaxed));
            Timestamp::from_second(1_800_000_000).unwrap() + passed + apart
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_leaves_awss_is_in_doubt_within_a_minute_and_after_it_returns_for_ten_seconds() {
        let began = Instant::now();
        let machine = Arc::new(Apart(began, AtomicI64::new(0)));
        let aws = SimulatedAws::new(Arc::new(Apart(began, AtomicI64::new(0))), Behaviour::default());
        let clock: SharedClock = Arc::new(WatchedClock::new(machine.clone(), SKEW_MAX));
        aws.tell_time_to(&clock);
        let log = Arc::new(MemoryLog::with_id(uuid::Uuid::from_u128(1)));
        let story = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(clock.doubt(), None);
            machine.1.store(10, Ordering::Relaxed);
            tokio::time::sleep(AWS_INTERVAL).await;
            let doubt = clock.doubt().unwrap();
            assert_eq!(doubt.source, TimeSource::Aws);
            assert!(doubt.by <= SignedDuration::from_secs(-9), "{doubt}");
            machine.1.store(0, Ordering::Relaxed);
            tokio::time::sleep(LOOK_AGAIN).await;
            assert_eq!(clock.doubt(), None);
        };
        tokio::select! {
            () = watch(clock.clone(), log, Some(Arc::new(aws))) => {}
            () = story => {}
        }
    }
}

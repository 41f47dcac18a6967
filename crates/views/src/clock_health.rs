//! Whether the time is to be relied on. A window that is compared with a wrong clock begins or ends at the wrong moment; so
//! while our clock and another's are provably apart, nothing is granted. What removes access never asks.
//!
//! An answer proves how far two clocks are apart only up to its own time under way, and to the precision of what it says: what
//! lies between proof of agreement and proof of disagreement changes nothing. So the doubt stays until an answer of the source
//! that raised it agrees. New events prove one thing alone: time has come at least as far as their date. So they raise a doubt
//! when our clock is behind them (it was set back, or their writer's is ahead), until it is there, or an answer takes our side. What
//! follows in the stream of such an event has its date, whoever writes it, and proves nothing more.
//!
//! INVARIANT: hearing nothing changes nothing.

use crate::Views;
use domain::ports::{Clock, SharedClock};
use domain::{Doubt, Sighting, SignedDuration, TimeSource, Timestamp};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How far clocks may be apart, if nothing else is configured: AWS's `Date` is cut to seconds, and a machine that keeps time at
/// all keeps it far better.
pub const SKEW_MAX: SignedDuration = SignedDuration::from_secs(5);

/// A clock that is compared with others.
pub struct WatchedClock {
    inner: SharedClock,
    skew_max: SignedDuration,
    seen: Mutex<Seen>,
}

/// Nothing is granted now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the clock is in doubt: {0}")]
pub struct ClockInDoubt(pub Doubt);

/// What others' clocks said.
#[derive(Debug, Default)]
struct Seen {
    /// By how much AWS's clock was ahead of ours, at least, if the latest proof was one of disagreement.
    aws: Option<SignedDuration>,
    /// The same of the log's server.
    log: Option<SignedDuration>,
    /// The latest date of a new event.
    newest: Option<Timestamp>,
    /// The latest date of which an answer said that its writer was wrong: no event is proof of anything by that date, or an earlier one.
    refuted: Option<Timestamp>,
    /// What was made known.
    doubt: Option<Doubt>,
}

/// What an answer proves.
enum Proof {
    Apart(SignedDuration),
    Agreement,
    Nothing,
}

impl WatchedClock {
    /// The clock `inner`, in doubt as soon as it is provably more than `skew_max` from another.
    pub fn new(inner: SharedClock, skew_max: SignedDuration) -> Self {
        Self { inner, skew_max, seen: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The other's clock less ours was in `[earliest - heard_at, latest - asked_at]`.
    fn proof(
        &self,
        asked_at: Timestamp,
        heard_at: Timestamp,
        earliest: Timestamp,
        latest: Timestamp,
    ) -> Proof {
        let (least, most) = (earliest.duration_since(heard_at), latest.duration_since(asked_at));
        if heard_at < asked_at {
            // Our clock was set back in between.
            Proof::Nothing
        } else if least > self.skew_max {
            Proof::Apart(least)
        } else if most < -self.skew_max {
            Proof::Apart(most)
        } else if least >= -self.skew_max && most <= self.skew_max {
            Proof::Agreement
        } else {
            Proof::Nothing
        }
    }

    /// Comes to a verdict, and makes it known when it changes.
    fn judge(&self, seen: &mut Seen) -> Option<Doubt> {
        let now = self.inner.now();
        let set_back = seen.newest.map(|newest| newest.duration_since(now)).filter(|by| *by > self.skew_max);
        let found = (seen.aws.map(|by| (by, TimeSource::Aws)))
            .or_else(|| seen.log.or(set_back).map(|by| (by, TimeSource::Log)));
        let since = seen.doubt.map_or(now, |doubt| doubt.since);
        let doubt = found.map(|(by, source)| Doubt { by, source, since });
        match (&seen.doubt, &doubt) {
            (None, Some(doubt)) => {
                tracing::error!(%doubt, "the clock is in doubt: nothing is granted until it is right");
            }
            (Some(_), None) => tracing::info!("the clock is right again"),
            (None, None) | (Some(_), Some(_)) => {}
        }
        seen.doubt = doubt;
        doubt
    }
}

impl Clock for WatchedClock {
    fn now(&self) -> Timestamp {
        self.inner.now()
    }

    fn compare(&self, sighting: &Sighting) {
        let mut seen = self.lock();
        match *sighting {
            Sighting::Written { at } => {
                if Some(at) > seen.refuted {
                    seen.newest = seen.newest.max(Some(at));
                }
            }
            Sighting::Answer { source, asked_at, heard_at, earliest, latest } => {
                let apart = match self.proof(asked_at, heard_at, earliest, latest) {
                    Proof::Apart(by) => Some(by),
                    Proof::Agreement => {
                        // Our clock is right, so a later date than now was its writer's fault.
                        let ahead = seen.newest.take().filter(|newest| *newest > heard_at);
                        seen.refuted = seen.refuted.max(ahead);
                        None
                    }
                    Proof::Nothing => return,
                };
                match source {
                    TimeSource::Aws => seen.aws = apart,
                    TimeSource::Log => seen.log = apart,
                }
            }
        }
        self.judge(&mut seen);
    }

    fn doubt(&self) -> Option<Doubt> {
        self.judge(&mut self.lock())
    }
}

impl std::fmt::Debug for WatchedClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WatchedClock").field("seen", &*self.lock()).finish_non_exhaustive()
    }
}

impl Views {
    /// Refuses while the clock is in doubt. For whatever grants; never for what removes.
    pub fn certain_of_time(&self) -> Result<(), ClockInDoubt> {
        self.clock.doubt().map_or(Ok(()), |doubt| Err(ClockInDoubt(doubt)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    /// A clock that is set by hand, in milliseconds.
    #[derive(Default)]
    struct Hand(AtomicI64);

    impl Clock for Hand {
        fn now(&self) -> Timestamp {
            ms(self.0.load(Ordering::Relaxed))
        }
    }

    fn ms(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).unwrap()
    }

    struct Bench {
        hand: Arc<Hand>,
        clock: WatchedClock,
    }

    fn bench() -> Bench {
        let hand = Arc::new(Hand::default());
        hand.0.store(1_000_000, Ordering::Relaxed);
        Bench { clock: WatchedClock::new(hand.clone(), SKEW_MAX), hand }
    }

    impl Bench {
        /// An answer to a call that ends now, `round_trip` after it began, whose date is `ahead` of now.
        fn date(&self, source: TimeSource, round_trip: i64, ahead: i64) {
            let now = self.hand.0.load(Ordering::Relaxed);
            let sighting = Sighting::http_date(source, ms(now - round_trip), ms(now), ms(now + ahead));
            self.clock.compare(&sighting);
        }

        fn written(&self, ahead: i64) {
            self.clock.compare(&Sighting::Written { at: ms(self.hand.0.load(Ordering::Relaxed) + ahead) });
        }

        fn set_forward(&self, by: i64) {
            self.hand.0.fetch_add(by, Ordering::Relaxed);
        }

        fn doubted_by(&self) -> Option<(TimeSource, i128)> {
            self.clock.doubt().map(|doubt| (doubt.source, doubt.by.as_millis()))
        }
    }

    #[test]
    fn a_clock_that_was_compared_with_nothing_is_relied_on() {
        assert_eq!(bench().clock.doubt(), None);
    }

    #[test]
    fn a_date_proves_only_what_lies_beyond_its_second_and_its_time_under_way() {
        for (round_trip, ahead, doubted) in [
            (0, 5_000, false),
            (0, 5_001, true),
            (3_000, 5_001, true),
            (0, -6_000, false),
            (0, -6_001, true),
            (3_000, -9_000, false),
            (3_000, -9_001, true),
        ] {
            let bench = bench();
            bench.date(TimeSource::Aws, round_trip, ahead);
            assert_eq!(bench.clock.doubt().is_some(), doubted, "{round_trip} ms, {ahead} ms");
        }
    }

    #[test]
    fn doubt_stays_until_its_source_proves_agreement() {
        let bench = bench();
        bench.date(TimeSource::Aws, 0, 10_000);
        let doubted = Some((TimeSource::Aws, 10_000));
        assert_eq!(bench.doubted_by(), doubted);
        bench.set_forward(86_400_000);
        assert_eq!(bench.doubted_by(), doubted, "silence changes nothing");
        bench.date(TimeSource::Aws, 20_000, 0);
        assert_eq!(bench.doubted_by(), doubted, "a slow answer proves nothing");
        bench.date(TimeSource::Log, 0, 0);
        assert_eq!(bench.doubted_by(), doubted, "another's agreement does not count");
        bench.date(TimeSource::Aws, 100, 0);
        assert_eq!(bench.doubted_by(), None);
    }

    #[test]
    fn the_latest_that_it_may_be_is_what_a_clock_says_that_ours_is_provably_behind() {
        let bench = bench();
        assert_eq!(bench.clock.latest(), ms(1_000_000), "nobody has said anything");
        bench.date(TimeSource::Aws, 0, 4_000);
        assert_eq!(bench.clock.latest(), ms(1_000_000), "nothing is proved");
        bench.date(TimeSource::Aws, 0, 600_000);
        assert_eq!(bench.clock.latest(), ms(1_600_000));
        bench.date(TimeSource::Aws, 0, -600_000);
        assert_eq!(bench.clock.latest(), ms(1_000_000), "ours is the later one");
    }

    #[test]
    fn doubt_tells_since_when() {
        let bench = bench();
        bench.date(TimeSource::Log, 0, 10_000);
        bench.set_forward(1_000);
        bench.date(TimeSource::Log, 0, 20_000);
        let doubt = bench.clock.doubt().unwrap();
        assert_eq!(doubt.since, ms(1_000_000));
        assert_eq!(doubt.to_string(), "this machine's clock is at least 20s behind that of the log");
    }

    #[test]
    fn a_clock_that_was_set_back_behind_the_log_is_in_doubt_until_it_is_there_again() {
        let bench = bench();
        bench.written(0);
        bench.set_forward(-60_000);
        assert_eq!(bench.doubted_by(), Some((TimeSource::Log, 60_000)));
        // What we write now bears our own clock's date, and proves nothing.
        bench.written(0);
        assert!(bench.clock.doubt().is_some());
        bench.set_forward(55_000);
        assert_eq!(bench.clock.doubt(), None);
    }

    #[test]
    fn an_event_from_the_future_is_its_writers_fault_once_an_answer_takes_our_side() {
        let bench = bench();
        bench.written(3_600_000);
        assert_eq!(bench.doubted_by(), Some((TimeSource::Log, 3_600_000)));
        bench.date(TimeSource::Aws, 100, 0);
        assert_eq!(bench.clock.doubt(), None);
    }

    #[test]
    fn what_follows_an_event_from_the_future_in_its_stream_raises_no_doubt_again() {
        let bench = bench();
        bench.written(3_600_000);
        bench.date(TimeSource::Aws, 100, 0);
        bench.written(3_600_000);
        assert_eq!(bench.clock.doubt(), None, "it has the date of what it follows");
        bench.set_forward(60_000);
        bench.written(3_540_000);
        assert_eq!(bench.clock.doubt(), None, "as long as that lies ahead");
        bench.written(3_540_001);
        assert_eq!(bench.doubted_by(), Some((TimeSource::Log, 3_540_001)), "this date nobody has refuted");
    }

    #[test]
    fn an_answer_refutes_no_date_that_has_come() {
        let bench = bench();
        bench.written(0);
        bench.date(TimeSource::Aws, 100, 0);
        bench.set_forward(-60_000);
        bench.written(60_000);
        assert_eq!(bench.doubted_by(), Some((TimeSource::Log, 60_000)), "our clock was set back since");
    }

    #[test]
    fn an_old_event_proves_nothing() {
        let bench = bench();
        bench.written(-3_600_000);
        assert_eq!(bench.clock.doubt(), None);
    }

    #[test]
    fn an_answer_over_which_our_clock_was_set_back_proves_nothing() {
        let bench = bench();
        bench.date(TimeSource::Aws, -60_000, 60_000);
        assert_eq!(bench.clock.doubt(), None);
    }
}

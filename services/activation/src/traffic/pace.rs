//! How fast: the calls of the last second, and how long operations took of late.

use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// AWS counts seconds as calls arrive, we count them as calls leave: a twentieth is left for what the network adds.
const SECOND: Duration = Duration::from_millis(1_050);

/// What status calls may use of the limit, in hundredths: the rest is for looking, creating and removing.
pub(super) const STATUS_PERCENT: usize = 80;

/// How many durations are remembered.
const TIMES_KEPT: usize = 32;

/// The calls of the last second, and how many there may be.
#[derive(Debug, Default)]
pub(super) struct Pace {
    calls: VecDeque<Instant>,
    /// Set while slower than allowed: how many a second from when on. One more with every second.
    slowed: Option<(usize, Instant)>,
}

impl Pace {
    /// Counts a call, if with it there are no more in this second than `percent` of the limit, and one in any case; or says how long
    /// to wait before trying again.
    pub(super) fn take(&mut self, now: Instant, limit: usize, percent: usize) -> Option<Duration> {
        while self.calls.front().is_some_and(|at| now.duration_since(*at) >= SECOND) {
            self.calls.pop_front();
        }
        let limit = (self.limit(now, limit).saturating_mul(percent) / 100).max(1);
        if let Some(over) = self.calls.len().checked_sub(limit) {
            let leaves = self.calls.get(over).map_or(now, |at| *at + SECOND);
            return Some(leaves.saturating_duration_since(now).max(Duration::from_millis(1)));
        }
        self.calls.push_back(now);
        None
    }

    /// Halves the pace, at most once a second; says what it is from now on.
    pub(super) fn slow_down(&mut self, now: Instant, limit: usize) -> usize {
        let allowed = self.limit(now, limit);
        if self.slowed.is_none_or(|(_, since)| now.duration_since(since) >= SECOND) {
            self.slowed = Some(((allowed / 2).max(1), now));
        }
        self.limit(now, limit)
    }

    fn limit(&mut self, now: Instant, limit: usize) -> usize {
        let Some((slowed, since)) = self.slowed else { return limit };
        let recovered = usize::try_from(now.duration_since(since).as_secs()).unwrap_or(usize::MAX);
        let allowed = slowed.saturating_add(recovered);
        if allowed >= limit {
            self.slowed = None;
        }
        allowed.min(limit)
    }

    /// The pause between two questions about one of `watched` operations.
    pub(super) fn share(&mut self, limit: usize, watched: usize) -> Duration {
        let percent = self.limit(Instant::now(), limit).saturating_mul(STATUS_PERCENT).max(1);
        let percent = u32::try_from(percent).unwrap_or(u32::MAX);
        let watched = u32::try_from(watched).unwrap_or(u32::MAX);
        Duration::from_secs(1).saturating_mul(watched.saturating_mul(100)) / percent
    }
}

/// How long operations of one kind took of late.
#[derive(Debug, Default)]
pub(super) struct Times(VecDeque<Duration>);

impl Times {
    pub(super) fn add(&mut self, took: Duration) {
        if self.0.len() >= TIMES_KEPT {
            self.0.pop_front();
        }
        self.0.push_back(took);
    }

    /// When it is worth while to ask for the first time: a little before the shortest of late ended, so that it is noticed
    /// when operations become faster.
    pub(super) fn soonest(&self) -> Duration {
        self.0.iter().min().map_or(Duration::ZERO, |shortest| *shortest * 19 / 20)
    }

    pub(super) fn longest(&self) -> Duration {
        self.0.iter().max().copied().unwrap_or_default()
    }

    pub(super) fn mean(&self) -> Option<Duration> {
        let count = u32::try_from(self.0.len()).ok().filter(|count| *count > 0)?;
        Some(self.0.iter().sum::<Duration>() / count)
    }
}

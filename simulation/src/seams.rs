//! Time and chance, as the simulation owns them.

use domain::ports::{Clock, Entropy};
use domain::{SignedDuration, Timestamp};
use rand::{RngCore as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// When every simulation begins: 2026-01-01T00:00:00Z.
pub(crate) const EPOCH_SECOND: i64 = 1_767_225_600;

/// Tokio's paused clock, from the epoch on, in whole milliseconds.
#[derive(Debug)]
pub(crate) struct SimClock {
    began: tokio::time::Instant,
}

impl SimClock {
    pub(crate) fn new() -> Self {
        Self { began: tokio::time::Instant::now() }
    }

    /// How long the simulation has been going on.
    pub(crate) fn elapsed(&self) -> std::time::Duration {
        self.began.elapsed()
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let elapsed = i64::try_from(self.elapsed().as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_second(EPOCH_SECOND)
            .and_then(|epoch| epoch.checked_add(SignedDuration::from_millis(elapsed)))
            .unwrap_or(Timestamp::MAX)
    }
}

/// The clock of one machine: the world's, set forward or back.
#[derive(Debug)]
pub(crate) struct LocalClock {
    world: Arc<SimClock>,
    ahead_millis: AtomicI64,
    /// By how much more, without anybody's knowledge.
    unnoticed: SignedDuration,
}

impl LocalClock {
    pub(crate) fn new(world: Arc<SimClock>, unnoticed: SignedDuration) -> Self {
        Self { world, ahead_millis: AtomicI64::new(0), unnoticed }
    }

    /// Shows another time from now on.
    pub(crate) fn set_ahead(&self, ahead: SignedDuration) {
        self.ahead_millis.store(i64::try_from(ahead.as_millis()).unwrap_or(0), Ordering::Relaxed);
    }

    /// By how much it is ahead of the world.
    pub(crate) fn ahead(&self) -> SignedDuration {
        SignedDuration::from_millis(self.ahead_millis.load(Ordering::Relaxed))
    }
}

impl Clock for LocalClock {
    fn now(&self) -> Timestamp {
        let now = self.world.now();
        now.checked_add(self.ahead() + self.unnoticed).unwrap_or(now)
    }
}

/// Predictable bytes, never the same twice.
pub(crate) struct SimEntropy(Mutex<ChaCha8Rng>);

impl SimEntropy {
    pub(crate) fn new(chance: ChaCha8Rng) -> Self {
        Self(Mutex::new(chance))
    }
}

impl Entropy for SimEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(bytes);
    }
}

/// The chance of one part of the simulation: parts do not disturb each other's.
pub(crate) fn chance_of(seed: u64, part: &str) -> ChaCha8Rng {
    ChaCha8Rng::from_seed(domain::canonical_digest([seed.to_be_bytes().as_slice(), part.as_bytes()]))
}

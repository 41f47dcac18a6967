//! What the outside gives to everything: the time, and chance. Sleeping is tokio's, whose clock a simulation can own.

use crate::{Doubt, Sighting, SignedDuration, Timestamp};
use std::sync::Arc;

/// Tells the time, and how far it is to be relied on.
pub trait Clock: Send + Sync + 'static {
    /// Now, in UTC.
    fn now(&self) -> Timestamp;

    /// Hears of another's clock. A clock that compares itself with nobody does not listen.
    fn compare(&self, _sighting: &Sighting) {}

    /// Why [`now`](Self::now) is not to be relied on, if so: then nothing may be granted; what removes access goes on.
    fn doubt(&self) -> Option<Doubt> {
        None
    }

    /// What time it is at the latest, as far as anybody knows: ours, or that of a clock that ours is provably behind. For what must not
    /// be taken for the future because our clock is wrong; never for what is granted.
    fn latest(&self) -> Timestamp {
        let behind = self.doubt().map_or(SignedDuration::ZERO, |doubt| doubt.by.max(SignedDuration::ZERO));
        self.now().checked_add(behind).unwrap_or(Timestamp::MAX)
    }
}

/// Gives unpredictable bytes (in a simulation: predictable ones).
pub trait Entropy: Send + Sync + 'static {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

/// A clock that many share.
pub type SharedClock = Arc<dyn Clock>;

/// A source of chance that many share.
pub type SharedEntropy = Arc<dyn Entropy>;

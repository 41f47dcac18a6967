//! What the outside gives to everything: the time, and chance. Sleeping is tokio's, whose clock a simulation can own.

use crate::{Doubt, Sighting, Timestamp};
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

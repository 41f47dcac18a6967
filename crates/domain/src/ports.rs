//! What the outside gives to everything: the time, and chance. Sleeping is tokio's, whose clock a simulation can own.

use crate::Timestamp;
use std::sync::Arc;

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// Now, in UTC.
    fn now(&self) -> Timestamp;
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

//! A clock that a test owns: tokio's, which stands still until every task waits.

use domain::ports::{Clock, Entropy};
use domain::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// 2026-03-01T12:00:00Z, plus what tokio's clock has passed since.
pub(crate) struct TokioClock {
    began: Instant,
}

impl TokioClock {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now() }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        let passed = SignedDuration::try_from(self.began.elapsed()).unwrap_or(SignedDuration::MAX);
        noon().checked_add(passed).unwrap_or(Timestamp::MAX)
    }
}

pub(crate) fn noon() -> Timestamp {
    Timestamp::from_second(1_772_366_400).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Always the same byte.
pub(crate) struct Constant(pub(crate) u8);

impl Entropy for Constant {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0);
    }
}

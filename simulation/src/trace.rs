//! The trace: one readable line per thing that happened. Two runs of a seed are the same if their traces are.

use crate::seams::SimClock;
use sha2::{Digest as _, Sha256};
use std::sync::{Arc, Mutex, PoisonError};

/// The lines so far. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    clock: Arc<SimClock>,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Trace {
    pub(crate) fn new(clock: Arc<SimClock>, lines: Arc<Mutex<Vec<String>>>) -> Self {
        Self { clock, lines }
    }

    /// `who` did, or met, `what`, now.
    pub(crate) fn note(&self, who: &str, what: &str) {
        let elapsed = self.clock.elapsed();
        let (minutes, seconds) = (elapsed.as_secs() / 60, elapsed.as_secs() % 60);
        let line = format!("{minutes:>3}:{seconds:02}.{:03}  {who:<8} {what}", elapsed.subsec_millis());
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

/// SHA-256 over all lines, in hexadecimal digits.
pub(crate) fn digest(lines: &[String]) -> String {
    let mut hash = Sha256::new();
    for line in lines {
        hash.update(line.as_bytes());
        hash.update(b"\n");
    }
    domain::hex(&hash.finalize())
}

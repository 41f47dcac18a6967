//! Another's clock, as it was seen beside ours; and what is wrong with ours if they disagree.

use crate::{SignedDuration, Timestamp};
use std::fmt;

/// Whose clock ours is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TimeSource {
    /// AWS, by the `Date` of its answers: what enforces the end of access.
    Aws,
    /// The log: its server's clock, or those of the writers of its events.
    Log,
}

impl fmt::Display for TimeSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aws => "AWS",
            Self::Log => "the log",
        })
    }
}

/// Another's clock, seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Sighting {
    /// An answer: at some moment between asking and hearing it, the other's clock was between `earliest` and `latest`.
    Answer {
        /// Whose clock.
        source: TimeSource,
        /// When it was asked, by our clock.
        asked_at: Timestamp,
        /// When the answer was heard, by our clock.
        heard_at: Timestamp,
        /// What their clock was at least.
        earliest: Timestamp,
        /// What their clock was at most.
        latest: Timestamp,
    },
    /// A new event of the log, which its writer's clock has dated. It may have been under way for any time.
    Written {
        /// The date.
        at: Timestamp,
    },
}

impl Sighting {
    /// An answer with an HTTP `Date`, which is cut to whole seconds (RFC 9110 §5.6.7).
    pub fn http_date(source: TimeSource, asked_at: Timestamp, heard_at: Timestamp, date: Timestamp) -> Self {
        let latest = date.checked_add(SignedDuration::from_secs(1)).unwrap_or(date);
        Self::Answer { source, asked_at, heard_at, earliest: date, latest }
    }
}

/// Why our clock is not to be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Doubt {
    /// By how much the other's clock is ahead of ours, at least; negative: behind.
    pub by: SignedDuration,
    /// Whose clock says so.
    pub source: TimeSource,
    /// Since when, by our clock.
    pub since: Timestamp,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = if self.by.is_negative() { "ahead of" } else { "behind" };
        write!(f, "this machine's clock is at least {:#} {side} that of {}", self.by.abs(), self.source)
    }
}

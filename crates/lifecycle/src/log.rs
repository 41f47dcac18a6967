//! The log's own story: that it was restored from a backup, and that AWS was looked through since.
//!
//! A restored log does not know what was made or removed in AWS after the backup. So nothing is granted on it before the organisation
//! was looked through once.

use crate::Rejection;
use domain::{LogId, Timestamp};

/// What can happen to the log as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LogEvent {
    /// Everything before this event was copied from a backup.
    Restored {
        /// The log that it was copied from.
        backup: LogId,
        /// How many events that were.
        events: u64,
    },
    /// The organisation was looked through.
    Swept {
        /// Assignments in AWS that the restored log did not know.
        unknown: u64,
    },
}

/// A log that was restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Restored {
    /// When.
    pub at: Timestamp,
    /// Whether the organisation was looked through since.
    pub swept: bool,
}

impl Restored {
    /// Folds one event.
    pub fn evolve(state: Option<Self>, event: &LogEvent, at: Timestamp) -> Option<Self> {
        match event {
            LogEvent::Restored { .. } => Some(Self { at, swept: false }),
            LogEvent::Swept { .. } => state.map(|restored| Self { swept: true, ..restored }),
        }
    }
}

/// Records that the organisation was looked through, where that was owed.
pub fn sweep(restored: Option<&Restored>, unknown: u64) -> Result<LogEvent, Rejection> {
    match restored {
        Some(Restored { swept: false, .. }) => Ok(LogEvent::Swept { unknown }),
        Some(Restored { swept: true, .. }) | None => Err(Rejection::AsItShouldBe),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn restored(before: Option<Restored>, second: i64) -> Option<Restored> {
        let backup = "00000000-0000-8000-8000-000000000001".parse().unwrap();
        Restored::evolve(before, &LogEvent::Restored { backup, events: 7 }, at(second))
    }

    #[test]
    fn each_restore_owes_one_sweep_and_a_log_that_never_was_restored_owes_none() {
        assert_eq!(sweep(None, 0), Err(Rejection::AsItShouldBe));
        let first = restored(None, 1);
        let swept = sweep(first.as_ref(), 3).unwrap();
        assert_eq!(swept, LogEvent::Swept { unknown: 3 });
        let done = Restored::evolve(first, &swept, at(2));
        assert_eq!(done, Some(Restored { at: at(1), swept: true }));
        assert_eq!(sweep(done.as_ref(), 0), Err(Rejection::AsItShouldBe));
        // A backup of a restored log, restored.
        assert_eq!(restored(done, 9), Some(Restored { at: at(9), swept: false }));
    }
}

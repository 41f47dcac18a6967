//! When access exists.

use crate::Invalid;
use jiff::{SignedDuration, Timestamp};

/// `[start, end)`: access exists from `start` on, and no longer at `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Window {
    start: Timestamp,
    end: Timestamp,
}

/// A window as it was written down, by whomever.
#[derive(serde::Deserialize)]
struct Unchecked {
    start: Timestamp,
    end: Timestamp,
}

impl TryFrom<Unchecked> for Window {
    type Error = Invalid;
    fn try_from(window: Unchecked) -> Result<Self, Invalid> {
        Self::new(window.start, window.end)
    }
}

impl Window {
    /// A window that is not empty.
    pub fn new(start: Timestamp, end: Timestamp) -> Result<Self, Invalid> {
        if start < end {
            Ok(Self { start, end })
        } else {
            Err(Invalid::new("window", "must end after it starts"))
        }
    }

    /// A window of `duration` from `start`.
    pub fn from_duration(start: Timestamp, duration: SignedDuration) -> Result<Self, Invalid> {
        let end = start
            .checked_add(duration)
            .map_err(|_| Invalid::new("window", "must end within the calendar"))?;
        Self::new(start, end)
    }

    /// The first instant of access.
    pub fn start(&self) -> Timestamp {
        self.start
    }

    /// The first instant without access.
    pub fn end(&self) -> Timestamp {
        self.end
    }

    /// How long.
    pub fn duration(&self) -> SignedDuration {
        self.end.duration_since(self.start)
    }

    /// Whether `at` is inside.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.start <= at && at < self.end
    }
}

/// What a requester asks for: how long, and from when, if not from approval on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct AskedWindow {
    /// `None`: from the instant of approval on.
    pub start: Option<Timestamp>,
    /// How long. With a start, the end is fixed at `start + duration`, however late the approval comes.
    pub duration: SignedDuration,
}

impl AskedWindow {
    /// The window when approval comes at `approved_at`: with an asked start, `start = max(asked, approved)` and the end
    /// stays; without one, the clock starts at approval. Errors when nothing would be left.
    pub fn from_approval(&self, approved_at: Timestamp) -> Result<Window, Invalid> {
        match self.start {
            None => Window::from_duration(approved_at, self.duration),
            Some(asked) => {
                let end = Window::from_duration(asked, self.duration)?.end();
                Window::new(asked.max(approved_at), end)
            }
        }
    }

    /// When the window passes even without a decision; `None` when it would start at approval.
    pub fn passes_at(&self) -> Option<Timestamp> {
        self.start.and_then(|start| start.checked_add(self.duration).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn a_window_holds_its_start_and_not_its_end() {
        let window = Window::new(at(10), at(20)).unwrap();
        assert!(window.contains(at(10)) && window.contains(at(19)));
        assert!(!window.contains(at(9)) && !window.contains(at(20)));
    }

    #[test]
    fn without_a_start_the_clock_starts_at_approval() {
        let asked = AskedWindow { start: None, duration: SignedDuration::from_secs(10) };
        assert_eq!(asked.from_approval(at(5)).unwrap(), Window::new(at(5), at(15)).unwrap());
    }

    #[test]
    fn a_late_approval_keeps_the_end() {
        let asked = AskedWindow { start: Some(at(10)), duration: SignedDuration::from_secs(10) };
        assert_eq!(asked.from_approval(at(15)).unwrap(), Window::new(at(15), at(20)).unwrap());
        assert!(asked.from_approval(at(20)).is_err());
    }

    #[test]
    fn an_early_approval_waits_for_the_start() {
        let asked = AskedWindow { start: Some(at(10)), duration: SignedDuration::from_secs(10) };
        assert_eq!(asked.from_approval(at(1)).unwrap().start(), at(10));
    }
}

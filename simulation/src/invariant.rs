//! What always holds. Each invariant is checked as soon as it can be told; the first that does not hold ends the simulation.
//!
//! - [`story`]: S4, S6, and the order of events, by each event alone against what was known before it;
//! - [`effect`]: S1, S2, S3, S7, by each call that AWS got and each change that it made;
//! - [`authority`]: S4, by each event against the policy and the organisation as they are;
//! - [`chaining`]: S2 of what is chained from sessions that were handed out;
//! - [`denial`]: S2 and S3 of live sessions, by what the service control policies say;
//! - [`lateness`]: S2, by what is in AWS past its end;
//! - [`presence`]: S1 from its other side, by what is not in AWS while a request needs it;
//! - [`durable`]: S5, S8, S9, by the log against what was acknowledged, written in confidence, and shown;
//! - [`provable`]: S10, by each event against what its writer could know;
//! - [`end`]: L1 to L4, once faults have healed and time has passed.

pub(crate) mod authority;
pub(crate) mod chaining;
pub(crate) mod denial;
pub(crate) mod durable;
pub(crate) mod effect;
pub(crate) mod end;
pub(crate) mod lateness;
pub(crate) mod presence;
pub(crate) mod provable;
pub(crate) mod story;

/// An invariant does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which, by its name in the design: `S1`.
    pub invariant: &'static str,
    /// What was seen.
    pub what: String,
}

impl Violation {
    pub(crate) fn new(invariant: &'static str, what: String) -> Self {
        Self { invariant, what }
    }
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}

/// `at + by`, within the calendar.
pub(crate) fn later(at: domain::Timestamp, by: domain::SignedDuration) -> domain::Timestamp {
    let edge = if by.is_negative() { domain::Timestamp::MIN } else { domain::Timestamp::MAX };
    at.checked_add(by).unwrap_or(edge)
}

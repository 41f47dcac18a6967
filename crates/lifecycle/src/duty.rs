//! Work that only one replica should do. Claimed by an event, written only when hands change; no heartbeat.
//!
//! A stale holder is harmless: whatever it does meets a compare-and-set on the log or a fence in AWS.

use crate::Rejection;
use domain::{SignedDuration, Timestamp};

/// A replica took over a duty.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DutyClaimed {
    /// Which replica does it from now on.
    pub holder: String,
}

/// Who does it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Duty {
    /// The replica.
    pub holder: String,
    /// Since when.
    pub claimed_at: Timestamp,
}

impl Duty {
    /// Folds one claim.
    pub fn evolve(_before: Option<Self>, event: &DutyClaimed, at: Timestamp) -> Option<Self> {
        Some(Self { holder: event.holder.clone(), claimed_at: at })
    }
}

/// A replica offers to do what nobody seems to do.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The replica.
    pub replica: String,
    /// Since when the oldest piece of due work waits; `None`: nothing is due.
    pub waiting_since: Option<Timestamp>,
    /// How long due work may wait before another replica takes over.
    pub patience: SignedDuration,
    /// Now.
    pub at: Timestamp,
}

/// Takes over a duty that nobody holds, or whose due work waits longer than `patience` under its holder.
pub fn claim(duty: Option<&Duty>, command: Claim) -> Result<DutyClaimed, Rejection> {
    let Some(waiting_since) = command.waiting_since else {
        return Err(Rejection::Attended);
    };
    if let Some(duty) = duty {
        let attended_since = waiting_since.max(duty.claimed_at);
        if duty.holder == command.replica || command.at.duration_since(attended_since) < command.patience {
            return Err(Rejection::Attended);
        }
    }
    Ok(DutyClaimed { holder: command.replica })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn claim_at(
        duty: Option<&Duty>,
        replica: &str,
        waiting: Option<i64>,
        now: i64,
    ) -> Result<DutyClaimed, Rejection> {
        let command = Claim {
            replica: replica.into(),
            waiting_since: waiting.map(at),
            patience: SignedDuration::from_secs(5),
            at: at(now),
        };
        claim(duty, command)
    }

    #[test]
    fn an_unheld_duty_goes_to_whoever_sees_due_work() {
        assert_eq!(claim_at(None, "a", Some(1), 1).unwrap().holder, "a");
        assert_eq!(claim_at(None, "a", None, 1), Err(Rejection::Attended));
    }

    #[test]
    fn a_held_duty_changes_hands_only_when_work_waits() {
        let duty = Duty { holder: "a".into(), claimed_at: at(0) };
        assert_eq!(claim_at(Some(&duty), "b", Some(10), 14), Err(Rejection::Attended));
        assert_eq!(claim_at(Some(&duty), "b", Some(10), 15).unwrap().holder, "b");
        assert_eq!(claim_at(Some(&duty), "a", Some(10), 15), Err(Rejection::Attended));
    }

    #[test]
    fn a_new_holder_gets_the_same_patience() {
        let duty = Duty { holder: "b".into(), claimed_at: at(15) };
        assert_eq!(claim_at(Some(&duty), "a", Some(10), 19), Err(Rejection::Attended));
        assert_eq!(claim_at(Some(&duty), "a", Some(10), 20).unwrap().holder, "a");
    }
}

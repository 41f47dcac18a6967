//! Work that only one replica should do. Claimed by an event, written only when hands change; no heartbeat.
//!
//! A stale holder is harmless: whatever it does meets a compare-and-set on the log or a fence in AWS.

use crate::Rejection;
use domain::{SignedDuration, Timestamp};

/// Claims that are remembered: patience doubles with each of them that did not help.
const CLAIMS_KEPT: usize = 8;

/// The longest patience with a holder, however often hands changed in vain: one that cannot do it (AWS cannot be reached from there)
/// may be all that is in the way by now. Longer only where the work itself is given longer.
const PATIENCE_MAX: SignedDuration = SignedDuration::from_mins(10);

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
    /// When hands changed lately, the latest last.
    pub claims: Vec<Timestamp>,
}

impl Duty {
    /// Folds one claim.
    pub fn evolve(before: Option<Self>, event: &DutyClaimed, at: Timestamp) -> Option<Self> {
        let mut claims = before.map(|duty| duty.claims).unwrap_or_default();
        claims.push(at);
        claims.drain(..claims.len().saturating_sub(CLAIMS_KEPT));
        Some(Self { holder: event.holder.clone(), claimed_at: at, claims })
    }

    /// The same, known since `known_since`: a claim that is dated later was made before all the same, by a clock that is ahead.
    #[must_use]
    pub fn known_since(mut self, known_since: Timestamp) -> Self {
        self.claimed_at = self.claimed_at.min(known_since);
        self.claims.iter_mut().for_each(|at| *at = (*at).min(known_since));
        self
    }

    /// From when on work that waits since `waiting_since` may be taken from the holder. What waits although hands have changed
    /// waits for something else (AWS, the directory): each claim that did not help doubles the patience, up to ten minutes.
    pub fn attended_until(&self, waiting_since: Timestamp, patience: SignedDuration) -> Timestamp {
        let in_vain = self.claims.iter().filter(|at| **at > waiting_since).count();
        let doublings = u32::try_from(in_vain).unwrap_or(u32::MAX).min(i32::BITS - 2);
        let longest = patience.max(PATIENCE_MAX);
        let patience = patience.checked_mul(1 << doublings).map_or(longest, |patience| patience.min(longest));
        waiting_since.max(self.claimed_at).checked_add(patience).unwrap_or(Timestamp::MAX)
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

/// Takes over a duty that nobody holds, or whose due work waits longer than `patience` under its holder; see
/// [`Duty::attended_until`].
pub fn claim(duty: Option<&Duty>, command: Claim) -> Result<DutyClaimed, Rejection> {
    let Some(waiting_since) = command.waiting_since else {
        return Err(Rejection::Attended);
    };
    let attended = duty.is_some_and(|duty| {
        duty.holder == command.replica || command.at < duty.attended_until(waiting_since, command.patience)
    });
    if attended {
        return Err(Rejection::Attended);
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

    /// A duty after claims at these seconds.
    fn held(claims: &[(&str, i64)]) -> Duty {
        let evolve = |duty, (holder, second): &(&str, i64)| {
            Duty::evolve(duty, &DutyClaimed { holder: (*holder).into() }, at(*second))
        };
        claims.iter().fold(None, evolve).unwrap()
    }

    #[test]
    fn a_held_duty_changes_hands_only_when_work_waits() {
        let duty = held(&[("a", 0)]);
        assert_eq!(claim_at(Some(&duty), "b", Some(10), 14), Err(Rejection::Attended));
        assert_eq!(claim_at(Some(&duty), "b", Some(10), 15).unwrap().holder, "b");
        assert_eq!(claim_at(Some(&duty), "a", Some(10), 15), Err(Rejection::Attended));
    }

    #[test]
    fn each_claim_that_did_not_help_doubles_the_patience() {
        let duty = held(&[("a", 0), ("b", 15)]);
        assert_eq!(claim_at(Some(&duty), "a", Some(10), 24), Err(Rejection::Attended));
        assert_eq!(claim_at(Some(&duty), "a", Some(10), 25).unwrap().holder, "a");
        assert_eq!(
            claim_at(Some(&duty), "a", Some(16), 21).unwrap().holder,
            "a",
            "what fell due after it is not its fault"
        );
        let duty = held(&[("a", 0), ("b", 15), ("a", 25)]);
        assert_eq!(claim_at(Some(&duty), "b", Some(10), 44), Err(Rejection::Attended));
        assert_eq!(claim_at(Some(&duty), "b", Some(10), 45).unwrap().holder, "b");
    }

    #[test]
    fn patience_has_an_end_however_often_hands_changed_in_vain() {
        let claims: Vec<(&str, i64)> =
            (0..8).map(|claim| (if claim % 2 == 0 { "a" } else { "b" }, 20 + claim)).collect();
        let duty = held(&claims);
        assert_eq!(claim_at(Some(&duty), "a", Some(10), 27 + 599), Err(Rejection::Attended));
        assert_eq!(claim_at(Some(&duty), "a", Some(10), 27 + 600).unwrap().holder, "a");
        let an_hour = SignedDuration::from_hours(1);
        assert_eq!(
            duty.attended_until(at(10), an_hour),
            at(27 + 3_600),
            "work that is given longer has longer"
        );
    }

    #[test]
    fn a_claim_by_a_clock_that_is_ahead_counts_from_when_it_is_known() {
        let duty = held(&[("b", 5), ("a", 3_600)]);
        assert_eq!(claim_at(Some(&duty), "b", Some(20), 30), Err(Rejection::Attended));
        let known = duty.known_since(at(10));
        assert_eq!(claim_at(Some(&known), "b", Some(20), 24), Err(Rejection::Attended));
        assert_eq!(claim_at(Some(&known), "b", Some(20), 25).unwrap().holder, "b");
        assert_eq!(known.claims, [at(5), at(10)]);
    }

    #[test]
    fn only_the_latest_claims_are_remembered() {
        let claims: Vec<(&str, i64)> = (0..100).map(|second| ("a", second)).collect();
        let duty = held(&claims);
        assert_eq!(duty.claims.len(), CLAIMS_KEPT);
        assert_eq!(duty.claims.last(), Some(&duty.claimed_at));
        assert_eq!(duty.attended_until(at(-1), SignedDuration::MAX), Timestamp::MAX);
    }
}

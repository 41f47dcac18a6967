//! L1 to L4: in the end, once faults have healed and time has passed.

use super::effect::Effects;
use super::{Violation, denial, later};
use crate::line::Cloud;
use crate::truth::{Known, Truth};
use crate::words;
use aws::AssignmentKey;
use domain::{SignedDuration, Timestamp, Window};
use lifecycle::event::EndedBecause;
use lifecycle::state::{EndReason, Phase};

/// How long what is damaged may outlast its end when nothing is wrong: nobody waits for it by a story, so where who has the duty is
/// dead another finds it within a sweep, of two minutes at most, is patient for two, and has looked again after another; then it has a
/// minute to remove it.
const GONE_WITHIN: SignedDuration = SignedDuration::from_mins(9);

/// Whether nothing is left to happen by itself.
pub(crate) fn is_quiet(truth: &Truth, cloud: &Cloud, healed_at: Timestamp, now: Timestamp) -> bool {
    truth.requests.values().all(|known| {
        if truth.is_stuck(known) {
            // It says no more; what it had goes at its end.
            let gone_by = |window: Window| later(window.end().max(healed_at), GONE_WITHIN);
            return known.request.window().is_none_or(|window| now > gone_by(window));
        }
        match known.request.phase {
            Phase::Pending | Phase::Approved { .. } => false,
            Phase::Expired { .. } | Phase::Rejected { .. } => true,
            // What AWS refuses to remove is given up later.
            Phase::Ended { .. } => {
                !known.request.is_closing() || known.key().is_some_and(|key| cloud.is_lost(key.account()))
            }
        }
    })
}

/// Checks the end.
pub(crate) fn check(truth: &Truth, effects: &Effects, cloud: &Cloud) -> Result<(), Violation> {
    for known in truth.requests.values().filter(|known| !truth.is_stuck(known)) {
        if let Err(violation) = ended(known, cloud) {
            // L4: what cannot be read holds up nobody else.
            let invariant = if truth.any_damage() { "L4" } else { violation.invariant };
            return Err(Violation { invariant, ..violation });
        }
    }
    if let Some(key) = unfound(truth, effects, cloud) {
        return Err(Violation::new("L3", format!("{} is of others, and is never found", words::key(&key))));
    }
    let left = cloud.aws.assignments().into_iter().find(|key| {
        !effects.is_of_others(key)
            && !cloud.is_lost(key.account())
            && !truth.abandoned.contains(key)
            && !truth.unreadable.contains(key)
    });
    if let Some(key) = left {
        return Err(Violation::new("L1", format!("{} is left in AWS", words::key(&key))));
    }
    cloud.scps.as_ref().map_or(Ok(()), |scps| denial::left(truth, scps))
}

/// L3: an assignment that others made, and no sweep has told of.
pub(crate) fn unfound(truth: &Truth, effects: &Effects, cloud: &Cloud) -> Option<AssignmentKey> {
    cloud.aws.assignments().into_iter().find(|key| {
        effects.is_of_others(key)
            && !cloud.is_lost(key.account())
            && !truth.found.contains(key)
            && !truth.unreadable.contains(key)
    })
}

fn ended(known: &Known, cloud: &Cloud) -> Result<(), Violation> {
    let name = format!("r{}", known.number);
    match &known.request.phase {
        Phase::Pending => Err(Violation::new("L2", format!("{name} never expires"))),
        Phase::Approved { .. } => Err(Violation::new("L1", format!("{name} never ends"))),
        Phase::Ended { .. } if known.request.is_closing() => {
            // What AWS refuses to remove cannot be closed; that it is counted is checked elsewhere.
            if known.key().is_some_and(|key| cloud.is_lost(key.account())) {
                return Ok(());
            }
            Err(Violation::new("L1", format!("{name} is never closed")))
        }
        Phase::Ended { grant: Some(_), because: EndReason::Ended(EndedBecause::Elapsed), .. }
            if !known.was_active() =>
        {
            let what = format!("{name} was approved, never became active, and nothing says why");
            Err(Violation::new("L2", what))
        }
        Phase::Ended { because: EndReason::Ended(EndedBecause::Failed { reason }), .. }
            if reason.is_empty() =>
        {
            Err(Violation::new("L2", format!("{name} failed, and nothing says why")))
        }
        Phase::Expired { .. } | Phase::Rejected { .. } | Phase::Ended { .. } => Ok(()),
    }
}

//! L1 to L4: in the end, once faults have healed and time has passed.

use super::effect::Effects;
use super::{Violation, later};
use crate::line::Cloud;
use crate::truth::{Known, Truth};
use crate::words;
use domain::{SignedDuration, Timestamp};
use lifecycle::event::EndedBecause;
use lifecycle::state::{EndReason, Phase};

/// How long what is damaged may outlast its end when nothing is wrong.
const GONE_WITHIN: SignedDuration = SignedDuration::from_mins(5);

/// How long what others made may go unnoticed: a sweep's interval, the longest that it may be kept from working, and the sweep.
const SWEPT_WITHIN: SignedDuration = SignedDuration::from_mins(20);

/// Whether nothing is left to happen by itself.
pub(crate) fn is_quiet(truth: &Truth, cloud: &Cloud, now: Timestamp) -> bool {
    truth.requests.values().all(|known| {
        if known.damaged.is_some() {
            // It says no more; what it had goes at its end.
            return known.request.window().is_none_or(|window| now > later(window.end(), GONE_WITHIN));
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
pub(crate) fn check(
    truth: &Truth,
    effects: &Effects,
    cloud: &Cloud,
    now: Timestamp,
) -> Result<(), Violation> {
    for known in truth.requests.values().filter(|known| known.damaged.is_none()) {
        if let Err(violation) = ended(known, cloud) {
            // L4: what cannot be read holds up nobody else.
            let invariant = if truth.any_damage() { "L4" } else { violation.invariant };
            return Err(Violation { invariant, ..violation });
        }
    }
    for key in cloud.aws.assignments().into_iter().filter(|key| !cloud.is_lost(key.account())) {
        let shown = words::key(&key);
        match effects.since(&key) {
            // L3: what others made is found by a sweep, and told of.
            Some(since) if now > later(since, SWEPT_WITHIN) && !truth.found.contains(&key) => {
                return Err(Violation::new(
                    "L3",
                    format!("{shown} is of others since {since}, and was never found"),
                ));
            }
            None if !truth.abandoned.contains(&key) => {
                return Err(Violation::new("L1", format!("{shown} is left in AWS")));
            }
            Some(_) | None => {}
        }
    }
    Ok(())
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

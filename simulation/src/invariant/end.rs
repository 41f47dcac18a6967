//! L1 and L2: in the end, once faults have healed and time has passed.

use super::Violation;
use super::effect::Effects;
use crate::truth::Truth;
use crate::words;
use aws::simulated::SimulatedAws;
use lifecycle::event::EndedBecause;
use lifecycle::state::{EndReason, Phase};

/// Whether nothing is left to happen by itself.
pub(crate) fn is_quiet(truth: &Truth) -> bool {
    truth.requests.values().all(|known| match known.request.phase {
        Phase::Pending | Phase::Approved { .. } => false,
        Phase::Expired { .. } | Phase::Rejected { .. } => true,
        Phase::Ended { .. } => !known.request.is_closing(),
    })
}

/// Checks the end.
pub(crate) fn check(truth: &Truth, effects: &Effects, aws: &SimulatedAws) -> Result<(), Violation> {
    for known in truth.requests.values() {
        let name = format!("r{}", known.number);
        match &known.request.phase {
            Phase::Pending => return Err(Violation::new("L2", format!("{name} never expires"))),
            Phase::Approved { .. } => return Err(Violation::new("L1", format!("{name} never ends"))),
            Phase::Ended { .. } if known.request.is_closing() => {
                return Err(Violation::new("L1", format!("{name} is never closed")));
            }
            Phase::Ended { grant: Some(_), because: EndReason::Ended(EndedBecause::Elapsed), .. }
                if !known.was_active =>
            {
                let what = format!("{name} was approved, never became active, and nothing says why");
                return Err(Violation::new("L2", what));
            }
            Phase::Expired { .. } | Phase::Rejected { .. } | Phase::Ended { .. } => {}
        }
    }
    match aws.assignments().into_iter().find(|key| !effects.standing.contains(key)) {
        Some(left) => Err(Violation::new("L1", format!("{} is left in AWS", words::key(&left)))),
        None => Ok(()),
    }
}

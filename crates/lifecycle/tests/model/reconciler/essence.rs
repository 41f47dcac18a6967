//! What no decision reads is forgotten, so that states that differ in nothing else are one: mostly, when something happened.
//!
//! INVARIANT: a decision, a fold and a step of the shell say the same of a value and of its essence, as long as the clock only
//! goes forward.

use super::bounds::LIST_LAG;
use super::world::{instant, ticks};
use domain::Timestamp;
use lifecycle::Request;
use lifecycle::assignment::Ledger;
use lifecycle::state::{Active, Closure, EndReason, Grant, Phase};

/// A request without the times and reasons that nothing depends on. Of its end, whether it came before the start is kept.
pub(super) fn of_story(request: Request) -> Request {
    let long_ago = request.raised_at;
    let phase = match request.phase {
        Phase::Approved { grant, active } => {
            Phase::Approved { grant: of_grant(grant, long_ago), active: of_active(active, long_ago) }
        }
        Phase::Ended { grant, active, at, because: _, closure } => {
            let start = grant.as_ref().map(|grant| grant.approved.window.start());
            Phase::Ended {
                at: start.filter(|start| at >= *start).unwrap_or(long_ago),
                grant: grant.map(|grant| of_grant(grant, long_ago)),
                active: of_active(active, long_ago),
                because: EndReason::Withdrawn,
                closure: match closure {
                    Closure::Closing => Closure::Closing,
                    Closure::Closed { at: _, how, removed_at: _ } => {
                        Closure::Closed { at: long_ago, how, removed_at: None }
                    }
                },
            }
        }
        other @ (Phase::Pending | Phase::Expired { .. } | Phase::Rejected { .. }) => other,
    };
    Request { last_at: long_ago, endorsements: Vec::new(), phase, ..request }
}

fn of_grant(mut grant: Grant, long_ago: Timestamp) -> Grant {
    grant.at = long_ago;
    grant.approved.approvers.clear();
    grant
}

fn of_active(active: Option<Active>, long_ago: Timestamp) -> Option<Active> {
    active.map(|active| Active { at: long_ago, ..active })
}

/// A ledger at a tick: its latest event is fresh or not, its fence has passed or not.
pub(super) fn of_ledger(mut ledger: Ledger, now: u8) -> Ledger {
    let long_ago = instant(0);
    // Only the pauses between tries depend on these.
    ledger.failures = 0;
    ledger.last_failure = None;
    ledger.failed_at = None;
    // How often to look depends on this, and whether others removed it: nobody else does here.
    ledger.late_removal = None;
    if instant(now).duration_since(ledger.last_at) >= ticks(LIST_LAG) {
        ledger.last_at = long_ago;
    }
    // The next attempt is not before now.
    if ledger.open.is_empty() {
        ledger.fence = ledger.fence.map(|fence| if fence <= instant(now) { long_ago } else { fence });
    }
    ledger
}

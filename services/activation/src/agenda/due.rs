//! When one request asks for what.

use super::queue::Lane;
use super::waits::Wait;
use domain::{Entitlement, Provider, SignedDuration, Timestamp};
use lifecycle::Request;
use lifecycle::assignment::AssignmentKey;
use lifecycle::event::{ClosedHow, EndedBecause};
use lifecycle::state::{Closure, EndReason, Phase};

/// The assignment that a request is about; `None`: it is about something else.
pub(crate) fn key_of(request: &Request) -> Option<AssignmentKey> {
    let target = &request.raised.target;
    match (request.raised.grounds.provider, target.entitlement()) {
        (Provider::IdentityCenter, Entitlement::PermissionSet(_))
        | (Provider::AccountAccess, Entitlement::Role(_)) => {
            let principal = request.raised.grounds.principal.clone()?;
            Some(AssignmentKey { principal, target: target.clone() })
        }
        (Provider::IdentityCenter, Entitlement::Role(_))
        | (Provider::AccountAccess, Entitlement::PermissionSet(_))
        | (Provider::Sts, _) => None,
    }
}

/// Whether nothing can have been done for an ended request: it was over before anybody could begin.
pub(crate) fn never_begun(request: &Request) -> bool {
    match &request.phase {
        Phase::Ended { active: None, at, .. } => request.window().is_none_or(|window| {
            *at < crate::core::later(window.start(), -crate::settings::START_LEAD_LIMIT)
        }),
        Phase::Ended { active: Some(_), .. }
        | Phase::Pending
        | Phase::Approved { .. }
        | Phase::Expired { .. }
        | Phase::Rejected { .. } => false,
    }
}

/// When the request itself must be seen to.
pub(super) fn attend_at(request: &Request, now: Timestamp) -> Option<Timestamp> {
    match &request.phase {
        Phase::Approved { grant, active } => {
            let window = grant.approved.window;
            let begins_here = active.is_none() && key_of(request).is_none();
            Some(if begins_here { window.start() } else { window.end() })
        }
        Phase::Ended { closure: Closure::Closing, .. } => {
            let here = never_begun(request) || key_of(request).is_none();
            here.then(|| request.issues_expire_at().unwrap_or(now))
        }
        Phase::Ended { closure: Closure::Closed { .. }, .. }
        | Phase::Pending
        | Phase::Expired { .. }
        | Phase::Rejected { .. } => None,
    }
}

/// When the assignment of a request must be seen to, from `ahead` of the window's start on.
pub(super) fn tend_at(request: &Request, now: Timestamp, ahead: SignedDuration) -> Option<Timestamp> {
    match &request.phase {
        Phase::Approved { grant, active: None } => {
            Some(crate::core::later(grant.approved.window.start(), -ahead))
        }
        Phase::Approved { active: Some(_), .. } => Some(now),
        Phase::Ended { closure: Closure::Closing, .. } => (!never_begun(request)).then_some(now),
        Phase::Ended { closure: Closure::Closed { .. }, .. }
        | Phase::Pending
        | Phase::Expired { .. }
        | Phase::Rejected { .. } => None,
    }
}

/// Since when, or from when on, which kinds of work wait for someone, as long as the request stays as it is. What is over at
/// `known_at` is over since then at the latest, even if a clock that is ahead has dated its end.
pub(super) fn waits(request: &Request, known_at: Timestamp) -> Vec<(Wait, Timestamp)> {
    let lane = key_of(request).as_ref().map(Lane::of);
    match &request.phase {
        Phase::Approved { grant, active } => {
            let window = grant.approved.window;
            let start = window.start().max(grant.at);
            match (active, lane) {
                (Some(_), _) => vec![(Wait::End, window.end())],
                (None, None) => vec![(Wait::Start, start), (Wait::End, window.end())],
                (None, Some(lane)) => vec![(Wait::Grant(lane), start), (Wait::End, window.end())],
            }
        }
        Phase::Ended { closure: Closure::Closing, at, .. } => {
            let over = (*at).min(known_at);
            match lane.filter(|_| !never_begun(request)) {
                Some(lane) => vec![(Wait::Removal(lane), over)],
                None => {
                    vec![(Wait::End, request.issues_expire_at().map_or(over, |expires| expires.max(over)))]
                }
            }
        }
        Phase::Ended { closure: Closure::Closed { .. }, .. }
        | Phase::Pending
        | Phase::Expired { .. }
        | Phase::Rejected { .. } => Vec::new(),
    }
}

/// When whoever has the duty showed, in this request, that they are alive. What any replica writes, credentials that are fetched say,
/// tells nothing of them.
pub(super) fn sign_of_life(request: &Request) -> Option<Timestamp> {
    match &request.phase {
        Phase::Approved { active, .. } => active.map(|active| active.at),
        Phase::Ended { closure: Closure::Closed { at, .. }, .. } => Some(*at),
        Phase::Ended { because, at, closure: Closure::Closing, .. } => {
            let by_the_holder = matches!(
                because,
                EndReason::Ended(
                    EndedBecause::Elapsed
                        | EndedBecause::Failed { .. }
                        | EndedBecause::NoLongerEligible { .. }
                        | EndedBecause::RemovedOutside
                )
            );
            by_the_holder.then_some(*at)
        }
        Phase::Pending | Phase::Expired { .. } | Phase::Rejected { .. } => None,
    }
}

/// When something came of AWS for this request last, as far as it tells: its access is there, or gone.
pub(super) fn came_of_aws(request: &Request) -> Option<Timestamp> {
    key_of(request)?;
    match &request.phase {
        Phase::Approved { active, .. } => active.map(|active| active.at),
        Phase::Ended { closure: Closure::Closed { at, how: ClosedHow::Deleted, .. }, .. } => Some(*at),
        Phase::Ended { .. } | Phase::Pending | Phase::Expired { .. } | Phase::Rejected { .. } => None,
    }
}

/// Whether AWS was changed for this request, and the change is confirmed; when.
pub(super) fn changed_in_aws(request: &Request) -> Option<Timestamp> {
    let stood =
        request.approved().is_ok_and(|(_, active)| active.is_some_and(|active| active.activated.standing));
    came_of_aws(request).filter(|_| !stood)
}

//! What the activation service decides: begin, hand out, end, close.

use crate::Rejection;
use crate::event::{
    Activated, Bound, Closed, ClosedHow, ConsoleOpened, CredentialsIssued, Ended, EndedBecause, RequestEvent,
    Revoked, RevokedAs,
};
use crate::state::{Active, Grant, Phase, Request};
use domain::{Provider, Sealed, SignedDuration, Timestamp};

/// Records that the access exists.
pub fn activate(
    request: &Request,
    bound: Bound,
    standing: bool,
    at: Timestamp,
) -> Result<RequestEvent, Rejection> {
    let (grant, active) = request.approved()?;
    if active.is_some() {
        return Err(Rejection::AlreadyActive);
    }
    inside(grant, request.time_of_next(at))?;
    Ok(RequestEvent::Activated(Activated { provider: request.raised.grounds.provider, bound, standing }))
}

fn inside(grant: &Grant, at: Timestamp) -> Result<(), Rejection> {
    let window = grant.approved.window;
    if at < window.start() {
        return Err(Rejection::WindowNotBegun);
    }
    if at >= window.end() {
        return Err(Rejection::WindowOver);
    }
    Ok(())
}

/// Whether credentials may be handed out now: approved, active, inside the window, of a kind that comes as credentials.
pub fn may_issue(request: &Request, at: Timestamp) -> Result<(&Grant, &Active), Rejection> {
    let (grant, active) = request.approved()?;
    match request.raised.grounds.provider {
        Provider::Sts => {}
        Provider::IdentityCenter | Provider::AccountAccess => return Err(Rejection::NoCredentials),
    }
    inside(grant, request.time_of_next(at))?;
    Ok((grant, active.ok_or(Rejection::NotActive)?))
}

/// For how long credentials may live that are handed out now: as the rule says by now, and no longer than its user was told of an
/// early end when the access began, less what of that is for chained sessions.
pub fn credential_duration_max(active: &Active, rule_max: SignedDuration) -> SignedDuration {
    let Bound { after_early_end, chained, .. } = active.activated.bound;
    rule_max.min(after_early_end.saturating_sub(chained))
}

/// Whether credentials may chain that are handed out now: as the rule says by now, and only if its user was told of that when the
/// access began.
pub fn may_chain(active: &Active, rule_allows: bool) -> bool {
    rule_allows && !active.activated.bound.chained.is_zero()
}

/// Records credentials, before they leave.
pub fn issue_credentials(
    request: &Request,
    issued: CredentialsIssued,
    at: Timestamp,
) -> Result<RequestEvent, Rejection> {
    may_issue(request, at)?;
    Ok(RequestEvent::CredentialsIssued(issued))
}

/// Records a console session, before it leaves.
pub fn open_console(
    request: &Request,
    opened: ConsoleOpened,
    at: Timestamp,
) -> Result<RequestEvent, Rejection> {
    may_issue(request, at)?;
    Ok(RequestEvent::ConsoleOpened(opened))
}

/// Ends a request early. Legal from the moment that it was raised; who may is for the caller to have shown.
pub fn revoke(
    request: &Request,
    capacity: RevokedAs,
    comment: Option<Sealed>,
) -> Result<RequestEvent, Rejection> {
    match request.phase {
        Phase::Pending | Phase::Approved { .. } => {
            Ok(RequestEvent::Revoked(Revoked { capacity, comment, signal: None }))
        }
        Phase::Expired { .. } | Phase::Rejected { .. } | Phase::Ended { .. } => Err(Rejection::Over),
    }
}

/// Ends a request whose window is over.
pub fn elapse(request: &Request, at: Timestamp) -> Result<RequestEvent, Rejection> {
    let (grant, _) = request.approved()?;
    if request.time_of_next(at) < grant.approved.window.end() {
        return Err(Rejection::WindowNotOver);
    }
    Ok(RequestEvent::Ended(Ended { because: EndedBecause::Elapsed }))
}

/// Ends a request whose access could not be brought about.
pub fn fail(request: &Request, reason: String) -> Result<RequestEvent, Rejection> {
    let (_, active) = request.approved()?;
    if active.is_some() {
        return Err(Rejection::AlreadyActive);
    }
    Ok(RequestEvent::Ended(Ended { because: EndedBecause::Failed { reason } }))
}

/// Ends a request whose requester, approvers or rule no longer qualify.
pub fn lose_eligibility(request: &Request, reason: String) -> Result<RequestEvent, Rejection> {
    request.approved()?;
    Ok(RequestEvent::Ended(Ended { because: EndedBecause::NoLongerEligible { reason } }))
}

/// Ends a request whose assignment someone else removed in AWS.
pub fn removed_outside(request: &Request) -> Result<RequestEvent, Rejection> {
    let (_, active) = request.approved()?;
    active.ok_or(Rejection::NotActive)?;
    Ok(RequestEvent::Ended(Ended { because: EndedBecause::RemovedOutside }))
}

/// Records that nothing of an ended request is left in AWS. `closed` is what the caller observed; what the request itself can
/// contradict is refused. `at` is compared with what AWS enforces, so it is never moved up to the story's latest event.
pub fn close(request: &Request, closed: impl Into<Closed>, at: Timestamp) -> Result<RequestEvent, Rejection> {
    let closed = closed.into();
    let active = match &request.phase {
        Phase::Ended { closure: crate::state::Closure::Closing, active, .. } => active,
        Phase::Ended { closure: crate::state::Closure::Closed { .. }, .. } => {
            return Err(Rejection::AlreadyClosed);
        }
        Phase::Pending | Phase::Expired { .. } | Phase::Rejected { .. } | Phase::Approved { .. } => {
            return Err(Rejection::NotOver);
        }
    };
    let handed_out = request.issues_expire_at();
    // Until the last credentials expire something is left, whatever became of an assignment.
    let expired = handed_out.is_none_or(|expires| expires <= at);
    let possible = match &closed.how {
        ClosedHow::CredentialsExpired => handed_out.is_some() && expired,
        ClosedHow::NothingCreated => handed_out.is_none() && !active.is_some_and(created),
        ClosedHow::CarriedBy(other) => expired && *other != request.raised.id,
        ClosedHow::Deleted | ClosedHow::Standing => expired,
        ClosedHow::Abandoned => true,
    };
    if possible { Ok(RequestEvent::Closed(closed)) } else { Err(Rejection::NotClosable) }
}

/// Whether becoming active made something in AWS: with STS nothing exists until credentials are handed out, and a standing
/// assignment was there before.
fn created(active: Active) -> bool {
    match active.activated.provider {
        Provider::Sts => false,
        Provider::IdentityCenter | Provider::AccountAccess => !active.activated.standing,
    }
}

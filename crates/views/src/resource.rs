//! A request as the APIs show it.

use crate::requests::Story;
use crate::wire;
use api::types::v1 as api;
use aws::Directory;
use domain::{Entitlement, RequestId, Sealed, Timestamp};
use journal::Fact;
use journal::key_store::KeyStore;
use lifecycle::RequestEvent;
use lifecycle::event::{
    ApprovalBasis, ClosedHow, EndedBecause, ExpiredBecause, RejectedBecause, RevokedAs, Verdict,
};
use lifecycle::state::{Active, Closure, EndReason, Grant, Phase, Status};

/// Where the justification of a request is sealed to.
pub fn justification_place(id: &RequestId) -> String {
    format!("request-{id}/justification")
}

/// Where the comment of the event of this id is sealed to.
pub fn comment_place(event: &domain::EventId) -> String {
    format!("event-{event}/comment")
}

/// What someone said when they did this, sealed to [`comment_place`].
pub fn comment(fact: &Fact) -> Option<&Sealed> {
    let Fact::Request(fact) = fact else { return None };
    match fact {
        RequestEvent::Endorsed(endorsed) => endorsed.comment.as_ref(),
        RequestEvent::Approved(approved) => approved.comment.as_ref(),
        RequestEvent::Rejected(rejected) => match &rejected.because {
            RejectedBecause::Approver { comment } => comment.as_ref(),
            RejectedBecause::RuleVanished => None,
        },
        RequestEvent::Revoked(revoked) => revoked.comment.as_ref(),
        RequestEvent::ReviewedAfter(reviewed) => reviewed.comment.as_ref(),
        RequestEvent::Requested(_)
        | RequestEvent::Withdrawn
        | RequestEvent::Expired(_)
        | RequestEvent::Activated(_)
        | RequestEvent::CredentialsIssued(_)
        | RequestEvent::ConsoleOpened(_)
        | RequestEvent::Ended(_)
        | RequestEvent::Closed(_) => None,
    }
}

/// Sealed text, opened; `None` when its key was deleted or the key store cannot be read.
pub async fn open(keys: &dyn KeyStore, place: &str, sealed: &Sealed) -> Option<String> {
    let key = keys
        .find(&sealed.key_of)
        .await
        .inspect_err(|error| tracing::error!(%error, "the key store cannot be read"));
    key.ok()??.open(place, sealed).ok()
}

/// The justification of the request of `story`, opened.
pub async fn justification(keys: &dyn KeyStore, story: &Story) -> Option<String> {
    let raised = &story.request.raised;
    open(keys, &justification_place(&raised.id), &raised.justification).await
}

/// The request of `story` at `now`. `justification`: opened, if it can be, for those who may read it.
pub fn request(
    story: &Story,
    directory: Option<&Directory>,
    justification: Option<String>,
    now: Timestamp,
) -> api::Request {
    let request = &story.request;
    let raised = &request.raised;
    let principal = raised.grounds.principal.as_ref();
    let account = directory.and_then(|directory| directory.account(raised.target.account()));
    let mut shown = api::Request {
        request_id: raised.id.to_string(),
        revision: story.revision.0,
        requester: Some(wire::party(&raised.requester, principal, directory)),
        raiser: Some(wire::actor(&raised.raiser)),
        target: Some(wire::target(&raised.target)),
        account_name: account.map(|account| account.name.clone()).unwrap_or_default(),
        entitlement_name: entitlement_name(raised.target.entitlement(), directory),
        asked_window: Some(wire::asked(&raised.asked)),
        justification: justification.unwrap_or_default(),
        ticket: raised.ticket.as_ref().map(ToString::to_string).unwrap_or_default(),
        emergency: raised.emergency,
        extends_request_id: raised.extends.map(|id| id.to_string()).unwrap_or_default(),
        batch_id: raised.batch.map(|id| id.to_string()).unwrap_or_default(),
        requested_at: Some(wire::time(request.raised_at)),
        rule_id: raised.grounds.rule.to_string(),
        policy_event_id: raised.grounds.policy_event.to_string(),
        provider: wire::provider(raised.grounds.provider).into(),
        plan: Some(wire::plan(&raised.grounds.plan)),
        ou_path: raised.grounds.ou_path.0.iter().map(ToString::to_string).collect(),
        decide_by: Some(wire::time(raised.decide_by)),
        status: status(request.status()).into(),
        updated_at: Some(wire::time(request.last_at)),
        endorsements: request
            .endorsements
            .iter()
            .map(|endorsement| api::Endorsement {
                approver: Some(wire::party(
                    &endorsement.approver.person,
                    endorsement.principal.as_ref(),
                    directory,
                )),
                endorsed_at: Some(wire::time(endorsement.at)),
            })
            .collect(),
        reviewed_after: request.reviewed_after.map_or(api::Verdict::Unspecified, verdict).into(),
        credentials_bound_at: request.issues_work_until().map(wire::time),
        past_end: request.past_end().map(wire::duration),
        ..api::Request::default()
    };
    show_phase(&mut shown, &request.phase, now);
    shown.ended_by = story.ending().and_then(|event| event.actor.as_ref()).map(|actor| {
        let known = (actor.person == raised.requester).then_some(principal).flatten();
        wire::party(&actor.person, known, directory)
    });
    shown
}

/// The name of an entitlement: the permission set's, or the role's path and name.
pub fn entitlement_name(entitlement: &Entitlement, directory: Option<&Directory>) -> String {
    match entitlement {
        Entitlement::Role(arn) => arn.path_and_name().to_owned(),
        Entitlement::PermissionSet(arn) => directory
            .and_then(|directory| directory.permission_set(arn))
            .map(|set| set.name.clone())
            .unwrap_or_default(),
    }
}

/// The API's word for a status.
pub fn status(status: Status) -> api::RequestStatus {
    match status {
        Status::Requested => api::RequestStatus::Requested,
        Status::Expired => api::RequestStatus::Expired,
        Status::Rejected => api::RequestStatus::Rejected,
        Status::Approved => api::RequestStatus::Approved,
        Status::Ended => api::RequestStatus::Ended,
    }
}

/// The status of the API's word; `None` for "unspecified".
pub fn read_status(status: api::RequestStatus) -> Option<Status> {
    match status {
        api::RequestStatus::Unspecified => None,
        api::RequestStatus::Requested => Some(Status::Requested),
        api::RequestStatus::Expired => Some(Status::Expired),
        api::RequestStatus::Rejected => Some(Status::Rejected),
        api::RequestStatus::Approved => Some(Status::Approved),
        api::RequestStatus::Ended => Some(Status::Ended),
    }
}

fn show_phase(shown: &mut api::Request, phase: &Phase, now: Timestamp) {
    match phase {
        Phase::Pending => {}
        Phase::Expired { at, because } => {
            shown.ended_at = Some(wire::time(*at));
            shown.end_reason = match because {
                ExpiredBecause::NotDecided => api::EndReason::NotDecided,
                ExpiredBecause::WindowPassed => api::EndReason::WindowPassed,
            }
            .into();
        }
        Phase::Rejected { at, because } => {
            shown.ended_at = Some(wire::time(*at));
            shown.end_reason = match because {
                RejectedBecause::Approver { .. } => api::EndReason::RejectedByApprover,
                RejectedBecause::RuleVanished => api::EndReason::RuleVanished,
            }
            .into();
        }
        Phase::Approved { grant, active } => {
            show_grant(shown, grant, active.as_ref());
            shown.access_phase = match active {
                Some(_) => api::AccessPhase::Active,
                None if now < grant.approved.window.start() => api::AccessPhase::Scheduled,
                None => api::AccessPhase::Activating,
            }
            .into();
        }
        Phase::Ended { grant, active, at, because, closure } => {
            if let Some(grant) = grant {
                show_grant(shown, grant, active.as_ref());
            }
            shown.ended_at = Some(wire::time(*at));
            show_end(shown, because);
            show_closure(shown, closure);
        }
    }
}

fn show_grant(shown: &mut api::Request, grant: &Grant, active: Option<&Active>) {
    shown.approved_at = Some(wire::time(grant.at));
    shown.window = Some(wire::window(&grant.approved.window));
    shown.approval_basis = match grant.approved.basis {
        ApprovalBasis::People => api::ApprovalBasis::People,
        ApprovalBasis::Rule => api::ApprovalBasis::Rule,
        ApprovalBasis::Signal => api::ApprovalBasis::Signal,
        ApprovalBasis::BreakGlass => api::ApprovalBasis::BreakGlass,
    }
    .into();
    if let Some(Active { at, activated }) = active {
        shown.activated_at = Some(wire::time(*at));
        shown.standing = activated.standing;
        shown.bound = Some(api::Bound {
            at_end: Some(wire::time(activated.bound.at_end)),
            after_early_end: Some(wire::duration(activated.bound.after_early_end)),
        });
    }
}

fn show_end(shown: &mut api::Request, because: &EndReason) {
    let reason = match because {
        EndReason::Withdrawn => api::EndReason::Withdrawn,
        EndReason::Revoked(capacity) => {
            shown.revoked_as = match capacity {
                RevokedAs::Requester => api::RevokedAs::Requester,
                RevokedAs::Approver => api::RevokedAs::Approver,
                RevokedAs::Administrator => api::RevokedAs::Administrator,
                RevokedAs::Signal => api::RevokedAs::Signal,
            }
            .into();
            api::EndReason::Revoked
        }
        EndReason::Ended(EndedBecause::Elapsed) => api::EndReason::Elapsed,
        EndReason::Ended(EndedBecause::Failed { reason }) => {
            shown.end_detail.clone_from(reason);
            api::EndReason::Failed
        }
        EndReason::Ended(EndedBecause::NoLongerEligible { reason }) => {
            shown.end_detail.clone_from(reason);
            api::EndReason::NoLongerEligible
        }
        EndReason::Ended(EndedBecause::RemovedOutside) => api::EndReason::RemovedOutside,
    };
    shown.end_reason = reason.into();
}

fn show_closure(shown: &mut api::Request, closure: &Closure) {
    match closure {
        Closure::Closing => shown.closure_phase = api::ClosurePhase::Closing.into(),
        Closure::Closed { at, how, .. } => {
            shown.closure_phase = api::ClosurePhase::Closed.into();
            shown.closed_at = Some(wire::time(*at));
            shown.close_reason = match how {
                ClosedHow::Deleted => api::CloseReason::Deleted,
                ClosedHow::CarriedBy(other) => {
                    shown.carried_by_request_id = other.to_string();
                    api::CloseReason::Carried
                }
                ClosedHow::Standing => api::CloseReason::Standing,
                ClosedHow::NothingCreated => api::CloseReason::NothingCreated,
                ClosedHow::CredentialsExpired => api::CloseReason::CredentialsExpired,
                ClosedHow::Abandoned => api::CloseReason::Abandoned,
            }
            .into();
        }
    }
}

fn verdict(verdict: Verdict) -> api::Verdict {
    match verdict {
        Verdict::Justified => api::Verdict::Justified,
        Verdict::NotJustified => api::Verdict::NotJustified,
    }
}

//! What the approval service decides: endorse, approve, reject, expire, and review after the fact.

use crate::Rejection;
use crate::event::{
    ApprovalBasis, Approved, Endorsed, Expired, ExpiredBecause, Rejected, RejectedBecause, RequestEvent,
    ReviewedAfter, Verdict,
};
use crate::state::{Acting, Request};
use domain::{Endorsement, EventId, Groups, Person, Plan, Sealed, SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// One approver's yes.
#[derive(Clone, Debug)]
pub struct Approve {
    /// Who.
    pub approver: Acting,
    /// Their groups now.
    pub groups: Groups,
    /// The groups now of everyone who agreed before; whoever is missing or unknown does not count any more.
    pub endorsers: BTreeMap<Person, Groups>,
    /// The plan as the policy stands now; the plan recorded when the request was raised must be met as well.
    pub current: Plan,
    /// The policy that `current` comes from.
    pub policy_event: EventId,
    /// The least that must be left of the window.
    pub duration_min: SignedDuration,
    /// A remark.
    pub comment: Option<Sealed>,
    /// Now.
    pub at: Timestamp,
}

/// Counts one approver's yes: the last one that both plans need approves, an earlier one endorses.
pub fn approve(request: &Request, command: Approve) -> Result<RequestEvent, Rejection> {
    let recorded = &request.raised.grounds.plan;
    let plans = [recorded, &command.current];
    let groups = may_decide(request, &command.approver, &command.groups, &plans, command.at)?;
    let endorsement = Endorsement {
        approver: command.approver.actor.clone(),
        principal: command.approver.identities.principal.clone(),
        groups: relevant(&groups, recorded, &command.current),
        at: command.at,
    };
    let repeated = request.endorsed_by(&command.approver.identities);
    let counted: Vec<Endorsement> = request
        .endorsements
        .iter()
        .filter(|earlier| {
            !command
                .approver
                .identities
                .same_as(&earlier.approver.person, earlier.principal.as_ref())
        })
        .filter_map(|earlier| still_counts(earlier, &command.endorsers))
        .chain([endorsement.clone()])
        .collect();
    let agreed = || counted.iter().map(|e| (&e.approver.person, &e.groups));
    let met = recorded.is_met_by(agreed()) && command.current.is_met_by(agreed());
    if !met {
        return if repeated {
            Err(Rejection::AlreadyEndorsed)
        } else {
            Ok(RequestEvent::Endorsed(Endorsed {
                endorsement,
                policy_event: command.policy_event,
                comment: command.comment,
            }))
        };
    }
    Ok(RequestEvent::Approved(Approved {
        window: window_left(request, command.at, command.duration_min)?,
        basis: ApprovalBasis::People,
        approvers: counted,
        policy_event: command.policy_event,
        comment: command.comment,
    }))
}

/// An earlier yes with the groups that its giver is in now; `None` when those are not known.
fn still_counts(earlier: &Endorsement, now: &BTreeMap<Person, Groups>) -> Option<Endorsement> {
    let groups = now.get(&earlier.approver.person)?.known().ok()?;
    Some(Endorsement {
        groups: groups.clone(),
        ..earlier.clone()
    })
}

/// The groups that either plan asks about: an event does not list the rest of someone's memberships.
fn relevant(
    groups: &BTreeSet<domain::GroupRef>,
    recorded: &Plan,
    current: &Plan,
) -> BTreeSet<domain::GroupRef> {
    let asked: BTreeSet<_> = recorded.groups().into_iter().chain(current.groups()).collect();
    groups.intersection(&asked).cloned().collect()
}

/// The checks that every human decision shares: a person, not involved, in time, named by one of `plans`. Gives their groups.
fn may_decide(
    request: &Request,
    decider: &Acting,
    groups: &Groups,
    plans: &[&Plan],
    at: Timestamp,
) -> Result<BTreeSet<domain::GroupRef>, Rejection> {
    request.pending()?;
    if !decider.actor.is_human() {
        return Err(Rejection::NotAPerson);
    }
    if request.involves(&decider.identities) {
        return Err(Rejection::OwnRequest);
    }
    let groups = groups
        .known()
        .map_err(|why| Rejection::Unprovable(why.to_owned()))?;
    let person = &decider.actor.person;
    if !plans.iter().any(|plan| plan.accepts(person, groups)) {
        return Err(Rejection::NotEntitled);
    }
    if at >= request.decide_until() {
        return Err(Rejection::ReviewOver {
            at: request.decide_until(),
        });
    }
    Ok(groups.clone())
}

fn window_left(request: &Request, at: Timestamp, min: SignedDuration) -> Result<domain::Window, Rejection> {
    request
        .raised
        .asked
        .from_approval(at)
        .ok()
        .filter(|window| window.duration() >= min)
        .ok_or(Rejection::WindowTooShort { min })
}

/// Approves what its rule asks nobody about, both when it was raised and now.
pub fn approve_by_rule(
    request: &Request,
    current: &Plan,
    policy_event: EventId,
    duration_min: SignedDuration,
    at: Timestamp,
) -> Result<RequestEvent, Rejection> {
    request.pending()?;
    if !request.raised.grounds.plan.is_none() || !current.is_none() {
        return Err(Rejection::PlanNotEmpty);
    }
    if at >= request.decide_until() {
        return Err(Rejection::ReviewOver {
            at: request.decide_until(),
        });
    }
    Ok(RequestEvent::Approved(Approved {
        window: window_left(request, at, duration_min)?,
        basis: ApprovalBasis::Rule,
        approvers: Vec::new(),
        policy_event,
        comment: None,
    }))
}

/// One approver's no. Whoever may agree to the plan as it stands now may refuse.
#[derive(Clone, Debug)]
pub struct Reject {
    /// Who.
    pub approver: Acting,
    /// Their groups now.
    pub groups: Groups,
    /// The plan as the policy stands now.
    pub current: Plan,
    /// The policy that `current` comes from.
    pub policy_event: EventId,
    /// Why, in their words.
    pub comment: Option<Sealed>,
    /// Now.
    pub at: Timestamp,
}

/// Refuses a request.
pub fn reject(request: &Request, command: Reject) -> Result<RequestEvent, Rejection> {
    may_decide(
        request,
        &command.approver,
        &command.groups,
        &[&command.current],
        command.at,
    )?;
    Ok(RequestEvent::Rejected(Rejected {
        because: RejectedBecause::Approver {
            comment: command.comment,
        },
        policy_event: Some(command.policy_event),
    }))
}

/// Refuses a request whose rule is gone, or no longer allows it.
pub fn reject_without_rule(
    request: &Request,
    policy_event: Option<EventId>,
) -> Result<RequestEvent, Rejection> {
    request.pending()?;
    Ok(RequestEvent::Rejected(Rejected {
        because: RejectedBecause::RuleVanished,
        policy_event,
    }))
}

/// Expires what nobody decided in time.
pub fn expire(request: &Request, at: Timestamp) -> Result<RequestEvent, Rejection> {
    request.pending()?;
    if request
        .raised
        .asked
        .passes_at()
        .is_some_and(|passes| passes <= at)
    {
        return Ok(RequestEvent::Expired(Expired {
            because: ExpiredBecause::WindowPassed,
        }));
    }
    if request.raised.decide_by <= at {
        return Ok(RequestEvent::Expired(Expired {
            because: ExpiredBecause::NotDecided,
        }));
    }
    Err(Rejection::ReviewNotOver)
}

/// Reviews an emergency after the fact: by someone who neither used nor raised it.
pub fn review_after(
    request: &Request,
    reviewer: &Acting,
    verdict: Verdict,
    comment: Option<Sealed>,
) -> Result<RequestEvent, Rejection> {
    if !request.owes_review() {
        return Err(Rejection::NoReviewOwed);
    }
    if !reviewer.actor.is_human() {
        return Err(Rejection::NotAPerson);
    }
    if request.involves(&reviewer.identities) {
        return Err(Rejection::OwnRequest);
    }
    Ok(RequestEvent::ReviewedAfter(ReviewedAfter { verdict, comment }))
}

//! What the approval service decides: endorse, approve, reject, expire, and review after the fact.

use crate::Rejection;
use crate::event::{
    ApprovalBasis, Approved, Endorsed, Expired, ExpiredBecause, Rejected, RejectedBecause, RequestEvent,
    ReviewedAfter, Verdict,
};
use crate::state::{Acting, Identities, Request};
use domain::{Endorsement, EventId, GroupRef, Groups, Person, Plan, Sealed, SignedDuration, Step, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// One approver's yes.
#[derive(Clone, Debug)]
pub struct Approve {
    /// Who.
    pub approver: Acting,
    /// Their groups now.
    pub groups: Groups,
    /// Everyone who agreed before, as they are now; whoever is missing, or in groups unknown, does not count any more.
    pub endorsers: BTreeMap<Person, Endorser>,
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

/// Someone who agreed before, as they are known now: they are checked again whenever another yes is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endorser {
    /// Everyone they are known to be.
    pub identities: Identities,
    /// Their groups.
    pub groups: Groups,
}

/// Counts one approver's yes: the last one that both plans need approves, an earlier one endorses.
pub fn approve(request: &Request, command: Approve) -> Result<RequestEvent, Rejection> {
    let at = request.time_of_next(command.at);
    let plans = [&request.raised.grounds.plan, &command.current];
    let groups = may_decide(request, &command.approver, &command.groups, &plans, at)?;
    let window = window_left(request, at, command.duration_min)?;
    let approver = command.approver.everyone();
    let endorsement = Endorsement {
        approver: command.approver.actor,
        principal: approver.principal.clone(),
        groups: relevant(&groups, &plans),
        at,
    };
    let mut counted = still_counting(request, Some(&approver), &command.endorsers, &plans);
    counted.push(endorsement.clone());
    let met =
        plans.iter().all(|plan| plan.is_met_by(counted.iter().map(|e| (&e.approver.person, &e.groups))));
    if met {
        return Ok(RequestEvent::Approved(Approved {
            window,
            basis: ApprovalBasis::People,
            approvers: counted,
            policy_event: command.policy_event,
            comment: command.comment,
        }));
    }
    if still_endorsed_by(request, &approver, &command.endorsers, &command.current) {
        return Err(Rejection::AlreadyEndorsed);
    }
    Ok(RequestEvent::Endorsed(Endorsed {
        endorsement,
        policy_event: command.policy_event,
        comment: command.comment,
    }))
}

/// What is still missing of the plan that the request was raised under, and of the plan as it stands now, with everyone who
/// agreed as they are now. Where both miss the same step, it is told once.
pub fn missing(request: &Request, endorsers: &BTreeMap<Person, Endorser>, current: &Plan) -> Plan {
    let plans = [&request.raised.grounds.plan, current];
    let counted = still_counting(request, None, endorsers, &plans);
    let mut steps: Vec<Step> = Vec::new();
    for plan in plans {
        let missing = plan.missing(counted.iter().map(|e| (&e.approver.person, &e.groups)));
        let mut told = steps.clone();
        for step in missing.steps {
            match told.iter().position(|known| *known == step) {
                Some(known) => drop(told.swap_remove(known)),
                None => steps.push(step),
            }
        }
    }
    Plan { steps }
}

/// Whether the person behind `identities` agreed before and still counts. Whoever does not any more, because their groups were known
/// for a while only, can say it again.
pub fn still_endorsed_by(
    request: &Request,
    identities: &Identities,
    endorsers: &BTreeMap<Person, Endorser>,
    current: &Plan,
) -> bool {
    let plans = [&request.raised.grounds.plan, current];
    let counted = still_counting(request, None, endorsers, &plans);
    counted.iter().any(|yes| identities.same_as(&yes.approver.person, yes.principal.as_ref()))
}

/// The earlier yeses that count beside `approver`'s, with the groups that their givers are in now: of people whose groups are
/// known, whom a plan still names, who turn out neither to have made or raised the request nor to be someone already counted.
fn still_counting(
    request: &Request,
    approver: Option<&Identities>,
    now: &BTreeMap<Person, Endorser>,
    plans: &[&Plan],
) -> Vec<Endorsement> {
    let mut counted: Vec<Endorsement> = Vec::new();
    for earlier in &request.endorsements {
        let person = &earlier.approver.person;
        let Some(endorser) = now.get(person) else { continue };
        let Ok(groups) = endorser.groups.known() else { continue };
        let mut identities = endorser.identities.clone();
        identities.people.insert(person.clone());
        let again = approver.is_some_and(|approver| {
            approver.same_as(person, earlier.principal.as_ref()) || approver.overlaps(&identities)
        }) || counted
            .iter()
            .any(|other| identities.same_as(&other.approver.person, other.principal.as_ref()));
        if again || request.involves(&identities) || !plans.iter().any(|plan| plan.accepts(person, groups)) {
            continue;
        }
        counted.push(Endorsement {
            groups: relevant(groups, plans),
            principal: identities.principal.or_else(|| earlier.principal.clone()),
            ..earlier.clone()
        });
    }
    counted
}

/// The groups that either plan asks about: an event does not list the rest of someone's memberships.
fn relevant(groups: &BTreeSet<GroupRef>, plans: &[&Plan]) -> BTreeSet<GroupRef> {
    let asked: BTreeSet<_> = plans.iter().flat_map(|plan| plan.groups()).collect();
    groups.intersection(&asked).cloned().collect()
}

/// The checks that every human decision shares: a person, not involved, in time, named by one of `plans`. Gives their groups.
fn may_decide(
    request: &Request,
    decider: &Acting,
    groups: &Groups,
    plans: &[&Plan],
    at: Timestamp,
) -> Result<BTreeSet<GroupRef>, Rejection> {
    request.pending()?;
    if !decider.actor.is_human() {
        return Err(Rejection::NotAPerson);
    }
    if request.involves(&decider.everyone()) {
        return Err(Rejection::OwnRequest);
    }
    let groups = groups.known().map_err(|why| Rejection::Unprovable(why.to_owned()))?;
    let person = &decider.actor.person;
    if !plans.iter().any(|plan| plan.accepts(person, groups)) {
        return Err(Rejection::NotEntitled);
    }
    if at >= request.decide_until() {
        return Err(Rejection::ReviewOver { at: request.decide_until() });
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

/// Approves what its rule asks nobody about, both when it was raised and now. An emergency approved this way owes a review.
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
    let at = request.time_of_next(at);
    if at >= request.decide_until() {
        return Err(Rejection::ReviewOver { at: request.decide_until() });
    }
    Ok(RequestEvent::Approved(Approved {
        window: window_left(request, at, duration_min)?,
        basis: if request.raised.emergency { ApprovalBasis::BreakGlass } else { ApprovalBasis::Rule },
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
        request.time_of_next(command.at),
    )?;
    Ok(RequestEvent::Rejected(Rejected {
        because: RejectedBecause::Approver { comment: command.comment },
        policy_event: Some(command.policy_event),
    }))
}

/// Refuses a request whose rule is gone, or no longer allows it.
pub fn reject_without_rule(
    request: &Request,
    policy_event: Option<EventId>,
) -> Result<RequestEvent, Rejection> {
    request.pending()?;
    Ok(RequestEvent::Rejected(Rejected { because: RejectedBecause::RuleVanished, policy_event }))
}

/// Expires what nobody decided in time. The reason is what ran out first, however late it is noticed.
pub fn expire(request: &Request, at: Timestamp) -> Result<RequestEvent, Rejection> {
    request.pending()?;
    if request.time_of_next(at) < request.decide_until() {
        return Err(Rejection::ReviewNotOver);
    }
    let passes = request.raised.asked.passes_at();
    let because = if passes.is_some_and(|passes| passes <= request.raised.decide_by) {
        ExpiredBecause::WindowPassed
    } else {
        ExpiredBecause::NotDecided
    };
    Ok(RequestEvent::Expired(Expired { because }))
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
    if request.involves(&reviewer.everyone()) {
        return Err(Rejection::OwnRequest);
    }
    Ok(RequestEvent::ReviewedAfter(ReviewedAfter { verdict, comment }))
}

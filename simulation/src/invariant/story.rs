//! S4 and S6: who decides, and that what is over stays over. Written from the design, not from the deciders.

use super::Violation;
use crate::truth::Known;
use domain::{EventId, Person, PrincipalId};
use journal::Event;
use lifecycle::event::{ApprovalBasis, EndedBecause, RejectedBecause};
use lifecycle::state::{Closure, Phase};
use lifecycle::{Request, RequestEvent};
use policy::{Policy, change::Applied};
use std::collections::BTreeSet;

/// What an event of a request may not be, given what was known before.
pub(crate) fn check(
    known: Option<&Known>,
    fact: &RequestEvent,
    event: &Event,
    linked: &[(Person, Person)],
) -> Result<(), Violation> {
    let Some(known) = known else {
        return if matches!(fact, RequestEvent::Requested(_)) {
            Ok(())
        } else {
            Err(Violation::new("S6", "a story does not begin with its raising".to_owned()))
        };
    };
    let request = &known.request;
    let name = format!("r{}", known.number);
    if event.previous != Some(known.last) {
        return Err(Violation::new("S5", format!("{name}: an event does not name the one before it")));
    }
    if event.at < request.last_at {
        return Err(Violation::new(
            "S5",
            format!("{name}: time goes back from {} to {}", request.last_at, event.at),
        ));
    }
    follows(request, fact, event).map_err(|what| Violation::new("S6", format!("{name}: {what}")))?;
    decided_by_others(request, fact, event, linked)
        .map_err(|what| Violation::new("S4", format!("{name}: {what}")))
}

/// S6. What may follow what.
fn follows(request: &Request, fact: &RequestEvent, event: &Event) -> Result<(), String> {
    let stands = format!("{:?}", request.status());
    let pending = request.phase == Phase::Pending;
    let (approved, active, window) = match &request.phase {
        Phase::Approved { grant, active } => (true, active.is_some(), Some(grant.approved.window)),
        Phase::Pending | Phase::Expired { .. } | Phase::Rejected { .. } | Phase::Ended { .. } => {
            (false, false, None)
        }
    };
    let inside = window.is_some_and(|window| window.contains(event.at));
    let may = match fact {
        RequestEvent::Requested(_) => false,
        RequestEvent::Endorsed(_) | RequestEvent::Approved(_) => pending && event.at < request.decide_until(),
        RequestEvent::Rejected(_) => pending,
        RequestEvent::Expired(_) => pending && event.at >= request.decide_until(),
        RequestEvent::Withdrawn => {
            pending || (approved && window.is_some_and(|window| event.at < window.start()))
        }
        RequestEvent::Revoked(_) => pending || approved,
        RequestEvent::Activated(_) => approved && !active && inside,
        RequestEvent::CredentialsIssued(_) | RequestEvent::ConsoleOpened(_) => active && inside,
        RequestEvent::Ended(ended) => {
            approved
                && (ended.because != EndedBecause::Elapsed
                    || window.is_some_and(|window| event.at >= window.end()))
        }
        RequestEvent::Closed(_) => matches!(request.phase, Phase::Ended { closure: Closure::Closing, .. }),
        RequestEvent::ReviewedAfter(_) => false,
    };
    if may { Ok(()) } else { Err(format!("{} while {stands}", journal::types::type_name(&event.fact))) }
}

/// S4. Deciders differ from the requester, the raiser and each other, and are as many as the plan asks for.
fn decided_by_others(
    request: &Request,
    fact: &RequestEvent,
    event: &Event,
    linked: &[(Person, Person)],
) -> Result<(), String> {
    let acting = event.actor.as_ref().map(|actor| &actor.person);
    match fact {
        RequestEvent::Endorsed(endorsed) => {
            let yes = &endorsed.endorsement;
            other(request, &yes.approver.person, yes.principal.as_ref(), linked)?;
            if acting != Some(&yes.approver.person) || !yes.approver.is_human() {
                return Err("an endorsement is not its actor's".to_owned());
            }
            let again =
                request.endorsements.iter().any(|before| before.approver.person == yes.approver.person);
            if again { Err(format!("{} agrees twice", yes.approver.person.subject)) } else { Ok(()) }
        }
        RequestEvent::Approved(approved) => {
            let plan = &request.raised.grounds.plan;
            if approved.basis == ApprovalBasis::Rule {
                return if plan.is_none() {
                    Ok(())
                } else {
                    Err("approved by a rule that asks people".to_owned())
                };
            }
            let mut people = BTreeSet::new();
            let mut principals = BTreeSet::new();
            for yes in &approved.approvers {
                other(request, &yes.approver.person, yes.principal.as_ref(), linked)?;
                let human = linked.iter().find(|(_, other)| *other == yes.approver.person);
                let human = human.map_or(&yes.approver.person, |(person, _)| person);
                let twice = !people.insert(human)
                    || yes.principal.as_ref().is_some_and(|principal| !principals.insert(principal));
                if twice {
                    return Err(format!("{} counts twice", yes.approver.person.subject));
                }
                let agreed_before =
                    request.endorsements.iter().any(|e| e.approver.person == yes.approver.person);
                if !agreed_before && acting != Some(&yes.approver.person) {
                    return Err(format!("{} never agreed", yes.approver.person.subject));
                }
            }
            let yes = approved.approvers.iter().map(|yes| (&yes.approver.person, &yes.groups));
            if plan.is_met_by(yes) { Ok(()) } else { Err("approved although the plan is not met".to_owned()) }
        }
        RequestEvent::Rejected(rejected) => match (&rejected.because, acting) {
            (RejectedBecause::Approver { .. }, Some(person)) => other(request, person, None, linked),
            (RejectedBecause::Approver { .. }, None) => Err("rejected by nobody".to_owned()),
            (RejectedBecause::RuleVanished, _) => Ok(()),
        },
        RequestEvent::Requested(_)
        | RequestEvent::Withdrawn
        | RequestEvent::Expired(_)
        | RequestEvent::Activated(_)
        | RequestEvent::CredentialsIssued(_)
        | RequestEvent::ConsoleOpened(_)
        | RequestEvent::Revoked(_)
        | RequestEvent::Ended(_)
        | RequestEvent::Closed(_)
        | RequestEvent::ReviewedAfter(_) => Ok(()),
    }
}

fn other(
    request: &Request,
    person: &Person,
    principal: Option<&PrincipalId>,
    linked: &[(Person, Person)],
) -> Result<(), String> {
    let raised = &request.raised;
    let same_user = principal.is_some() && principal == raised.grounds.principal.as_ref();
    let same_human = |other: &Person| {
        person == other || linked.iter().any(|(a, b)| (a, b) == (person, other) || (b, a) == (person, other))
    };
    if same_human(&raised.requester) || same_human(&raised.raiser.person) || same_user {
        return Err(format!("{} decides on what is their own", person.subject));
    }
    Ok(())
}

/// S4, of the policy: where two administrators are asked for, two there were.
pub(crate) fn check_policy(before: Option<&(EventId, Policy)>, applied: &Applied) -> Result<(), Violation> {
    let Some((id, policy)) = before else { return Ok(()) };
    if applied.base != Some(*id) {
        return Err(Violation::new(
            "S6",
            "a policy applies on a base that is not the one in force".to_owned(),
        ));
    }
    let second = applied.second.as_ref().map(|second| &second.person);
    if policy.settings.second_administrator && second.is_none_or(|second| *second == applied.author.person) {
        return Err(Violation::new("S4", "a policy applies that only its author agreed to".to_owned()));
    }
    Ok(())
}

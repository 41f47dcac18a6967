//! S4: what a decision rests on is so. A request stands under one rule of the policy in force, as that rule says and no other; and
//! who agrees is in the groups that the plan asks for, in the organisation itself and not in what was once known of it.

use super::{Violation, later};
use crate::machine::Machine;
use crate::process::DIRECTORY_AGE_MAX;
use crate::truth::Truth;
use aws::Contents;
use domain::{Endorsement, GroupRef, Plan, PrincipalId, SignedDuration, Timestamp};
use journal::{Event, Fact};
use lifecycle::RequestEvent;
use lifecycle::event::Requested;
use policy::{PlanSource, Policy, Rule};
use std::collections::{BTreeMap, BTreeSet};

/// The longest that a command is under way.
const UNDER_WAY_MAX: SignedDuration = SignedDuration::from_secs(90);

/// How long after it was right a decision may be written: the oldest directory, and a command's time.
const RIGHT_WITHIN: SignedDuration = DIRECTORY_AGE_MAX.saturating_add(UNDER_WAY_MAX);

/// The same, where a process was paused, or its clock was wrong, in between.
const RIGHT_WITHIN_AFTER_A_PAUSE: SignedDuration = RIGHT_WITHIN.saturating_add(SignedDuration::from_mins(10));

/// Who was in which group, from when on.
#[derive(Debug, Default)]
pub(crate) struct Memberships {
    history: Vec<(Timestamp, BTreeMap<PrincipalId, BTreeSet<GroupRef>>)>,
}

impl Memberships {
    /// The organisation is like that from now on.
    pub(crate) fn note(&mut self, now: Timestamp, contents: &Contents) {
        let of = |(user, groups): (&PrincipalId, &BTreeSet<aws::GroupId>)| {
            let groups = groups.iter().map(|group| crate::people::group(group.as_str())).collect();
            contents.users.contains_key(user).then(|| (user.clone(), groups))
        };
        let members: BTreeMap<_, _> = contents.memberships.iter().filter_map(of).collect();
        if self.history.last().is_none_or(|(_, last)| *last != members) {
            self.history.push((now, members));
        }
    }

    /// Every group in which someone was at some time since.
    fn held(&self, user: &PrincipalId, since: Timestamp) -> BTreeSet<GroupRef> {
        let until = self.history.iter().skip(1).map(|(from, _)| *from).chain([Timestamp::MAX]);
        let lately = self.history.iter().zip(until).filter(|(_, until)| *until >= since);
        lately.filter_map(|((_, members), _)| members.get(user)).flatten().cloned().collect()
    }
}

/// Checks one event that the process on `machine` has written at `now`.
pub(crate) fn check(
    event: &Event,
    machine: &Machine,
    memberships: &Memberships,
    truth: &Truth,
    now: Timestamp,
) -> Result<(), Violation> {
    let Fact::Request(fact) = &event.fact else { return Ok(()) };
    if let RequestEvent::Requested(raised) = fact {
        stands_under_its_rule(raised, truth)?;
    }
    if let RequestEvent::Endorsed(endorsed) = fact {
        may_agree(&endorsed.endorsement, machine, memberships, now)?;
    }
    if let RequestEvent::Approved(approved) = fact
        && let Some(yes) = approved.approvers.last()
    {
        may_agree(yes, machine, memberships, now)?;
    }
    Ok(())
}

fn may_agree(
    yes: &Endorsement,
    machine: &Machine,
    memberships: &Memberships,
    now: Timestamp,
) -> Result<(), Violation> {
    let disturbed =
        now < later(machine.awake_since, UNDER_WAY_MAX) || now < later(machine.clock_since, RIGHT_WITHIN);
    let within = if disturbed { RIGHT_WITHIN_AFTER_A_PAUSE } else { RIGHT_WITHIN };
    let user = crate::people::principal(yes.approver.person.subject.as_str());
    let held = memberships.held(&user, later(now, -within));
    match yes.groups.iter().find(|group| !held.contains(group)) {
        Some(group) => {
            let who = &yes.approver.person.subject;
            Err(Violation::new("S4", format!("{who} agrees as one of {group:?}, which they left long ago")))
        }
        None => Ok(()),
    }
}

fn stands_under_its_rule(raised: &Requested, truth: &Truth) -> Result<(), Violation> {
    let grounds = &raised.grounds;
    let wrong =
        |what: &str| Err(Violation::new("S4", format!("a request under the rule {} {what}", grounds.rule)));
    let Some(policy) = truth.policies.get(&grounds.policy_event) else {
        return wrong("names a policy that never was");
    };
    let Some(rule) = policy.rules.iter().find(|rule| rule.id == grounds.rule) else {
        return wrong("names a policy without it");
    };
    if raised.asked.duration > rule.duration_max {
        return wrong("is longer than it allows");
    }
    if grounds.provider != rule.provider {
        return wrong("has another provider");
    }
    if is_plan_of(&grounds.plan, rule, policy) { Ok(()) } else { wrong("asks others than it does") }
}

fn is_plan_of(plan: &Plan, rule: &Rule, policy: &Policy) -> bool {
    match &rule.plan {
        PlanSource::None => plan.is_none(),
        PlanSource::Steps(steps) => plan == steps,
        PlanSource::ByApprovalPolicies => {
            let of_policies = policy.approval_policies.iter().flat_map(|policy| &policy.plan.steps);
            let known: Vec<_> = of_policies.collect();
            !plan.is_none() && plan.steps.iter().all(|step| known.contains(&step))
        }
    }
}

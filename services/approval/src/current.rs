//! What the policy in force says of a request that was raised earlier: the check before every decision.
//!
//! INVARIANT: "its rule is gone" is said only where that is certain. What cannot be told (groups, directory, a policy that
//! cannot be evaluated) is another answer, which refuses decisions and ends nothing.

use crate::core::Core;
use domain::{Groups, Plan, Timestamp};
use lifecycle::Request;
use policy::{Ask, Denied, Match};
use tonic::Code;
use views::place::PlaceUnknown;
use views::refusal::Refusal;
use views::who::Recorded;
use views::{InForce, Place, Views, who};

/// Why there is no plan to decide a request by now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoPlan {
    /// Certain: the rule that allowed it is gone, or no longer allows it.
    #[error("the rule that allowed this request no longer does: {0}")]
    Vanished(String),
    /// It cannot be told whether the rule still allows it.
    #[error("it cannot be told whether this is allowed: {0}")]
    Unprovable(String),
    /// The rule may allow it, but its target cannot be had now.
    #[error(transparent)]
    Place(PlaceUnknown),
    /// The rule allows it, but nothing can be decided under it.
    #[error(transparent)]
    Denied(Denied),
}

impl Refusal for NoPlan {
    fn reason(&self) -> (Code, &'static str) {
        match self {
            Self::Vanished(_) => (Code::FailedPrecondition, "RULE_VANISHED"),
            Self::Unprovable(_) => (Code::Unavailable, "UNPROVABLE"),
            Self::Place(why) => why.reason(),
            Self::Denied(why) => why.reason(),
        }
    }
}

impl From<PlaceUnknown> for NoPlan {
    fn from(why: PlaceUnknown) -> Self {
        match why {
            PlaceUnknown::NoDirectory | PlaceUnknown::TooOld { .. } | PlaceUnknown::AgeUnknown => {
                Self::Unprovable(why.to_string())
            }
            PlaceUnknown::AnotherPartition(..)
            | PlaceUnknown::NoAccount
            | PlaceUnknown::AccountInactive
            | PlaceUnknown::NoPermissionSet
            | PlaceUnknown::ManagementAccount => Self::Place(why),
        }
    }
}

impl From<Denied> for NoPlan {
    fn from(why: Denied) -> Self {
        match why {
            Denied::RuleVanished(_)
            | Denied::RuleDoesNotPermit(_)
            | Denied::DurationTooLong { .. }
            | Denied::NoRule => Self::Vanished(why.to_string()),
            Denied::GroupsUnknown(why) => Self::Unprovable(why),
            Denied::PolicyError(_) => Self::Unprovable(why.to_string()),
            Denied::NobodyCanDecide | Denied::DurationTooShort { .. } => Self::Denied(why),
        }
    }
}

/// The plan of `request` under the policy in force: its rule, asked again, with the place of its target and the groups of its
/// requester as they are now. Those that only a token told were decided by when the request was raised, and
/// count while it waits for a decision, which is no longer than the policy's `decide_within`: nobody can look them up.
pub(crate) fn plan(
    views: &Views,
    in_force: &InForce,
    request: &Request,
    now: Timestamp,
) -> Result<Plan, NoPlan> {
    plan_by(views, in_force, request, now, |ask, _| {
        in_force.compiled.current(&request.raised.grounds.rule, ask)
    })
}

/// The same, for what is only shown: by what the policy `said` before, if nothing has changed since.
pub(crate) fn plan_to_show(
    core: &Core,
    in_force: &InForce,
    request: &Request,
    now: Timestamp,
) -> Result<Plan, NoPlan> {
    plan_by(&core.views, in_force, request, now, |ask, place| {
        core.said.of(request.raised.id, in_force, place, ask, || {
            in_force.compiled.current(&request.raised.grounds.rule, ask)
        })
    })
}

fn plan_by(
    views: &Views,
    in_force: &InForce,
    request: &Request,
    now: Timestamp,
    say: impl FnOnce(&Ask<'_>, &Place) -> Result<Match, Denied>,
) -> Result<Plan, NoPlan> {
    let settings = in_force.compiled.settings();
    let raised = &request.raised;
    let place = Place::of(&views.directory, &raised.target, now, settings.directory_age_max)?;
    let groups: Groups = who::groups_of_recorded(
        &views.directory,
        raised.grounds.principal.as_ref(),
        Recorded { groups: &raised.grounds.groups, decided_at: now },
        now,
        settings.group_age_max,
    );
    let ask = Ask {
        requester: &raised.requester,
        groups: &groups,
        target: &raised.target,
        account: place.facts(),
        duration: raised.asked.duration,
    };
    let found = match say(&ask, &place) {
        // Whoever raised it may have known more than we do.
        Err(why @ (Denied::NoRule | Denied::RuleDoesNotPermit(_)))
            if place.directory().fetched_at() < request.raised_at =>
        {
            return Err(NoPlan::Unprovable(format!("{why}, by a directory from before it was raised")));
        }
        found => found?,
    };
    if found.provider != raised.grounds.provider {
        return Err(NoPlan::Vanished("it brings access about in another way now".to_owned()));
    }
    Ok(found.plan)
}

/// The plan that the request's rule asks for in its account now, for whomever: cheap, and no proof. Lists look at it before
/// they ask the policy.
pub(crate) fn plan_at_a_glance(
    views: &Views,
    in_force: &InForce,
    request: &Request,
    now: Timestamp,
) -> Option<Plan> {
    let raised = &request.raised;
    let rules = &in_force.compiled.policy().rules;
    let found = rules.binary_search_by(|rule| rule.id.cmp(&raised.grounds.rule)).ok()?;
    let age_max = in_force.compiled.settings().directory_age_max;
    let place = Place::of(&views.directory, &raised.target, now, age_max).ok()?;
    in_force.compiled.plan_for(rules.get(found)?, raised.target.account(), place.facts()).ok()
}

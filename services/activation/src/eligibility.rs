//! Requester, approvers and policy, looked at again before access is given: a yes of yesterday is not a yes of today.
//!
//! INVARIANT: what cannot be told is no yes. It is no loss either: the request stays, and is asked about again.
//!
//! Groups of the directory are looked up. What only tokens told nobody can look up: it counts for the policy's `group_age_max` from the
//! approval on, which is when all of it was last decided by. So what begins at once is given, and what begins weeks later is not.

use crate::core::{Core, later};
use crate::fault::Fault;
use crate::restored::{MAY_HAVE_ENDED, NOT_SWEPT};
use domain::{GroupRef, Groups, PrincipalId, SignedDuration, Timestamp};
use lifecycle::Request;
use lifecycle::event::ApprovalBasis;
use lifecycle::state::{Grant, Identities};
use policy::{AccountFacts, Ask, Denied, Match};
use std::collections::BTreeSet;
use views::place::PlaceUnknown;
use views::policy_book::{InForce, PolicyUnknown};
use views::who::Recorded;
use views::{Place, who};

/// Why it cannot be told any more who is in a group.
const TOKENS_TOO_OLD: &str = "it rests on groups that only a token told, and that was too long ago";

/// For how long after a start what tokens told is as old as at the start: access takes a while to be given.
const GIVEN_WITHIN: SignedDuration = SignedDuration::from_mins(2);

/// What a second look found.
#[derive(Debug)]
pub(crate) enum Eligibility {
    /// Everything still holds.
    Eligible(Box<Eligible>),
    /// Something no longer holds; which.
    Lost(String),
    /// It cannot be told now; why.
    Unknown(String),
    /// It cannot be told now, and it will not be told any more: nothing is kept in AWS for it.
    Outdated(String),
}

/// What holds.
#[derive(Debug)]
pub(crate) struct Eligible {
    /// What the rule says now.
    pub(crate) rule: Match,
    /// The account.
    pub(crate) place: Place,
}

/// A no, on the way.
enum No {
    Lost(String),
    /// The same, by what the directory says.
    LostByDirectory(String),
    Unknown(String),
}

impl From<Denied> for No {
    fn from(denied: Denied) -> Self {
        let why = denied.to_string();
        match denied {
            Denied::NoRule | Denied::RuleDoesNotPermit(_) | Denied::NobodyCanDecide => {
                Self::LostByDirectory(why)
            }
            Denied::DurationTooLong { .. } | Denied::DurationTooShort { .. } | Denied::RuleVanished(_) => {
                Self::Lost(why)
            }
            Denied::GroupsUnknown(_) | Denied::PolicyError(_) => Self::Unknown(why),
        }
    }
}

impl From<PlaceUnknown> for No {
    fn from(unknown: PlaceUnknown) -> Self {
        let why = unknown.to_string();
        match unknown {
            PlaceUnknown::NoDirectory | PlaceUnknown::TooOld { .. } | PlaceUnknown::AgeUnknown => {
                Self::Unknown(why)
            }
            PlaceUnknown::AnotherPartition(..)
            | PlaceUnknown::NoAccount
            | PlaceUnknown::AccountInactive
            | PlaceUnknown::NoPermissionSet
            | PlaceUnknown::ManagementAccount => Self::LostByDirectory(why),
        }
    }
}

impl From<PolicyUnknown> for No {
    fn from(unknown: PolicyUnknown) -> Self {
        Self::Unknown(unknown.to_string())
    }
}

impl Core {
    /// Whether an approved request may become active now.
    pub(crate) async fn eligibility(&self, request: &Request) -> Result<Eligibility, Fault> {
        self.eligibility_within(request, GIVEN_WITHIN).await
    }

    /// The same, however long after its start: what tokens told is as old as it was then.
    pub(crate) async fn eligibility_at_start(&self, request: &Request) -> Result<Eligibility, Fault> {
        self.eligibility_within(request, SignedDuration::MAX).await
    }

    /// The same, where what tokens told is as old as at the start for so long after it.
    async fn eligibility_within(
        &self,
        request: &Request,
        given_within: SignedDuration,
    ) -> Result<Eligibility, Fault> {
        let Ok((grant, _)) = request.approved() else {
            return Ok(Eligibility::Lost("the request is not approved".to_owned()));
        };
        if let Err(doubt) = self.views.certain_of_time() {
            return Ok(Eligibility::Unknown(doubt.to_string()));
        }
        if !self.knows_aws().await? {
            return Ok(Eligibility::Unknown(NOT_SWEPT.to_owned()));
        }
        if self.may_have_ended(request).await? {
            return Ok(Eligibility::Lost(MAY_HAVE_ENDED.to_owned()));
        }
        let in_force = match self.views.policy.current().await {
            Ok(in_force) => in_force,
            Err(unknown) => return Ok(Eligibility::Unknown(unknown.to_string())),
        };
        let approvers = self.approvers(grant)?;
        let requester = self.requester(request)?;
        if self.views.requests.has_left(&requester)? {
            return Ok(Eligibility::Lost("the requester has left".to_owned()));
        }
        // As it is before it is used: a newer one may come meanwhile.
        let from_before = self.has_directory_from_before(grant.at);
        let holds = |told_at| self.still_holds(request, grant, &in_force, &requester, &approvers, told_at);
        let late = self.now().duration_since(grant.approved.window.start());
        let given_late = !late.is_negative() && late <= given_within;
        Ok(match holds(if given_late { later(grant.at, late) } else { grant.at }) {
            Ok(eligible) => Eligibility::Eligible(Box::new(eligible)),
            // Whoever raised or approved it may have known more than we do.
            Err(No::LostByDirectory(why)) if from_before => {
                Eligibility::Unknown(format!("{why}, by a directory from before it was approved"))
            }
            // What would hold if tokens still said the same is not lost for certain.
            Err(No::Lost(reason) | No::LostByDirectory(reason)) => match holds(self.now()) {
                Ok(_) => Eligibility::Outdated(TOKENS_TOO_OLD.to_owned()),
                Err(No::Lost(_) | No::LostByDirectory(_)) => Eligibility::Lost(reason),
                Err(No::Unknown(why)) => Eligibility::Unknown(why),
            },
            Err(No::Unknown(why)) => Eligibility::Unknown(why),
        })
    }

    /// Whether requester, approvers and policy allow it now, if what tokens told of groups was last known to be so at `told_at`.
    fn still_holds(
        &self,
        request: &Request,
        grant: &Grant,
        in_force: &InForce,
        requester: &Identities,
        approvers: &[Identities],
        told_at: Timestamp,
    ) -> Result<Eligible, No> {
        let raised = &request.raised;
        let settings = in_force.compiled.settings();
        let place = Place::of(&self.views.directory, &raised.target, self.now(), settings.directory_age_max)?;
        let recorded = Recorded { groups: &raised.grounds.groups, decided_at: told_at };
        let requester_groups = self.groups_now(raised.grounds.principal.as_ref(), recorded, in_force)?;
        let rule = in_force.compiled.current(
            &raised.grounds.rule,
            &Ask {
                requester: &raised.requester,
                groups: &Groups::Known(requester_groups),
                target: &raised.target,
                account: AccountFacts { ou_path: place.ou_path(), tags: place.tags() },
                duration: grant.approved.window.duration(),
            },
        )?;
        if rule.provider != raised.grounds.provider {
            return Err(No::Lost(format!("rule {} has another provider now", rule.rule)));
        }
        match grant.approved.basis {
            ApprovalBasis::People | ApprovalBasis::Signal => {
                self.approvers_still_count(request, grant, in_force, &rule, approvers, told_at)?;
            }
            ApprovalBasis::Rule | ApprovalBasis::BreakGlass => {
                if !rule.plan.is_none() {
                    return Err(No::Lost(format!("rule {} asks people now", rule.rule)));
                }
                if in_force.wrote(&rule.rule, requester, Some(place.directory())) {
                    return Err(No::Lost(format!("the requester is the author of rule {} now", rule.rule)));
                }
            }
        }
        Ok(Eligible { rule, place })
    }

    /// The plan as it was recorded and the plan as it stands must both be met by those who agreed, as they are now.
    fn approvers_still_count(
        &self,
        request: &Request,
        grant: &Grant,
        in_force: &InForce,
        rule: &Match,
        approvers: &[Identities],
        told_at: Timestamp,
    ) -> Result<(), No> {
        let mut counted = Vec::new();
        let mut seen: Vec<&Identities> = Vec::new();
        for endorsement in &grant.approved.approvers {
            let person = &endorsement.approver.person;
            // Whoever is not there has left.
            let Some(identities) = approvers.iter().find(|known| known.people.contains(person)) else {
                continue;
            };
            if request.involves(identities) || seen.iter().any(|other| other.overlaps(identities)) {
                continue;
            }
            let recorded = Recorded { groups: &endorsement.groups, decided_at: told_at };
            match self.groups_now(endorsement.principal.as_ref(), recorded, in_force) {
                Ok(groups) => counted.push((person.clone(), groups)),
                Err(No::Lost(_) | No::LostByDirectory(_)) => continue,
                Err(unknown @ No::Unknown(_)) => return Err(unknown),
            }
            seen.push(identities);
        }
        let met = [&request.raised.grounds.plan, &rule.plan]
            .into_iter()
            .all(|plan| plan.is_met_by(counted.iter().map(|(person, groups)| (person, groups))));
        let why = "those who agreed may no longer decide on this";
        if met { Ok(()) } else { Err(No::LostByDirectory(why.to_owned())) }
    }

    /// Whether what is known of the directory was read before `at`.
    fn has_directory_from_before(&self, at: Timestamp) -> bool {
        self.views.directory.snapshot().is_some_and(|directory| directory.fetched_at() < at)
    }

    /// The groups of someone who is not calling. A user who is disabled or gone has lost them.
    fn groups_now(
        &self,
        principal: Option<&PrincipalId>,
        recorded: Recorded<'_>,
        in_force: &InForce,
    ) -> Result<BTreeSet<GroupRef>, No> {
        let age_max = in_force.compiled.settings().group_age_max;
        let now = self.now();
        let directory = views::place::fresh(&self.views.directory, now, age_max)?;
        if let Some(principal) = principal {
            match directory.user(principal) {
                Some(user) if user.enabled => {}
                Some(_) => {
                    return Err(No::LostByDirectory("the user is disabled in the directory".to_owned()));
                }
                None => return Err(No::LostByDirectory("the user is gone from the directory".to_owned())),
            }
        }
        match who::groups_of_recorded(&self.views.directory, principal, recorded, now, age_max) {
            Groups::Known(groups) => Ok(groups),
            Groups::Unknown(why) => Err(No::Unknown(why)),
        }
    }

    /// The requester, under every identity that is known.
    fn requester(&self, request: &Request) -> Result<Identities, Fault> {
        let raised = &request.raised;
        let mut people = self.views.requests.linked(&raised.requester)?;
        people.insert(raised.requester.clone());
        Ok(Identities { people, principal: raised.grounds.principal.clone() })
    }

    /// Those who agreed, each under every identity that is known; without those who have left.
    fn approvers(&self, grant: &Grant) -> Result<Vec<Identities>, Fault> {
        let mut approvers = Vec::new();
        for endorsement in &grant.approved.approvers {
            let person = &endorsement.approver.person;
            let mut people = self.views.requests.linked(person)?;
            people.insert(person.clone());
            let identities = Identities { people, principal: endorsement.principal.clone() };
            if !self.views.requests.has_left(&identities)? {
                approvers.push(identities);
            }
        }
        Ok(approvers)
    }
}

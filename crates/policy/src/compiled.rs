//! A policy that can be asked: who may ask for what, under which plan, and who may decide.
//!
//! Cedar decides each ask, over the few rules that the index lets through; listings come from the index alone, since they
//! are about a million pairs. INVARIANT: a rule stands alone. A [`Match`] holds what one rule says, and nothing of another.

mod cedar;
mod index;
mod listing;
mod rule_set;

use crate::check::Problem;
use crate::denied::Denied;
use crate::model::{PlanSource, Policy, Rule, Settings};
use cedar::Action;
use domain::{
    AccountId, GroupRef, Groups, OuPath, Person, Plan, Provider, RuleId, SessionScope, SignedDuration, Target,
};
use index::Index;
use std::collections::{BTreeMap, BTreeSet};

pub use listing::{AccountEntitlements, Entitlements, Offer, Wanted};

/// A policy, ready to be asked.
#[derive(Debug)]
pub struct Compiled {
    policy: Policy,
    rules: cedar::Rules,
    index: Index,
}

/// Why a policy could not be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// It does not pass [`Policy::check`].
    #[error("the policy has {} problems", .0.len())]
    Invalid(Vec<Problem>),
    /// Cedar refuses what became of it.
    #[error("the policy does not compile: {0}")]
    Cedar(String),
}

/// What the directory knows of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountFacts<'a> {
    /// The units that it is in.
    pub ou_path: &'a OuPath,
    /// Its tags.
    pub tags: &'a BTreeMap<String, String>,
}

/// Someone asks for something.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Who asks.
    pub requester: &'a Person,
    /// The groups that they are in.
    pub groups: &'a Groups,
    /// For what.
    pub target: &'a Target,
    /// What is known of the target's account.
    pub account: AccountFacts<'a>,
    /// For how long.
    pub duration: SignedDuration,
}

/// A rule that permits an ask, and what it says.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Match {
    /// The rule.
    pub rule: RuleId,
    /// How the access is brought about.
    pub provider: Provider,
    /// Who must agree.
    pub plan: Plan,
    /// The longest window under this rule.
    pub duration_max: SignedDuration,
    /// The longest life of one credential under this rule (for STS).
    pub credential_duration_max: SignedDuration,
    /// What a session under this rule may do at most (for STS).
    pub session: SessionScope,
    /// What determined this: `rule/<id>`, and `approval_policy/<id>` for those that the plan comes from; sorted.
    pub determining: Vec<String>,
}

impl Compiled {
    /// Compiles `policy`, which has passed its [check](Policy::check), if perhaps that of an earlier release.
    pub fn new(policy: Policy) -> Result<Self, CompileError> {
        let policy = policy.sorted();
        policy.check_in_force().map_err(CompileError::Invalid)?;
        Ok(Self {
            rules: cedar::Rules::new(&policy.rules).map_err(CompileError::Cedar)?,
            index: Index::new(&policy),
            policy,
        })
    }

    /// The policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Its settings.
    pub fn settings(&self) -> &Settings {
        &self.policy.settings
    }

    /// What became of a rule, in Cedar.
    pub fn cedar_text(&self, rule: &RuleId) -> Option<String> {
        self.position(rule).and_then(|i| self.rules.text(i))
    }

    /// Every rule that permits this ask, ordered by rule id; at least one.
    pub fn eligible(&self, ask: &Ask<'_>) -> Result<Vec<Match>, Denied> {
        let min = self.policy.settings.duration_min;
        if ask.duration < min {
            return Err(Denied::DurationTooShort { min });
        }
        let groups = known(ask.groups)?;
        let candidates = self.index.candidates(ask.requester, ask.groups, ask.target, ask.account);
        let named = self.index.named_groups(groups);
        let permitting = self.rules.permitting(candidates.iter(), Action::Request, ask, named)?;
        let rules: Vec<&Rule> = candidates.iter().filter_map(|i| self.policy.rules.get(i)).collect();
        let mut denied = rules
            .iter()
            .map(|rule| rule.duration_max)
            .max()
            .map_or(Denied::NoRule, |max| Denied::DurationTooLong { max });
        let mut matches = Vec::new();
        for rule in rules {
            let name = cedar::determining(rule);
            if !permitting.contains(&name) {
                continue;
            }
            match self.matched(rule, name, ask.target.account(), ask.account) {
                Ok(found) => matches.push(found),
                Err(reason) => denied = reason,
            }
        }
        if matches.is_empty() { Err(denied) } else { Ok(matches) }
    }

    /// The rules that Cedar permits this ask by when it is asked about every rule, without the index. Slow; it is what the
    /// index must never change, and what tests compare it with.
    pub fn permitting_without_index(&self, ask: &Ask<'_>) -> Result<BTreeSet<String>, Denied> {
        let groups = known(ask.groups)?;
        let all = 0..self.policy.rules.len();
        self.rules.permitting(all, Action::Request, ask, groups.iter())
    }

    /// What `rule` says to this ask now; the check again, when a decision is made and before access is given. That the
    /// rule is gone is told apart from a rule that does not permit this (any more).
    pub fn current(&self, rule: &RuleId, ask: &Ask<'_>) -> Result<Match, Denied> {
        let (i, rule) = self
            .position(rule)
            .and_then(|i| Some((i, self.policy.rules.get(i)?)))
            .ok_or_else(|| Denied::RuleVanished(rule.clone()))?;
        let groups = known(ask.groups)?;
        let candidates = self.index.candidates(ask.requester, ask.groups, ask.target, ask.account);
        if !candidates.contains(i) {
            return Err(Denied::RuleDoesNotPermit(rule.id.clone()));
        }
        if ask.duration > rule.duration_max {
            return Err(Denied::DurationTooLong { max: rule.duration_max });
        }
        let named = self.index.named_groups(groups);
        let permitting = self.rules.permitting(std::iter::once(i), Action::Activate, ask, named)?;
        let name = cedar::determining(rule);
        if !permitting.contains(&name) {
            return Err(Denied::RuleDoesNotPermit(rule.id.clone()));
        }
        self.matched(rule, name, ask.target.account(), ask.account)
    }

    /// The plan of `rule` for this ask as the policy stands now; see [`Compiled::current`].
    pub fn current_plan(&self, rule: &RuleId, ask: &Ask<'_>) -> Result<Plan, Denied> {
        self.current(rule, ask).map(|found| found.plan)
    }

    /// The plan that `rule` asks for in this account.
    pub fn plan_for(
        &self,
        rule: &Rule,
        account: &AccountId,
        facts: AccountFacts<'_>,
    ) -> Result<Plan, Denied> {
        self.resolve(rule, account, facts).map(|(plan, _)| plan)
    }

    /// Every rule that is about this target, for whomever and however long, with its plan now. Rules that nobody can
    /// decide under are left out.
    pub fn plans_for_target(&self, target: &Target, facts: AccountFacts<'_>) -> Vec<(RuleId, Plan)> {
        let rules = self.index.for_target(target, facts);
        rules
            .iter()
            .filter_map(|i| self.policy.rules.get(i))
            .filter_map(|rule| Some((rule.id.clone(), self.plan_for(rule, target.account(), facts).ok()?)))
            .collect()
    }

    /// Whether `approver` may agree to a step of `plan`. Unknown groups are no proof: denied.
    pub fn approves(&self, approver: &Person, groups: &Groups, plan: &Plan) -> Result<bool, Denied> {
        known(groups).map(|groups| plan.accepts(approver, groups))
    }

    /// Whether `person` is an approver of this target under any rule as the policy stands now, and so may revoke access
    /// to it. (So may its requester and administrators, who are not known here.)
    pub fn may_decide_on_target(
        &self,
        person: &Person,
        groups: &Groups,
        target: &Target,
        facts: AccountFacts<'_>,
    ) -> bool {
        let nowhere = BTreeSet::new();
        let groups = groups.known().unwrap_or(&nowhere);
        self.plans_for_target(target, facts).iter().any(|(_, plan)| plan.accepts(person, groups))
    }

    fn position(&self, rule: &RuleId) -> Option<usize> {
        self.policy.rules.binary_search_by(|probe| probe.id.cmp(rule)).ok()
    }

    fn matched(
        &self,
        rule: &Rule,
        name: String,
        account: &AccountId,
        facts: AccountFacts<'_>,
    ) -> Result<Match, Denied> {
        let (plan, mut determining) = self.resolve(rule, account, facts)?;
        determining.push(name);
        determining.sort();
        Ok(Match {
            rule: rule.id.clone(),
            provider: rule.provider,
            plan,
            duration_max: rule.duration_max,
            credential_duration_max: rule.credential_duration(),
            session: rule.session.clone(),
            determining,
        })
    }

    /// The plan of a rule in an account, and the approval policies that it comes from.
    fn resolve(
        &self,
        rule: &Rule,
        account: &AccountId,
        facts: AccountFacts<'_>,
    ) -> Result<(Plan, Vec<String>), Denied> {
        match &rule.plan {
            PlanSource::None => Ok((Plan::none(), Vec::new())),
            PlanSource::Steps(plan) => Ok((plan.clone(), Vec::new())),
            PlanSource::ByApprovalPolicies => {
                let covering = self.index.approvals_for(account, facts);
                let mut plan = Plan::none();
                let mut from = Vec::new();
                for approval in covering.iter().filter_map(|i| self.policy.approval_policies.get(i)) {
                    plan.steps.extend(approval.plan.steps.iter().cloned());
                    from.push(format!("approval_policy/{}", approval.id));
                }
                if plan.is_none() {
                    return Err(Denied::NobodyCanDecide);
                }
                Ok((plan, from))
            }
        }
    }
}

/// The one of `matches` to go by: the one that is `named`; else the one with the fewest steps, then the fewest approvers,
/// then the first by rule id.
pub fn choose(matches: Vec<Match>, named: Option<&RuleId>) -> Result<Match, Denied> {
    match named {
        Some(rule) => matches
            .into_iter()
            .find(|found| found.rule == *rule)
            .ok_or_else(|| Denied::RuleDoesNotPermit(rule.clone())),
        None => matches
            .into_iter()
            .min_by_key(|found| (found.plan.steps.len(), found.plan.people_needed(), found.rule.clone()))
            .ok_or(Denied::NoRule),
    }
}

fn known(groups: &Groups) -> Result<&BTreeSet<GroupRef>, Denied> {
    groups.known().map_err(|why| Denied::GroupsUnknown(why.to_owned()))
}

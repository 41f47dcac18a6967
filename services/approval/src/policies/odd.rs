//! What is odd about a policy, though not wrong: names of things that the directory does not know. They match nothing and harm
//! nothing, but their author should hear of it.

use aws::Directory;
use domain::{GroupRef, OuId};
use policy::{PlanSource, Policy, RoleSelector};
use std::collections::BTreeSet;

/// How many oddities are told at most: whoever has more has another directory.
const WARNINGS_MAX: usize = 50;

/// What `policy` names and `directory` does not know, in words.
pub(crate) fn warnings(policy: &Policy, directory: &Directory) -> Vec<String> {
    let groups = directory
        .missing_groups(&groups(policy))
        .into_iter()
        .map(|group| format!("the directory knows no group {group}: nobody is in it"));
    let units = units(policy)
        .into_iter()
        .filter(|unit| directory.unit(unit).is_none())
        .map(|unit| format!("the directory knows no unit {unit}: no account is in it"));
    let accounts: BTreeSet<_> = policy
        .rules
        .iter()
        .flat_map(|rule| &rule.targets.accounts)
        .chain(policy.approval_policies.iter().flat_map(|approval| &approval.accounts))
        .collect();
    let accounts = accounts
        .into_iter()
        .filter(|account| directory.account(account).is_none())
        .map(|account| format!("the directory knows no account {account}"));
    let sets: BTreeSet<_> = policy.rules.iter().flat_map(|rule| &rule.targets.permission_sets).collect();
    let sets = sets
        .into_iter()
        .filter(|set| directory.permission_set(set).is_none())
        .map(|set| format!("the directory knows no permission set {set}"));
    let elsewhere = policy.rules.iter().flat_map(|rule| &rule.targets.roles).filter_map(|role| match role {
        RoleSelector::Arn(arn)
            if arn.account().is_some_and(|account| directory.account(&account).is_none()) =>
        {
            Some(format!("the directory does not know the account of role {arn}"))
        }
        RoleSelector::Arn(_) | RoleSelector::Name(_) => None,
    });
    groups.chain(units).chain(accounts).chain(sets).chain(elsewhere).take(WARNINGS_MAX).collect()
}

fn groups(policy: &Policy) -> BTreeSet<GroupRef> {
    let mut groups = BTreeSet::new();
    for rule in &policy.rules {
        groups.extend(rule.requesters.groups.iter().cloned());
        match &rule.plan {
            PlanSource::Steps(plan) => groups.extend(plan.groups()),
            PlanSource::None | PlanSource::ByApprovalPolicies => {}
        }
    }
    groups.extend(policy.approval_policies.iter().flat_map(|approval| approval.plan.groups()));
    groups
}

fn units(policy: &Policy) -> BTreeSet<&OuId> {
    let of_rules = policy.rules.iter().flat_map(|rule| &rule.targets.ous);
    let of_approvals = policy.approval_policies.iter().flat_map(|approval| &approval.ous);
    of_rules.chain(of_approvals).map(|scope| &scope.ou).collect()
}

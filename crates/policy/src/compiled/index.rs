//! Finds the rules that can match, without looking at each.
//!
//! INVARIANT: the index never leaves out a rule that Cedar would permit by; a property test compares them. It is also what
//! listings are made from, since Cedar cannot be asked a million times.

use super::AccountFacts;
use super::rule_set::RuleSet;
use crate::model::{ApprovalPolicy, OuScope, PlanSource, Policy, RoleName, RoleSelector, Targets};
use domain::{AccountId, Entitlement, GroupRef, Groups, OuId, PermissionSetArn, Person, RoleArn, Target};
use std::collections::{BTreeMap, BTreeSet};

/// The rules of a policy, by everything that they select.
#[derive(Debug)]
pub(crate) struct Index {
    none: RuleSet,
    people: BTreeMap<Person, RuleSet>,
    groups: BTreeMap<GroupRef, RuleSet>,
    permission_sets: BTreeMap<PermissionSetArn, RuleSet>,
    roles: BTreeMap<AccountId, BTreeMap<RoleArn, RuleSet>>,
    role_names: BTreeMap<RoleName, RuleSet>,
    accounts: AccountIndex,
    approvals: AccountIndex,
    by_approval_policies: RuleSet,
}

impl Index {
    /// `policy` is sorted.
    pub(crate) fn new(policy: &Policy) -> Self {
        let none = RuleSet::empty(policy.rules.len());
        let mut index = Self {
            people: BTreeMap::new(),
            groups: BTreeMap::new(),
            permission_sets: BTreeMap::new(),
            roles: BTreeMap::new(),
            role_names: BTreeMap::new(),
            accounts: AccountIndex::new(policy.rules.len()),
            approvals: AccountIndex::new(policy.approval_policies.len()),
            by_approval_policies: none.clone(),
            none,
        };
        for (i, rule) in policy.rules.iter().enumerate() {
            for person in &rule.requesters.people {
                put(&mut index.people, person, &index.none, i);
            }
            for group in &rule.requesters.groups {
                put(&mut index.groups, group, &index.none, i);
            }
            index.put_entitlements(&rule.targets, i);
            index.accounts.put_targets(&rule.targets, i);
            if rule.plan == PlanSource::ByApprovalPolicies {
                index.by_approval_policies.insert(i);
            }
        }
        for (i, approval) in policy.approval_policies.iter().enumerate() {
            index.approvals.put_approval(approval, i);
        }
        index
    }

    fn put_entitlements(&mut self, targets: &Targets, rule: usize) {
        for arn in &targets.permission_sets {
            put(&mut self.permission_sets, arn, &self.none, rule);
        }
        for role in &targets.roles {
            match role {
                RoleSelector::Name(name) => put(&mut self.role_names, name, &self.none, rule),
                RoleSelector::Arn(arn) => {
                    let roles = arn.account().map(|account| self.roles.entry(account).or_default());
                    if let Some(roles) = roles {
                        put(roles, arn, &self.none, rule);
                    }
                }
            }
        }
    }

    /// The rules that name this person or one of these groups.
    pub(crate) fn for_requester(&self, person: &Person, groups: &BTreeSet<GroupRef>) -> RuleSet {
        let mut rules = self.people.get(person).unwrap_or(&self.none).clone();
        for group in groups {
            if let Some(more) = self.groups.get(group) {
                rules.add(more);
            }
        }
        rules
    }

    /// The rules that select this account and this entitlement.
    pub(crate) fn for_target(&self, target: &Target, facts: AccountFacts<'_>) -> RuleSet {
        let mut rules = self.for_account(target.account(), facts);
        match target.entitlement() {
            Entitlement::PermissionSet(arn) => rules.keep(self.for_permission_set(arn)),
            Entitlement::Role(arn) => rules.keep(&self.for_role(target.account(), arn)),
        }
        rules
    }

    /// The rules that select this account.
    pub(crate) fn for_account(&self, account: &AccountId, facts: AccountFacts<'_>) -> RuleSet {
        self.accounts.select(account, facts)
    }

    /// The rules that name this permission set.
    pub(crate) fn for_permission_set(&self, arn: &PermissionSetArn) -> &RuleSet {
        self.permission_sets.get(arn).unwrap_or(&self.none)
    }

    fn for_role(&self, account: &AccountId, arn: &RoleArn) -> RuleSet {
        let by_arn = self.roles.get(account).and_then(|roles| roles.get(arn));
        let mut rules = by_arn.unwrap_or(&self.none).clone();
        if let Some(by_name) =
            RoleName::new(arn.path_and_name()).ok().and_then(|name| self.role_names.get(&name))
        {
            rules.add(by_name);
        }
        rules
    }

    /// The roles of this account that rules name by ARN.
    pub(crate) fn roles_in(&self, account: &AccountId) -> impl Iterator<Item = (&RoleArn, &RuleSet)> {
        self.roles.get(account).into_iter().flatten()
    }

    /// The role names that rules name.
    pub(crate) fn role_names(&self) -> impl Iterator<Item = (&RoleName, &RuleSet)> {
        self.role_names.iter()
    }

    /// The approval policies that cover this account (bits of approval policies, not of rules).
    pub(crate) fn approvals_for(&self, account: &AccountId, facts: AccountFacts<'_>) -> RuleSet {
        self.approvals.select(account, facts)
    }

    /// The rules that leave the plan to approval policies.
    pub(crate) fn by_approval_policies(&self) -> &RuleSet {
        &self.by_approval_policies
    }

    /// Those of `groups` that a rule names for its requesters: no other can matter to it.
    pub(crate) fn named_groups<'a>(
        &self,
        groups: &'a BTreeSet<GroupRef>,
    ) -> impl Iterator<Item = &'a GroupRef> {
        groups.iter().filter(|group| self.groups.contains_key(*group))
    }
}

fn put<K: Ord + Clone>(map: &mut BTreeMap<K, RuleSet>, key: &K, none: &RuleSet, rule: usize) {
    map.entry(key.clone()).or_insert_with(|| none.clone()).insert(rule);
}

/// Rules (or approval policies) by the accounts that they select; see [`Targets`] for what the selectors mean.
#[derive(Debug)]
struct AccountIndex {
    none: RuleSet,
    all: RuleSet,
    listed: BTreeMap<AccountId, RuleSet>,
    below: BTreeMap<OuId, RuleSet>,
    directly_in: BTreeMap<OuId, RuleSet>,
    tagged: RuleSet,
    tags: BTreeMap<String, TagIndex>,
}

/// What rules want of one tag.
#[derive(Debug)]
struct TagIndex {
    wanted_by: RuleSet,
    accepted_by: BTreeMap<String, RuleSet>,
}

impl AccountIndex {
    fn new(rules: usize) -> Self {
        let none = RuleSet::empty(rules);
        Self {
            all: none.clone(),
            listed: BTreeMap::new(),
            below: BTreeMap::new(),
            directly_in: BTreeMap::new(),
            tagged: none.clone(),
            tags: BTreeMap::new(),
            none,
        }
    }

    fn put_targets(&mut self, targets: &Targets, rule: usize) {
        if targets.all_accounts {
            self.all.insert(rule);
        }
        self.put_places(&targets.accounts, &targets.ous, rule);
        for (key, values) in &targets.account_tags {
            self.tagged.insert(rule);
            let tag = self
                .tags
                .entry(key.clone())
                .or_insert_with(|| TagIndex { wanted_by: self.none.clone(), accepted_by: BTreeMap::new() });
            tag.wanted_by.insert(rule);
            for value in values {
                put(&mut tag.accepted_by, value, &self.none, rule);
            }
        }
    }

    fn put_approval(&mut self, approval: &ApprovalPolicy, i: usize) {
        self.put_places(&approval.accounts, &approval.ous, i);
    }

    fn put_places(&mut self, accounts: &BTreeSet<AccountId>, ous: &BTreeSet<OuScope>, rule: usize) {
        for account in accounts {
            put(&mut self.listed, account, &self.none, rule);
        }
        for scope in ous {
            let units = if scope.direct { &mut self.directly_in } else { &mut self.below };
            put(units, &scope.ou, &self.none, rule);
        }
    }

    fn select(&self, account: &AccountId, facts: AccountFacts<'_>) -> RuleSet {
        let mut rules = self.tagged.clone();
        for (key, tag) in &self.tags {
            let accepted = facts.tags.get(key).and_then(|value| tag.accepted_by.get(value));
            let mut refused = tag.wanted_by.clone();
            if let Some(accepted) = accepted {
                refused.remove(accepted);
            }
            rules.remove(&refused);
        }
        rules.add(&self.all);
        let listed = self.listed.get(account);
        let below = facts.ou_path.0.iter().filter_map(|unit| self.below.get(unit));
        let direct = facts.ou_path.parent().and_then(|unit| self.directly_in.get(unit));
        for more in listed.into_iter().chain(below).chain(direct) {
            rules.add(more);
        }
        rules
    }
}

impl Index {
    /// The rules that can match, but for their duration.
    pub(crate) fn candidates(
        &self,
        person: &Person,
        groups: &Groups,
        target: &Target,
        facts: AccountFacts<'_>,
    ) -> RuleSet {
        let nowhere = BTreeSet::new();
        let mut rules = self.for_requester(person, groups.known().unwrap_or(&nowhere));
        rules.keep(&self.for_target(target, facts));
        rules
    }
}

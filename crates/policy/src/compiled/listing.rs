//! What may someone ask for: every account and entitlement, without asking Cedar a million times.
//!
//! INVARIANT: an offer is made exactly where [`Compiled::eligible`] permits the shortest duration; a property test
//! compares them.

use super::rule_set::RuleSet;
use super::{AccountFacts, Compiled, known};
use crate::denied::Denied;
use crate::model::{RoleName, Rule};
use domain::{AccountId, Entitlement, Groups, Partition, PermissionSetArn, Person, RoleArn, Target};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What there is to be had, or, where something is looked for, what of it is wanted. Roles are in no directory: rules name
/// them, by ARN (such are always part of it) or by name.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// The permission sets; each can be assigned in every account.
    pub permission_sets: BTreeSet<&'a PermissionSetArn>,
    /// The names of roles; [`Compiled::role_names`] has all.
    pub role_names: BTreeSet<&'a RoleName>,
    /// The partition that the accounts are in.
    pub partition: Partition,
}

/// What someone may ask for, account by account, so that a page costs no more than it shows.
#[derive(Debug)]
pub struct Entitlements<'a> {
    compiled: &'a Compiled,
    requester: RuleSet,
    wanted: Wanted<'a>,
    /// Accounts under the same rules offer the same, so this is made once.
    shapes: BTreeMap<RuleSet, Arc<Shape<'a>>>,
}

/// What a set of rules offers in any account.
#[derive(Debug, Default)]
struct Shape<'a> {
    permission_sets: Vec<(&'a PermissionSetArn, RuleSet)>,
    role_names: Vec<(&'a RoleName, RuleSet)>,
}

/// What someone may ask for in one account.
#[derive(Clone, Debug)]
pub struct AccountEntitlements<'a> {
    /// The account.
    pub account: &'a AccountId,
    /// What the directory knows of it.
    pub facts: AccountFacts<'a>,
    compiled: &'a Compiled,
    partition: Partition,
    shape: Arc<Shape<'a>>,
    roles: Vec<(&'a RoleArn, RuleSet)>,
}

/// One thing that someone may ask for, and the rules that they may ask under, by id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer<'a> {
    /// What.
    pub target: Target,
    /// Under which rules; at least one. [`Compiled::plan_for`] tells the plan.
    pub rules: Vec<&'a Rule>,
}

impl Compiled {
    /// What `person` may ask for of what is wanted.
    pub fn entitlements_for<'a>(
        &'a self,
        person: &Person,
        groups: &Groups,
        wanted: Wanted<'a>,
    ) -> Result<Entitlements<'a>, Denied> {
        let requester = self.index.for_requester(person, known(groups)?);
        Ok(Entitlements { compiled: self, requester, wanted, shapes: BTreeMap::new() })
    }

    /// The names by which rules name roles.
    pub fn role_names(&self) -> impl Iterator<Item = &RoleName> {
        self.index.role_names().map(|(name, _)| name)
    }
}

impl<'a> Entitlements<'a> {
    /// Whether no rule is for this person, wherever it is.
    pub fn is_empty(&self) -> bool {
        self.requester.is_empty()
    }

    /// What there is to ask for in `account`; [empty](AccountEntitlements::is_empty) where there is nothing.
    pub fn in_account(&mut self, account: &'a AccountId, facts: AccountFacts<'a>) -> AccountEntitlements<'a> {
        let index = &self.compiled.index;
        let mut rules = index.for_account(account, facts);
        rules.keep(&self.requester);
        if index.approvals_for(account, facts).is_empty() {
            rules.remove(index.by_approval_policies());
        }
        let by_arn = index
            .roles_in(account)
            .map(|(arn, naming)| (arn, naming.and(&rules)))
            .filter(|(_, naming)| !naming.is_empty())
            .collect();
        AccountEntitlements {
            account,
            facts,
            compiled: self.compiled,
            partition: self.wanted.partition,
            shape: self.shape(rules),
            roles: by_arn,
        }
    }

    fn shape(&mut self, rules: RuleSet) -> Arc<Shape<'a>> {
        let (index, wanted) = (&self.compiled.index, &self.wanted);
        let make = |rules: &RuleSet| {
            if rules.is_empty() {
                return Arc::default();
            }
            let sets = wanted.permission_sets.iter();
            let sets = sets.map(|arn| (*arn, index.for_permission_set(arn).and(rules)));
            let names = index.role_names().filter(|(name, _)| wanted.role_names.contains(name));
            let names = names.map(|(name, naming)| (name, naming.and(rules)));
            Arc::new(Shape {
                permission_sets: sets.filter(|(_, naming)| !naming.is_empty()).collect(),
                role_names: names.filter(|(_, naming)| !naming.is_empty()).collect(),
            })
        };
        if let Some(shape) = self.shapes.get(&rules) {
            return Arc::clone(shape);
        }
        let shape = make(&rules);
        self.shapes.insert(rules, Arc::clone(&shape));
        shape
    }
}

impl<'a> AccountEntitlements<'a> {
    /// Whether there is nothing to ask for.
    pub fn is_empty(&self) -> bool {
        self.shape.permission_sets.is_empty() && self.shape.role_names.is_empty() && self.roles.is_empty()
    }

    /// How many entitlements there are to ask for. A role that rules name both by ARN and by name counts once.
    pub fn len(&self) -> usize {
        let by_name = self.shape.role_names.iter().map(|(name, _)| name.as_str());
        let by_name: BTreeSet<&str> = if self.roles.is_empty() { BTreeSet::new() } else { by_name.collect() };
        let twice = self.roles.iter().filter(|(arn, _)| {
            by_name.contains(arn.path_and_name())
                && arn.as_str().split(':').nth(1) == Some(self.partition.as_str())
        });
        self.shape.permission_sets.len() + self.shape.role_names.len() + self.roles.len() - twice.count()
    }

    /// What there is to ask for, permission sets first, then roles, each by ARN.
    pub fn offers(&self) -> impl Iterator<Item = Offer<'a>> {
        let mut offers: BTreeMap<Entitlement, RuleSet> = BTreeMap::new();
        for (arn, rules) in &self.shape.permission_sets {
            offers.insert(Entitlement::PermissionSet((*arn).clone()), rules.clone());
        }
        for (arn, rules) in &self.roles {
            offers.insert(Entitlement::Role((*arn).clone()), rules.clone());
        }
        for (name, rules) in &self.shape.role_names {
            let arn = RoleArn::new(format!("arn:{}:iam::{}:role/{name}", self.partition, self.account));
            if let Ok(arn) = arn {
                offers
                    .entry(Entitlement::Role(arn))
                    .and_modify(|known| known.add(rules))
                    .or_insert_with(|| rules.clone());
            }
        }
        let (account, compiled) = (self.account, self.compiled);
        offers.into_iter().filter_map(move |(entitlement, rules)| {
            let rules = rules.iter().filter_map(|i| compiled.policy.rules.get(i)).collect();
            let target = Target::new(account.clone(), entitlement).ok()?;
            Some(Offer { target, rules })
        })
    }
}

//! What someone may ask for: every account and entitlement, with the rules that allow it.
//!
//! INVARIANT: what is listed is what `CreateRequest` would take, and options come in the order in which it would choose.

use crate::deciders::deciders;
use crate::raise::Served;
use crate::requester::Requester;
use api::request::v1::{Entitlement as Shown, EntitlementOption};
use aws::{Account, Directory};
use domain::{AccountId, Entitlement, Partition, PermissionSetArn, Plan, Target};
use lifecycle::raise::Deciders;
use lifecycle::state::Identities;
use policy::{AccountFacts, Denied, Offer, Rule, Wanted};
use std::collections::{BTreeMap, BTreeSet};
use views::policy_book::InForce;
use views::{resource, wire};

/// Whose entitlements, out of what.
pub(crate) struct Listing<'a> {
    pub(crate) in_force: &'a InForce,
    pub(crate) directory: &'a Directory,
    pub(crate) requester: &'a Requester,
    /// Who raises; the requester, or someone for them. Neither can decide.
    pub(crate) raiser: &'a Identities,
    pub(crate) account: Option<&'a AccountId>,
    pub(crate) served: Served,
    /// The partition of the organisation, where it is known.
    pub(crate) partition: Option<Partition>,
    /// In lower case; empty: everything.
    pub(crate) search: &'a str,
}

/// The place of an entitlement in the list: accounts by name, then id; in an account in the order of its offers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    name: String,
    account: AccountId,
    entitlement: Entitlement,
}

impl Place {
    /// As a key of a page. Names are looked up again, being long and of any letters.
    pub(crate) fn key(&self) -> String {
        format!("{} {}", self.account, self.entitlement.arn())
    }

    /// The place that `key` names; `None` when the account is no longer there.
    pub(crate) fn read(key: &str, directory: &Directory) -> Option<Self> {
        let (account, entitlement) = key.split_once(' ')?;
        let account = AccountId::new(account).ok()?;
        let name = directory.account(&account)?.name.to_lowercase();
        Some(Self { name, account, entitlement: Entitlement::from_arn(entitlement).ok()? })
    }

    fn of(account: &Account, target: &Target) -> Self {
        Self {
            name: account.name.to_lowercase(),
            account: target.account().clone(),
            entitlement: target.entitlement().clone(),
        }
    }
}

impl Listing<'_> {
    /// At most `limit` entitlements after `after`, in order.
    pub(crate) fn after(&self, after: Option<&Place>, limit: usize) -> Result<Vec<(Place, Shown)>, Denied> {
        let everything = self.everything();
        let searched = self.searched(&everything);
        let (person, groups) = (&self.requester.person, &self.requester.groups);
        let mut everything = self.in_force.compiled.entitlements_for(person, groups, everything)?;
        let mut searched = self.in_force.compiled.entitlements_for(person, groups, searched)?;
        let mut decidable = BTreeMap::new();
        let mut found = Vec::new();
        if everything.is_empty() {
            return Ok(found);
        }
        for (id, account) in self.accounts_from(after) {
            let facts = AccountFacts { ou_path: &account.ou_path, tags: &account.tags };
            let whole = self.is_found(id, account);
            let entitlements = if whole { &mut everything } else { &mut searched };
            for offer in entitlements.in_account(id, facts).offers() {
                let place = Place::of(account, &offer.target);
                let wanted = after.is_none_or(|after| place > *after)
                    && can_be_assigned(account, &offer.target)
                    && (whole || self.finds(offer.target.entitlement()));
                if wanted {
                    let shown = self.shown(account, facts, &offer, &mut decidable);
                    found.push((place, shown));
                }
                if found.len() == limit {
                    return Ok(found);
                }
            }
        }
        Ok(found)
    }

    /// The accounts to look through in order, of a later page from the one on in which the page before ended.
    fn accounts_from(&self, after: Option<&Place>) -> impl Iterator<Item = (&AccountId, &Account)> {
        let mut accounts: Vec<(String, &AccountId, &Account)> = self
            .directory
            .contents()
            .accounts
            .iter()
            .filter(|(id, account)| account.active && self.account.is_none_or(|asked| asked == *id))
            .map(|(id, account)| (account.name.to_lowercase(), id, account))
            .filter(|(name, id, _)| {
                after.is_none_or(|after| (name.as_str(), *id) >= (after.name.as_str(), &after.account))
            })
            .collect();
        accounts.sort_by(|one, other| (&one.0, one.1).cmp(&(&other.0, other.1)));
        accounts.into_iter().map(|(_, id, account)| (id, account))
    }

    fn everything(&self) -> Wanted<'_> {
        let permission_sets: BTreeSet<_> = self.directory.contents().permission_sets.keys().collect();
        Wanted {
            partition: self.partition.unwrap_or_else(|| partition(&permission_sets)),
            permission_sets,
            role_names: self.in_force.compiled.role_names().collect(),
        }
    }

    /// What can be found in an account that is not found itself, decided once rather than in each of thousands of accounts.
    fn searched<'a>(&self, everything: &Wanted<'a>) -> Wanted<'a> {
        let mut searched = everything.clone();
        searched.permission_sets.retain(|arn| self.finds(&Entitlement::PermissionSet((*arn).clone())));
        // Their ARNs have the accounts in them, so what looks like the beginning of an ARN is compared there.
        let by_arn = self.search.starts_with("arn:") || "arn:".starts_with(self.search);
        searched.role_names.retain(|name| by_arn || self.is_contained(name.as_str()));
        searched
    }

    /// Whether an account is looked for by its name or id, and so is everything in it.
    fn is_found(&self, id: &AccountId, account: &Account) -> bool {
        self.is_contained(&account.name) || id.as_str().starts_with(self.search)
    }

    fn finds(&self, entitlement: &Entitlement) -> bool {
        self.is_contained(&resource::entitlement_name(entitlement, Some(self.directory)))
            || entitlement.arn().to_lowercase().starts_with(self.search)
    }

    fn is_contained(&self, name: &str) -> bool {
        name.to_lowercase().contains(self.search)
    }

    fn shown(
        &self,
        account: &Account,
        facts: AccountFacts<'_>,
        offer: &Offer<'_>,
        decidable: &mut BTreeMap<Plan, bool>,
    ) -> Shown {
        let mut options: Vec<(&Rule, Plan)> = offer
            .rules
            .iter()
            .filter_map(|rule| {
                let plan = self.in_force.compiled.plan_for(rule, offer.target.account(), facts).ok()?;
                Some((*rule, plan))
            })
            .collect();
        // As `policy::choose` does, among those that are served first.
        options.sort_by_cached_key(|(rule, plan)| {
            (!self.served.includes(rule.provider), plan.steps.len(), plan.people_needed(), rule.id.clone())
        });
        let unit_name = |id| self.directory.unit(id).map_or_else(|| id.to_string(), |unit| unit.name.clone());
        Shown {
            target: Some(wire::target(&offer.target)),
            account_name: account.name.clone(),
            entitlement_name: resource::entitlement_name(offer.target.entitlement(), Some(self.directory)),
            ou_names: account.ou_path.0.iter().map(unit_name).collect(),
            options: options
                .into_iter()
                .map(|(rule, plan)| EntitlementOption {
                    rule_id: rule.id.to_string(),
                    description: rule.description.clone(),
                    duration_max: Some(wire::duration(rule.duration_max)),
                    provider: wire::provider(rule.provider).into(),
                    decidable: self.is_decidable(rule, &plan, decidable),
                    plan: Some(wire::plan(&plan)),
                })
                .collect(),
        }
    }

    /// Whether raising under `rule` would find people who could agree. Its author cannot use a rule that asks nobody.
    fn is_decidable(&self, rule: &Rule, plan: &Plan, known: &mut BTreeMap<Plan, bool>) -> bool {
        if plan.is_none() {
            return ![&self.requester.identities, self.raiser]
                .into_iter()
                .any(|identities| self.in_force.wrote(&rule.id, identities, Some(self.directory)));
        }
        if let Some(known) = known.get(plan) {
            return *known;
        }
        let found = deciders(plan, self.directory, &[&self.requester.identities, self.raiser]);
        let enough = !matches!(found, Deciders::Missing(_));
        known.insert(plan.clone(), enough);
        enough
    }
}

/// A delegated administrator cannot assign permission sets in the management account.
fn can_be_assigned(account: &Account, target: &Target) -> bool {
    match target.entitlement() {
        Entitlement::PermissionSet(_) => !account.management,
        Entitlement::Role(_) => true,
    }
}

/// The partition of the organisation, where nobody told: that of its permission sets.
fn partition(permission_sets: &BTreeSet<&PermissionSetArn>) -> Partition {
    let named = permission_sets.first().and_then(|arn| arn.as_str().split(':').nth(1)?.parse().ok());
    named.unwrap_or(Partition::Aws)
}

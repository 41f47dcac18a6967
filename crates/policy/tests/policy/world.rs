//! A small organisation to ask about: units below units, tagged accounts, a few people.

use domain::{
    AccountId, GroupRef, Groups, OuId, OuPath, Person, Plan, Provider, RuleId, SignedDuration, Step, Target,
};
use policy::{
    AccountFacts, ApprovalPolicy, Ask, Compiled, OuScope, PlanSource, Policy, Requesters, Rule, Targets,
};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const READ: &str = "arn:aws:sso:::permissionSet/ssoins-1/ps-read";
pub(crate) const ADMIN: &str = "arn:aws:sso:::permissionSet/ssoins-1/ps-admin";
pub(crate) const ROOT: &str = "r-1";
pub(crate) const WORKLOADS: &str = "ou-1-workloads";
pub(crate) const PAYMENTS: &str = "ou-1-payments";
pub(crate) const DEV: &str = "111111111111";
pub(crate) const PROD: &str = "222222222222";

#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) id: AccountId,
    pub(crate) path: OuPath,
    pub(crate) tags: BTreeMap<String, String>,
}

impl Account {
    pub(crate) fn facts(&self) -> AccountFacts<'_> {
        AccountFacts { ou_path: &self.path, tags: &self.tags }
    }
}

pub(crate) fn account(id: &str, path: &[&str], tags: &[(&str, &str)]) -> Account {
    let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Account {
        id: AccountId::new(id).unwrap(),
        path: OuPath(path.iter().map(|unit| OuId::new(*unit).unwrap()).collect()),
        tags: tags.collect(),
    }
}

/// Directly in `WORKLOADS`.
pub(crate) fn dev() -> Account {
    account(DEV, &[ROOT, WORKLOADS], &[("env", "dev")])
}

/// In `PAYMENTS`, which is in `WORKLOADS`.
pub(crate) fn prod() -> Account {
    account(PROD, &[ROOT, WORKLOADS, PAYMENTS], &[("env", "prod"), ("team", "payments")])
}

pub(crate) fn person(subject: &str) -> Person {
    Person::new("https://idp.example", subject).unwrap()
}

pub(crate) fn group(id: &str) -> GroupRef {
    GroupRef::new("idp", id).unwrap()
}

pub(crate) fn groups(ids: &[&str]) -> Groups {
    Groups::Known(ids.iter().map(|id| group(id)).collect())
}

pub(crate) fn rule_id(id: &str) -> RuleId {
    RuleId::new(id).unwrap()
}

pub(crate) fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

pub(crate) fn step(count: u8, groups: &[&str]) -> Step {
    Step { count, groups: groups.iter().map(|id| group(id)).collect(), people: BTreeSet::new() }
}

pub(crate) fn plan(steps: &[Step]) -> Plan {
    Plan { steps: steps.to_vec() }
}

/// Developers may have `READ` everywhere for 8 hours; nobody needs to agree.
pub(crate) fn rule(id: &str) -> Rule {
    Rule {
        id: rule_id(id),
        description: String::new(),
        requesters: requesters(&["developers"]),
        targets: Targets {
            all_accounts: true,
            permission_sets: [READ.parse().unwrap()].into(),
            ..Targets::default()
        },
        duration_max: hours(8),
        provider: Provider::IdentityCenter,
        credential_duration_max: None,
        session: domain::SessionScope::default(),
        plan: PlanSource::None,
    }
}

pub(crate) fn requesters(ids: &[&str]) -> Requesters {
    Requesters { people: BTreeSet::new(), groups: ids.iter().map(|id| group(id)).collect() }
}

pub(crate) fn in_unit(unit: &str, direct: bool) -> BTreeSet<OuScope> {
    let ou = OuId::new(unit).unwrap();
    [OuScope { ou, direct }].into()
}

pub(crate) fn approval(id: &str, unit: &str, approvers: &str) -> ApprovalPolicy {
    ApprovalPolicy {
        id: rule_id(id),
        accounts: BTreeSet::new(),
        ous: in_unit(unit, false),
        plan: plan(&[step(1, &[approvers])]),
    }
}

pub(crate) fn compiled(rules: &[Rule], approvals: &[ApprovalPolicy]) -> Compiled {
    Compiled::new(Policy {
        rules: rules.to_vec(),
        approval_policies: approvals.to_vec(),
        ..Policy::default()
    })
    .unwrap()
}

/// An ask with all that it borrows.
pub(crate) struct Question {
    pub(crate) requester: Person,
    pub(crate) groups: Groups,
    pub(crate) target: Target,
    pub(crate) account: Account,
    pub(crate) duration: SignedDuration,
}

impl Question {
    pub(crate) fn ask(&self) -> Ask<'_> {
        Ask {
            requester: &self.requester,
            groups: &self.groups,
            target: &self.target,
            account: self.account.facts(),
            duration: self.duration,
        }
    }
}

/// Ada, being in `ids`, asks for an hour.
pub(crate) fn question(ids: &[&str], account: Account, entitlement: &str) -> Question {
    Question {
        requester: person("ada"),
        groups: groups(ids),
        target: Target::parse(account.id.as_str(), entitlement).unwrap(),
        account,
        duration: hours(1),
    }
}

pub(crate) fn ids(matches: &[policy::Match]) -> Vec<&str> {
    matches.iter().map(|found| found.rule.as_str()).collect()
}

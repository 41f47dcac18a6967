//! Policies ↔ the messages of the policy service.
//!
//! What is read has passed the constraints of the proto; what those cannot say is told here, every problem at once, each with
//! the path of its field.

use crate::wire;
use ::api::approval::v1 as api;
use ::api::approval::v1::PlanSource as Source;
use ::api::types::v1 as types;
use domain::{InlinePolicy, Invalid, SessionScope, SignedDuration};
use policy::{
    ApprovalPolicy, OuScope, PlanSource, Policy, Requesters, RoleSelector, Rule, Settings, Targets,
};
use std::collections::{BTreeMap, BTreeSet};

/// A policy, as the API has it.
pub fn write(policy: &Policy) -> api::Policy {
    api::Policy {
        rules: policy.rules.iter().map(rule).collect(),
        approval_policies: policy.approval_policies.iter().map(approval_policy).collect(),
        settings: Some(settings(&policy.settings)),
    }
}

fn rule(rule: &Rule) -> api::Rule {
    let (source, plan) = match &rule.plan {
        PlanSource::None => (Source::None, None),
        PlanSource::Steps(plan) => (Source::Steps, Some(wire::plan(plan))),
        PlanSource::ByApprovalPolicies => (Source::ApprovalPolicies, None),
    };
    api::Rule {
        id: rule.id.to_string(),
        description: rule.description.clone(),
        requester_people: rule.requesters.people.iter().map(wire::person).collect(),
        requester_groups: rule.requesters.groups.iter().map(wire::group).collect(),
        targets: Some(targets(&rule.targets)),
        duration_max: Some(wire::duration(rule.duration_max)),
        provider: wire::provider(rule.provider).into(),
        credential_duration_max: rule.credential_duration_max.map(wire::duration),
        plan_source: source.into(),
        plan,
        session_policy: rule.session.inline.as_ref().map(ToString::to_string).unwrap_or_default(),
        session_policy_arns: rule.session.managed.iter().map(ToString::to_string).collect(),
        allow_chaining: rule.session.allow_chaining,
    }
}

fn targets(targets: &Targets) -> api::Targets {
    let tags = targets
        .account_tags
        .iter()
        .map(|(key, values)| api::TagSelector { key: key.clone(), values: values.iter().cloned().collect() });
    api::Targets {
        all_accounts: targets.all_accounts,
        account_ids: targets.accounts.iter().map(ToString::to_string).collect(),
        ous: targets.ous.iter().map(ou).collect(),
        account_tags: tags.collect(),
        permission_set_arns: targets.permission_sets.iter().map(ToString::to_string).collect(),
        roles: targets.roles.iter().map(ToString::to_string).collect(),
    }
}

fn ou(scope: &OuScope) -> api::OuScope {
    api::OuScope { ou_id: scope.ou.to_string(), direct: scope.direct }
}

fn approval_policy(policy: &ApprovalPolicy) -> api::ApprovalPolicy {
    api::ApprovalPolicy {
        id: policy.id.to_string(),
        account_ids: policy.accounts.iter().map(ToString::to_string).collect(),
        ous: policy.ous.iter().map(ou).collect(),
        plan: Some(wire::plan(&policy.plan)),
    }
}

fn settings(settings: &Settings) -> api::Settings {
    api::Settings {
        decide_within: Some(wire::duration(settings.decide_within)),
        start_horizon: Some(wire::duration(settings.start_horizon)),
        duration_min: Some(wire::duration(settings.duration_min)),
        chain_duration_max: Some(wire::duration(settings.chain_duration_max)),
        second_administrator: Some(settings.second_administrator),
        group_age_max: Some(wire::duration(settings.group_age_max)),
        directory_age_max: Some(wire::duration(settings.directory_age_max)),
    }
}

/// A field, by its path, and what is wrong with it.
pub type WrongField = (String, String);

/// A policy that was sent; `path` is the field that it is in. Whether it makes sense is [`Policy::check`]'s to say.
pub fn read(path: &str, policy: &api::Policy) -> Result<Policy, Vec<WrongField>> {
    let mut reading = Reading::default();
    let rules = policy.rules.iter().enumerate();
    let rules: Vec<_> =
        rules.filter_map(|(i, rule)| reading.rule(&format!("{path}.rules[{i}]"), rule)).collect();
    let approvals = policy.approval_policies.iter().enumerate();
    let approval_policies: Vec<_> = approvals
        .filter_map(|(i, approval)| {
            reading.approval_policy(&format!("{path}.approval_policies[{i}]"), approval)
        })
        .collect();
    let settings = reading.settings(&format!("{path}.settings"), policy.settings.as_ref());
    if reading.wrong.is_empty() {
        Ok(Policy { rules, approval_policies, settings }.sorted())
    } else {
        Err(reading.wrong)
    }
}

/// What was wrong so far.
#[derive(Default)]
struct Reading {
    wrong: Vec<WrongField>,
}

impl Reading {
    fn wrong(&mut self, path: String, why: &str) {
        self.wrong.push((path, why.to_owned()));
    }

    fn keep<T>(&mut self, path: &str, read: Result<T, Invalid>) -> Option<T> {
        read.map_err(|invalid| self.wrong(path.to_owned(), invalid.why)).ok()
    }

    fn all<W, T, S: FromIterator<T>>(
        &mut self,
        path: &str,
        values: &[W],
        read: impl Fn(&W) -> Result<T, Invalid>,
    ) -> S {
        let values = values.iter().enumerate();
        values.filter_map(|(i, value)| self.keep(&format!("{path}[{i}]"), read(value))).collect()
    }

    fn rule(&mut self, path: &str, rule: &api::Rule) -> Option<Rule> {
        let at = |field: &str| format!("{path}.{field}");
        let id = self.keep(&at("id"), rule.id.parse());
        let people = self.all(&at("requester_people"), &rule.requester_people, wire::read_person);
        let groups = self.all(&at("requester_groups"), &rule.requester_groups, wire::read_group);
        let targets = self.targets(&at("targets"), rule.targets.as_ref());
        let duration_max = rule.duration_max.unwrap_or_default();
        let duration_max = self.keep(&at("duration_max"), wire::read_duration(&duration_max));
        let provider = self.keep(&at("provider"), wire::read_provider(rule.provider));
        let credential = rule.credential_duration_max.as_ref().map(wire::read_duration).transpose();
        let credential_duration_max = self.keep(&at("credential_duration_max"), credential);
        let session = self.session(path, rule);
        let plan = self.plan_source(path, rule);
        Some(Rule {
            id: id?,
            description: rule.description.clone(),
            requesters: Requesters { people, groups },
            targets,
            duration_max: duration_max?,
            provider: provider?,
            credential_duration_max: credential_duration_max?,
            session: session?,
            plan: plan?,
        })
    }

    fn session(&mut self, path: &str, rule: &api::Rule) -> Option<SessionScope> {
        let arns = &rule.session_policy_arns;
        let managed = self.all(&format!("{path}.session_policy_arns"), arns, |text| text.parse());
        let inline = match rule.session_policy.as_str() {
            "" => None,
            text => match text.parse::<InlinePolicy>() {
                Ok(inline) => Some(inline),
                Err(not_a_policy) => {
                    self.wrong(format!("{path}.session_policy"), &not_a_policy.to_string());
                    return None;
                }
            },
        };
        Some(SessionScope { inline, managed, allow_chaining: rule.allow_chaining })
    }

    fn plan_source(&mut self, path: &str, rule: &api::Rule) -> Option<PlanSource> {
        let at = format!("{path}.plan");
        let source = match Source::try_from(rule.plan_source) {
            Ok(Source::Steps) => {
                let plan = self.plan(&at, rule.plan.as_ref())?;
                return Some(PlanSource::Steps(plan));
            }
            Ok(Source::None) => PlanSource::None,
            Ok(Source::ApprovalPolicies) => PlanSource::ByApprovalPolicies,
            Ok(Source::Unspecified) | Err(_) => {
                self.wrong(format!("{path}.plan_source"), "must be a source that Daypass knows");
                return None;
            }
        };
        if rule.plan.as_ref().is_some_and(|plan| !plan.steps.is_empty()) {
            self.wrong(at, "is for PLAN_SOURCE_STEPS alone");
            return None;
        }
        Some(source)
    }

    fn plan(&mut self, path: &str, plan: Option<&types::Plan>) -> Option<domain::Plan> {
        let Some(plan) = plan else {
            self.wrong(path.to_owned(), "must be set");
            return None;
        };
        let read = wire::read_plan(plan);
        self.keep(path, read)
    }

    fn targets(&mut self, path: &str, targets: Option<&api::Targets>) -> Targets {
        let Some(targets) = targets else {
            self.wrong(path.to_owned(), "must be set");
            return Targets::default();
        };
        let at = |field: &str| format!("{path}.{field}");
        Targets {
            all_accounts: targets.all_accounts,
            accounts: self.all(&at("account_ids"), &targets.account_ids, |text| text.parse()),
            ous: self.ous(&at("ous"), &targets.ous),
            account_tags: self.tags(&at("account_tags"), &targets.account_tags),
            permission_sets: self
                .all(&at("permission_set_arns"), &targets.permission_set_arns, |text| text.parse()),
            roles: self.all(&at("roles"), &targets.roles, |text| text.parse::<RoleSelector>()),
        }
    }

    fn ous(&mut self, path: &str, scopes: &[api::OuScope]) -> BTreeSet<OuScope> {
        let scopes = scopes.iter().enumerate();
        let read = scopes.filter_map(|(i, scope)| {
            let ou = self.keep(&format!("{path}[{i}].ou_id"), scope.ou_id.parse())?;
            Some(OuScope { ou, direct: scope.direct })
        });
        read.collect()
    }

    fn tags(&mut self, path: &str, selectors: &[api::TagSelector]) -> BTreeMap<String, BTreeSet<String>> {
        let mut tags = BTreeMap::new();
        for (i, selector) in selectors.iter().enumerate() {
            if tags.insert(selector.key.clone(), selector.values.iter().cloned().collect()).is_some() {
                self.wrong(format!("{path}[{i}].key"), "is used more than once");
            }
        }
        tags
    }

    fn approval_policy(&mut self, path: &str, policy: &api::ApprovalPolicy) -> Option<ApprovalPolicy> {
        let at = |field: &str| format!("{path}.{field}");
        let id = self.keep(&at("id"), policy.id.parse());
        let accounts = self.all(&at("account_ids"), &policy.account_ids, |text| text.parse());
        let ous = self.ous(&at("ous"), &policy.ous);
        let plan = self.plan(&at("plan"), policy.plan.as_ref());
        Some(ApprovalPolicy { id: id?, accounts, ous, plan: plan? })
    }

    fn settings(&mut self, path: &str, settings: Option<&api::Settings>) -> Settings {
        let default = Settings::default();
        let Some(settings) = settings else { return default };
        let mut duration = |field: &str, value: Option<&prost_types::Duration>, default: SignedDuration| {
            value
                .and_then(|value| self.keep(&format!("{path}.{field}"), wire::read_duration(value)))
                .unwrap_or(default)
        };
        Settings {
            decide_within: duration("decide_within", settings.decide_within.as_ref(), default.decide_within),
            start_horizon: duration("start_horizon", settings.start_horizon.as_ref(), default.start_horizon),
            duration_min: duration("duration_min", settings.duration_min.as_ref(), default.duration_min),
            chain_duration_max: duration(
                "chain_duration_max",
                settings.chain_duration_max.as_ref(),
                default.chain_duration_max,
            ),
            second_administrator: settings.second_administrator.unwrap_or(default.second_administrator),
            group_age_max: duration("group_age_max", settings.group_age_max.as_ref(), default.group_age_max),
            directory_age_max: duration(
                "directory_age_max",
                settings.directory_age_max.as_ref(),
                default.directory_age_max,
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
[settings]
decide_within = "12h"
second_administrator = false

[[rules]]
id = "payments-deploy"
description = "deployers of payments"
duration_max = "8h"
provider = "sts"
credential_duration_max = "30m"
session_policy = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}'
session_policy_arns = ["arn:aws:iam::aws:policy/ReadOnlyAccess"]
allow_chaining = true
plan = "by_approval_policies"
requesters = { groups = ["corp:payments-engineers"], people = [{ issuer = "https://idp.example", subject = "ada" }] }
targets = { ous = ["ou-ab12-payments1", { ou = "ou-ab12-shared12", direct = true }], account_tags = { stage = ["prod", "test"] }, roles = ["Deployer", "arn:aws:iam::111122223333:role/Other"] }

[[rules]]
id = "read-everything"
duration_max = "1h"
provider = "identity_center"
plan = [{ count = 2, groups = ["corp:leads"] }, { count = 1, groups = ["corp:security"] }]
requesters = { groups = ["corp:engineers"] }
targets = { all_accounts = true, permission_sets = ["arn:aws:sso:::permissionSet/ssoins-1234/ps-5678"] }

[[rules]]
id = "sandbox"
duration_max = "4h"
provider = "sts"
plan = "none"
requesters = { groups = ["corp:engineers"] }
targets = { accounts = ["111122223333"], roles = ["Sandbox"] }

[[approval_policies]]
id = "all-of-payments"
accounts = ["111122223333"]
ous = ["ou-ab12-payments1"]
steps = [{ count = 1, groups = ["corp:payments-leads"] }]
"#;

    #[test]
    fn a_policy_survives_the_way_to_the_service_and_back() {
        let policy = Policy::from_toml(FILE).unwrap();
        assert_eq!(read("policy", &write(&policy)), Ok(policy));
    }

    #[test]
    fn a_session_policy_that_is_none_is_told_by_its_field() {
        let mut message = write(&Policy::from_toml(FILE).unwrap());
        message.rules[0].session_policy =
            r#"{"Version":"2012-10-17","Statement":{"Principal":"*"}}"#.to_owned();
        message.rules[0].session_policy_arns = vec!["arn:aws:iam::aws:role/x".to_owned()];
        let wrong = read("policy", &message).unwrap_err();
        let fields: Vec<&str> = wrong.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(fields, ["policy.rules[0].session_policy_arns[0]", "policy.rules[0].session_policy"]);
        assert!(wrong[1].1.contains("Principal"), "{wrong:?}");
    }

    #[test]
    fn settings_that_are_not_sent_are_the_defaults() {
        assert_eq!(read("policy", &api::Policy::default()), Ok(Policy::default()));
    }

    #[test]
    fn a_kind_of_plan_from_the_future_is_not_taken_for_another() {
        let mut message = write(&Policy::from_toml(FILE).unwrap());
        message.rules[0].plan_source = 99;
        let wrong = read("policy", &message).unwrap_err();
        assert_eq!(wrong[0].0, "policy.rules[0].plan_source");
    }
}

//! Policies ↔ the messages of the policy service.

use api::approval::v1 as wire;
use domain::{Invalid, SignedDuration};
use policy::{ApprovalPolicy, OuScope, PlanSource, Policy, Requesters, Rule, Settings, Targets};
use std::collections::BTreeSet;
use std::str::FromStr;
use views::wire as values;

/// As the service takes it.
pub(crate) fn write(policy: &Policy) -> wire::Policy {
    wire::Policy {
        rules: policy.rules.iter().map(write_rule).collect(),
        approval_policies: policy.approval_policies.iter().map(write_approval_policy).collect(),
        settings: Some(write_settings(&policy.settings)),
    }
}

fn write_rule(rule: &Rule) -> wire::Rule {
    let (plan_source, plan) = match &rule.plan {
        PlanSource::None => (wire::PlanSource::None, None),
        PlanSource::Steps(plan) => (wire::PlanSource::Steps, Some(values::plan(plan))),
        PlanSource::ByApprovalPolicies => (wire::PlanSource::ApprovalPolicies, None),
    };
    wire::Rule {
        id: rule.id.to_string(),
        description: rule.description.clone(),
        requester_people: rule.requesters.people.iter().map(values::person).collect(),
        requester_groups: rule.requesters.groups.iter().map(values::group).collect(),
        targets: Some(write_targets(&rule.targets)),
        duration_max: Some(values::duration(rule.duration_max)),
        provider: values::provider(rule.provider).into(),
        credential_duration_max: rule.credential_duration_max.map(values::duration),
        plan_source: plan_source.into(),
        plan,
    }
}

fn write_targets(targets: &Targets) -> wire::Targets {
    let tags = targets.account_tags.iter().map(|(key, accepted)| wire::TagSelector {
        key: key.clone(),
        values: accepted.iter().cloned().collect(),
    });
    wire::Targets {
        all_accounts: targets.all_accounts,
        account_ids: texts(&targets.accounts),
        ous: write_ous(&targets.ous),
        account_tags: tags.collect(),
        permission_set_arns: texts(&targets.permission_sets),
        roles: texts(&targets.roles),
    }
}

fn write_ous(ous: &BTreeSet<OuScope>) -> Vec<wire::OuScope> {
    ous.iter().map(|scope| wire::OuScope { ou_id: scope.ou.to_string(), direct: scope.direct }).collect()
}

fn write_approval_policy(policy: &ApprovalPolicy) -> wire::ApprovalPolicy {
    wire::ApprovalPolicy {
        id: policy.id.to_string(),
        account_ids: texts(&policy.accounts),
        ous: write_ous(&policy.ous),
        plan: Some(values::plan(&policy.plan)),
    }
}

fn write_settings(settings: &Settings) -> wire::Settings {
    wire::Settings {
        decide_within: Some(values::duration(settings.decide_within)),
        start_horizon: Some(values::duration(settings.start_horizon)),
        duration_min: Some(values::duration(settings.duration_min)),
        chain_duration_max: Some(values::duration(settings.chain_duration_max)),
        second_administrator: Some(settings.second_administrator),
        group_age_max: Some(values::duration(settings.group_age_max)),
        directory_age_max: Some(values::duration(settings.directory_age_max)),
    }
}

fn texts<T: ToString>(items: &BTreeSet<T>) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

/// As the service gives it.
pub(crate) fn read(policy: &wire::Policy) -> Result<Policy, Invalid> {
    let approval_policies = policy.approval_policies.iter().map(read_approval_policy);
    Ok(Policy {
        rules: policy.rules.iter().map(read_rule).collect::<Result<_, _>>()?,
        approval_policies: approval_policies.collect::<Result<_, _>>()?,
        settings: policy.settings.as_ref().map_or_else(|| Ok(Settings::default()), read_settings)?,
    }
    .sorted())
}

fn read_rule(rule: &wire::Rule) -> Result<Rule, Invalid> {
    let plan = match rule.plan_source() {
        wire::PlanSource::None => PlanSource::None,
        wire::PlanSource::Steps => {
            PlanSource::Steps(values::read_plan(&rule.plan.clone().unwrap_or_default())?)
        }
        wire::PlanSource::ApprovalPolicies => PlanSource::ByApprovalPolicies,
        wire::PlanSource::Unspecified => {
            return Err(Invalid::new("plan source", "must be one that this program knows"));
        }
    };
    let people = rule.requester_people.iter().map(values::read_person);
    let groups = rule.requester_groups.iter().map(values::read_group);
    Ok(Rule {
        id: rule.id.parse()?,
        description: rule.description.clone(),
        requesters: Requesters {
            people: people.collect::<Result<_, _>>()?,
            groups: groups.collect::<Result<_, _>>()?,
        },
        targets: read_targets(&rule.targets.clone().unwrap_or_default())?,
        duration_max: values::read_duration(&rule.duration_max.unwrap_or_default())?,
        provider: values::read_provider(rule.provider)?,
        credential_duration_max: rule
            .credential_duration_max
            .as_ref()
            .map(values::read_duration)
            .transpose()?,
        plan,
    })
}

fn read_targets(targets: &wire::Targets) -> Result<Targets, Invalid> {
    let tags = targets.account_tags.iter();
    Ok(Targets {
        all_accounts: targets.all_accounts,
        accounts: parsed(&targets.account_ids)?,
        ous: read_ous(&targets.ous)?,
        account_tags: tags.map(|tag| (tag.key.clone(), tag.values.iter().cloned().collect())).collect(),
        permission_sets: parsed(&targets.permission_set_arns)?,
        roles: parsed(&targets.roles)?,
    })
}

fn read_ous(ous: &[wire::OuScope]) -> Result<BTreeSet<OuScope>, Invalid> {
    ous.iter().map(|scope| Ok(OuScope { ou: scope.ou_id.parse()?, direct: scope.direct })).collect()
}

fn read_approval_policy(policy: &wire::ApprovalPolicy) -> Result<ApprovalPolicy, Invalid> {
    Ok(ApprovalPolicy {
        id: policy.id.parse()?,
        accounts: parsed(&policy.account_ids)?,
        ous: read_ous(&policy.ous)?,
        plan: values::read_plan(&policy.plan.clone().unwrap_or_default())?,
    })
}

fn read_settings(settings: &wire::Settings) -> Result<Settings, Invalid> {
    let default = Settings::default();
    let or = |length: &Option<prost_types::Duration>, default: SignedDuration| {
        length.as_ref().map_or(Ok(default), values::read_duration)
    };
    Ok(Settings {
        decide_within: or(&settings.decide_within, default.decide_within)?,
        start_horizon: or(&settings.start_horizon, default.start_horizon)?,
        duration_min: or(&settings.duration_min, default.duration_min)?,
        chain_duration_max: or(&settings.chain_duration_max, default.chain_duration_max)?,
        second_administrator: settings.second_administrator.unwrap_or(default.second_administrator),
        group_age_max: or(&settings.group_age_max, default.group_age_max)?,
        directory_age_max: or(&settings.directory_age_max, default.directory_age_max)?,
    })
}

fn parsed<T: FromStr<Err = Invalid> + Ord>(texts: &[String]) -> Result<BTreeSet<T>, Invalid> {
    texts.iter().map(|text| text.parse()).collect()
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
        assert_eq!(read(&write(&policy)), Ok(policy));
    }

    #[test]
    fn settings_that_are_not_sent_are_the_defaults() {
        assert_eq!(read(&wire::Policy::default()), Ok(Policy::default()));
    }

    #[test]
    fn a_kind_of_plan_from_the_future_is_not_taken_for_another() {
        let mut message = write(&Policy::from_toml(FILE).unwrap());
        message.rules[0].plan_source = 99;
        assert!(read(&message).is_err());
    }
}

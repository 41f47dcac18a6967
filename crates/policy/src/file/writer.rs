//! Writes a policy as a person would: one block for each rule, nothing that says nothing.

use super::{PLAN_BY_APPROVAL_POLICIES, PLAN_NONE};
use crate::duration;
use crate::model::{ApprovalPolicy, OuScope, PlanSource, Policy, Rule, Settings};
use domain::{Person, Plan, Provider, SessionScope};
use std::collections::BTreeSet;
use std::fmt::{Display, Write as _};
use toml::{Table, Value};

pub(super) fn write(policy: &Policy) -> String {
    let mut text = String::new();
    block(&mut text, "[settings]", &settings(&policy.settings));
    for rule in &policy.rules {
        write_rule(&mut text, rule);
    }
    for approval in &policy.approval_policies {
        block(&mut text, "[[approval_policies]]", &approval_policy(approval));
    }
    text
}

type Lines = Vec<(String, Value)>;

/// One header and its keys. Values are written inline, so that nothing can land under another header.
fn block(text: &mut String, header: &str, lines: &Lines) {
    if !text.is_empty() {
        text.push('\n');
    }
    let _ = writeln!(text, "{header}");
    for (key, value) in lines {
        let _ = writeln!(text, "{key} = {value}");
    }
}

fn settings(settings: &Settings) -> Lines {
    let age = |value| Value::String(duration::format(value));
    vec![
        ("decide_within".into(), age(settings.decide_within)),
        ("start_horizon".into(), age(settings.start_horizon)),
        ("duration_min".into(), age(settings.duration_min)),
        ("chain_duration_max".into(), age(settings.chain_duration_max)),
        ("second_administrator".into(), settings.second_administrator.into()),
        ("group_age_max".into(), age(settings.group_age_max)),
        ("directory_age_max".into(), age(settings.directory_age_max)),
    ]
}

fn write_rule(text: &mut String, rule: &Rule) {
    let mut lines: Lines = vec![("id".into(), rule.id.as_str().into())];
    if !rule.description.is_empty() {
        lines.push(("description".into(), rule.description.as_str().into()));
    }
    lines.push(("duration_max".into(), duration::format(rule.duration_max).into()));
    lines.push(("provider".into(), provider(rule.provider).into()));
    if let Some(life) = rule.credential_duration_max {
        lines.push(("credential_duration_max".into(), duration::format(life).into()));
    }
    push_session(&mut lines, &rule.session);
    let plan = match &rule.plan {
        PlanSource::None => PLAN_NONE.into(),
        PlanSource::ByApprovalPolicies => PLAN_BY_APPROVAL_POLICIES.into(),
        PlanSource::Steps(plan) => steps(plan),
    };
    lines.push(("plan".into(), plan));
    block(text, "[[rules]]", &lines);

    let mut requesters = Lines::new();
    push(&mut requesters, "people", people(&rule.requesters.people));
    push(&mut requesters, "groups", texts(&rule.requesters.groups));
    block(text, "[rules.requesters]", &requesters);

    let mut targets = Lines::new();
    if rule.targets.all_accounts {
        targets.push(("all_accounts".into(), true.into()));
    }
    push(&mut targets, "accounts", texts(&rule.targets.accounts));
    push(&mut targets, "ous", ous(&rule.targets.ous));
    push(&mut targets, "permission_sets", texts(&rule.targets.permission_sets));
    push(&mut targets, "roles", texts(&rule.targets.roles));
    if !rule.targets.account_tags.is_empty() {
        let tags = rule.targets.account_tags.iter();
        let tags: Table = tags.map(|(key, values)| (key.clone(), texts(values).into())).collect();
        targets.push(("account_tags".into(), tags.into()));
    }
    block(text, "[rules.targets]", &targets);
}

fn push_session(lines: &mut Lines, session: &SessionScope) {
    if let Some(inline) = &session.inline {
        lines.push(("session_policy".into(), inline.to_string().into()));
    }
    push(lines, "session_policy_arns", texts(&session.managed));
    if session.allow_chaining {
        lines.push(("allow_chaining".into(), true.into()));
    }
}

fn approval_policy(policy: &ApprovalPolicy) -> Lines {
    let mut lines: Lines = vec![("id".into(), policy.id.as_str().into())];
    push(&mut lines, "accounts", texts(&policy.accounts));
    push(&mut lines, "ous", ous(&policy.ous));
    lines.push(("steps".into(), steps(&policy.plan)));
    lines
}

fn push(lines: &mut Lines, key: &str, values: Vec<Value>) {
    if !values.is_empty() {
        lines.push((key.into(), values.into()));
    }
}

fn texts<T: Display>(values: &BTreeSet<T>) -> Vec<Value> {
    values.iter().map(|value| Value::String(value.to_string())).collect()
}

fn people(people: &BTreeSet<Person>) -> Vec<Value> {
    let entry = |person: &Person| {
        let issuer = ("issuer".to_owned(), Value::from(person.issuer.as_str()));
        let subject = ("subject".to_owned(), Value::from(person.subject.as_str()));
        Value::Table(Table::from_iter([issuer, subject]))
    };
    people.iter().map(entry).collect()
}

fn ous(scopes: &BTreeSet<OuScope>) -> Vec<Value> {
    let entry = |scope: &OuScope| {
        let ou = Value::from(scope.ou.as_str());
        if scope.direct {
            Value::Table(Table::from_iter([("ou".to_owned(), ou), ("direct".to_owned(), true.into())]))
        } else {
            ou
        }
    };
    scopes.iter().map(entry).collect()
}

fn steps(plan: &Plan) -> Value {
    let entry = |step: &domain::Step| {
        let mut table = Table::from_iter([("count".to_owned(), Value::from(i64::from(step.count)))]);
        for (key, values) in [("groups", texts(&step.groups)), ("people", people(&step.people))] {
            if !values.is_empty() {
                table.insert(key.to_owned(), values.into());
            }
        }
        Value::Table(table)
    };
    Value::Array(plan.steps.iter().map(entry).collect())
}

fn provider(provider: Provider) -> &'static str {
    match provider {
        Provider::IdentityCenter => "identity_center",
        Provider::Sts => "sts",
        Provider::AccountAccess => "account_access",
    }
}

//! Policy files: TOML to [`Policy`] and back. `tests/policy/files.rs` has a file that uses every key; a small one is
//!
//! ```
//! let policy = policy::Policy::from_toml(r#"
//! [[rules]]
//! id = "payments-deploy"
//! duration_max = "8h"
//! provider = "sts"                      # or "identity_center", "account_access"
//! plan = "by_approval_policies"         # or "none", or steps as below
//! requesters = { groups = ["corp:payments-engineers"] }
//! targets = { ous = ["ou-ab12-payments"], roles = ["Deployer"] }
//!
//! [[approval_policies]]
//! id = "all-of-payments"
//! ous = ["ou-ab12-payments"]
//! steps = [{ count = 1, groups = ["corp:payments-leads"] }]
//! "#);
//! assert!(policy.is_ok());
//! ```
//!
//! INVARIANT: an unknown key is a problem, never ignored: a misspelled restriction must not vanish. All problems of a
//! file are told at once.

use crate::check::Problem;
use crate::model::{
    ApprovalPolicy, OuScope, PlanSource, Policy, Requesters, RoleSelector, Rule, Settings, Targets,
};
use domain::{GroupRef, Person, Plan, Provider, SessionScope, Step};
use reader::Reader;
use std::collections::{BTreeMap, BTreeSet};
use toml::{Table, Value};

mod reader;
mod writer;

/// Bytes of a policy file.
pub const FILE_MAX: usize = 4 * 1024 * 1024;
const PLAN_NONE: &str = "none";
const PLAN_BY_APPROVAL_POLICIES: &str = "by_approval_policies";

impl Policy {
    /// Reads a policy file, and [checks](Policy::check) what it says. Errors name everything that is wrong.
    pub fn from_toml(text: &str) -> Result<Self, Vec<Problem>> {
        if text.len() > FILE_MAX {
            return Err(vec![Problem::new("file", "must be at most 4 MiB")]);
        }
        let table: Table = text.parse().map_err(|error: toml::de::Error| vec![syntax(text, &error)])?;
        let mut problems = Vec::new();
        let policy = read_policy(table, &mut problems).sorted();
        problems.extend(policy.check().err().unwrap_or_default());
        if problems.is_empty() { Ok(policy) } else { Err(problems) }
    }

    /// Writes this policy as [`Policy::from_toml`] reads it. The same policy always gives the same text.
    pub fn to_toml(&self) -> String {
        writer::write(&self.clone().sorted())
    }

    /// A digest of what this policy says, for naming it where it has no file.
    pub fn digest(&self) -> [u8; 32] {
        domain::canonical_digest([b"policy".as_slice(), self.to_toml().as_bytes()])
    }
}

fn syntax(text: &str, error: &toml::de::Error) -> Problem {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    Problem::new(format!("line {line}"), error.message())
}

fn read_policy(table: Table, problems: &mut Vec<Problem>) -> Policy {
    let mut file = Reader::new("", table, problems);
    let settings = file.table("settings").map(read_settings).unwrap_or_default();
    let rules = file
        .tables("rules")
        .into_iter()
        .filter_map(|(path, table)| complete(&mut file, &path, table, read_rule));
    let rules: Vec<Rule> = rules.collect();
    let approval_policies = file
        .tables("approval_policies")
        .into_iter()
        .filter_map(|(path, table)| complete(&mut file, &path, table, read_approval_policy));
    let approval_policies: Vec<ApprovalPolicy> = approval_policies.collect();
    file.finish();
    Policy { rules, approval_policies, settings }
}

/// What `read` makes of `table`, if it found nothing wrong: half of a rule would only bring problems that are none.
fn complete<T>(
    file: &mut Reader<'_>,
    path: &str,
    table: Table,
    read: fn(Reader<'_>) -> Option<T>,
) -> Option<T> {
    let before = file.problems.len();
    let item = read(Reader::new(path, table, file.problems));
    item.filter(|_| file.problems.len() == before)
}

fn read_settings(mut table: Reader<'_>) -> Settings {
    let default = Settings::default();
    let settings = Settings {
        decide_within: table.duration("decide_within").unwrap_or(default.decide_within),
        start_horizon: table.duration("start_horizon").unwrap_or(default.start_horizon),
        duration_min: table.duration("duration_min").unwrap_or(default.duration_min),
        chain_duration_max: table.duration("chain_duration_max").unwrap_or(default.chain_duration_max),
        second_administrator: table.flag("second_administrator").unwrap_or(default.second_administrator),
        group_age_max: table.duration("group_age_max").unwrap_or(default.group_age_max),
        directory_age_max: table.duration("directory_age_max").unwrap_or(default.directory_age_max),
    };
    table.finish();
    settings
}

fn read_rule(mut table: Reader<'_>) -> Option<Rule> {
    let id = table.parsed("id");
    let description = table.text("description").unwrap_or_default();
    let requesters = table.table("requesters").map(read_requesters).unwrap_or_default();
    let targets = table.table("targets").map(read_targets).unwrap_or_default();
    let duration_max = table.required("duration_max", Reader::duration);
    let provider = table.required("provider", read_provider);
    let credential_duration_max = table.duration("credential_duration_max");
    let session = read_session(&mut table);
    let plan = table.required("plan", read_plan_source);
    table.finish();
    Some(Rule {
        id: id?,
        description,
        requesters,
        targets,
        duration_max: duration_max?,
        provider: provider?,
        credential_duration_max,
        session,
        plan: plan?,
    })
}

fn read_session(table: &mut Reader<'_>) -> SessionScope {
    SessionScope {
        inline: table.optional("session_policy"),
        managed: table.parsed_set("session_policy_arns"),
        allow_chaining: table.flag("allow_chaining").unwrap_or_default(),
    }
}

fn read_requesters(mut table: Reader<'_>) -> Requesters {
    let requesters =
        Requesters { people: read_people(&mut table), groups: table.parsed_set::<GroupRef>("groups") };
    table.finish();
    requesters
}

fn read_targets(mut table: Reader<'_>) -> Targets {
    let targets = Targets {
        all_accounts: table.flag("all_accounts").unwrap_or_default(),
        accounts: table.parsed_set("accounts"),
        ous: read_ous(&mut table),
        account_tags: table.table("account_tags").map(read_tags).unwrap_or_default(),
        permission_sets: table.parsed_set("permission_sets"),
        roles: table.parsed_set::<RoleSelector>("roles"),
    };
    table.finish();
    targets
}

fn read_tags(mut table: Reader<'_>) -> BTreeMap<String, BTreeSet<String>> {
    table
        .keys()
        .into_iter()
        .map(|key| {
            let values = table.parsed_set::<String>(&key);
            (key, values)
        })
        .collect()
}

fn read_ous(table: &mut Reader<'_>) -> BTreeSet<OuScope> {
    table
        .list("ous")
        .into_iter()
        .filter_map(|(path, value)| {
            if let Value::Table(inner) = value {
                let mut inner = Reader::new(&path, inner, table.problems);
                let ou = inner.parsed("ou");
                let direct = inner.flag("direct").unwrap_or_default();
                inner.finish();
                return Some(OuScope { ou: ou?, direct });
            }
            let ou = table.parse_value(&path, &value)?;
            Some(OuScope { ou, direct: false })
        })
        .collect()
}

fn read_people(table: &mut Reader<'_>) -> BTreeSet<Person> {
    table
        .tables("people")
        .into_iter()
        .filter_map(|(path, inner)| {
            let mut inner = Reader::new(&path, inner, table.problems);
            let (issuer, subject) = (inner.parsed("issuer"), inner.parsed("subject"));
            inner.finish();
            Some(Person { issuer: issuer?, subject: subject? })
        })
        .collect()
}

fn read_provider(table: &mut Reader<'_>, key: &str) -> Option<Provider> {
    let text = table.text(key)?;
    match text.as_str() {
        "identity_center" => Some(Provider::IdentityCenter),
        "sts" => Some(Provider::Sts),
        "account_access" => Some(Provider::AccountAccess),
        _ => {
            table.problem(key, "must be identity_center, sts or account_access");
            None
        }
    }
}

fn read_plan_source(table: &mut Reader<'_>, key: &str) -> Option<PlanSource> {
    match table.peek(key) {
        Some(Value::Array(_)) => Some(PlanSource::Steps(read_plan(table, key))),
        Some(Value::String(text)) if text == PLAN_NONE => table.take(key).map(|_| PlanSource::None),
        Some(Value::String(text)) if text == PLAN_BY_APPROVAL_POLICIES => {
            table.take(key).map(|_| PlanSource::ByApprovalPolicies)
        }
        _ => {
            table.take(key)?;
            table.problem(key, "must be \"none\", \"by_approval_policies\" or a list of steps");
            None
        }
    }
}

fn read_plan(table: &mut Reader<'_>, key: &str) -> Plan {
    let steps = table.tables(key).into_iter().map(|(path, inner)| {
        let mut inner = Reader::new(&path, inner, table.problems);
        let step = Step {
            count: inner.count("count"),
            groups: inner.parsed_set("groups"),
            people: read_people(&mut inner),
        };
        inner.finish();
        step
    });
    Plan { steps: steps.collect() }
}

fn read_approval_policy(mut table: Reader<'_>) -> Option<ApprovalPolicy> {
    let id = table.parsed("id");
    let accounts = table.parsed_set("accounts");
    let ous = read_ous(&mut table);
    let plan = table.required("steps", |table, key| Some(read_plan(table, key)));
    table.finish();
    Some(ApprovalPolicy { id: id?, accounts, ous, plan: plan? })
}

//! What a rule cuts its sessions down to is checked before it counts.

use crate::world::rule;
use domain::{AccountId, InlinePolicy, Provider, SESSION_POLICY_MAX, SessionScope};
use policy::{Compiled, Policy, Rule, Targets};

const NAMED: &str = "arn:aws:iam::111111111111:role/Deployer";

fn allowing(resource: &str) -> InlinePolicy {
    let statement = format!(r#"{{"Effect":"Allow","Action":"s3:GetObject","Resource":"{resource}"}}"#);
    format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#).parse().unwrap()
}

fn scope(inline: Option<InlinePolicy>, managed: &[&str]) -> SessionScope {
    let managed = managed.iter().map(|arn| arn.parse().unwrap()).collect();
    SessionScope { inline, managed, allow_chaining: false }
}

/// A rule for `Deployer` in every account, or in those that are listed.
fn with(session: SessionScope, roles: &[&str], accounts: &[&str]) -> Rule {
    Rule {
        provider: Provider::Sts,
        session,
        targets: Targets {
            all_accounts: accounts.is_empty(),
            accounts: accounts.iter().map(|account| AccountId::new(*account).unwrap()).collect(),
            roles: roles.iter().map(|role| role.parse().unwrap()).collect(),
            ..Targets::default()
        },
        ..rule("r")
    }
}

fn problems(rule: Rule) -> Vec<String> {
    let policy = Policy { rules: vec![rule], ..Policy::default() };
    policy.check().err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

fn only_problem(rule: Rule, field: &str) -> String {
    let mut found = problems(rule);
    let problem = found.pop().unwrap_or_default();
    assert!(found.is_empty() && problem.starts_with(&format!("rules[r].{field}: ")), "{found:#?} {problem}");
    problem
}

#[test]
fn sessions_are_a_matter_of_sts() {
    let session = SessionScope {
        allow_chaining: true,
        ..scope(Some(allowing("*")), &["arn:aws:iam::aws:policy/ReadOnlyAccess"])
    };
    let found = problems(Rule { session, ..rule("r") });
    for field in ["session_policy", "session_policy_arns", "allow_chaining"] {
        let problem = format!("rules[r].{field}: is for the provider sts alone");
        assert!(found.contains(&problem), "{found:#?}");
    }
}

#[test]
fn the_longest_policy_that_sts_takes_is_taken_and_one_character_more_is_not() {
    let fixed = scope(Some(allowing("arn:aws:s3:::")), &[]).characters();
    let longest = format!("arn:aws:s3:::{}", "a".repeat(SESSION_POLICY_MAX - fixed));
    assert_eq!(scope(Some(allowing(&longest)), &[]).characters(), SESSION_POLICY_MAX);
    assert_eq!(
        problems(with(scope(Some(allowing(&longest)), &[]), &["Deployer"], &[])),
        Vec::<String>::new()
    );
    let longer = scope(Some(allowing(&format!("{longest}a"))), &[]);
    assert!(only_problem(with(longer, &["Deployer"], &[]), "session_policy").contains("2049 characters"));
    let with_arn = scope(Some(allowing(&longest)), &["arn:aws:iam::aws:policy/ReadOnlyAccess"]);
    only_problem(with(with_arn, &["Deployer"], &[]), "session_policy");
}

/// Whoever was told no chaining gets sessions that are denied it, which AWS then refused as too long.
#[test]
fn a_rule_that_allows_chaining_leaves_room_for_the_deny_of_chaining() {
    let chaining = |inline: &str| SessionScope { allow_chaining: true, ..scope(Some(allowing(inline)), &[]) };
    let fixed = scope(Some(allowing("arn:aws:s3:::")), &[]).characters();
    let longest = format!("arn:aws:s3:::{}", "a".repeat(SESSION_POLICY_MAX - fixed));
    assert_eq!(problems(with(chaining(&longest), &["Deployer"], &[])), Vec::<String>::new());
    let longer = with(chaining(&format!("{longest}a")), &["Deployer"], &[]);
    assert!(only_problem(longer.clone(), "session_policy").contains("2049 characters"));
    // One that was accepted before that was counted stays in force.
    assert!(Compiled::new(Policy { rules: vec![longer], ..Policy::default() }).is_ok());
}

#[test]
fn a_policy_that_allows_nothing_is_a_mistake() {
    let denying: InlinePolicy =
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"iam:*","Resource":"*"}}"#.parse().unwrap();
    only_problem(with(scope(Some(denying.clone()), &[]), &["Deployer"], &[]), "session_policy");
    let beside = scope(Some(denying), &["arn:aws:iam::aws:policy/PowerUserAccess"]);
    assert_eq!(problems(with(beside, &["Deployer"], &[])), Vec::<String>::new());
}

#[test]
fn ten_managed_policies_are_the_most() {
    let arns: Vec<String> = (0..11).map(|i| format!("arn:aws:iam::aws:policy/P{i}")).collect();
    let arns: Vec<&str> = arns.iter().map(String::as_str).collect();
    assert_eq!(problems(with(scope(None, &arns[..10]), &["Deployer"], &[])), Vec::<String>::new());
    only_problem(with(scope(None, &arns), &["Deployer"], &[]), "session_policy_arns");
}

#[test]
fn a_managed_policy_must_be_there_for_every_role() {
    let own = || scope(None, &["arn:aws:iam::111111111111:policy/Reports"]);
    for (roles, accounts) in [
        (&["Deployer"][..], &["111111111111"][..]),
        (&[NAMED], &["111111111111", "222222222222"]),
        (&[NAMED], &[]),
    ] {
        assert_eq!(problems(with(own(), roles, accounts)), Vec::<String>::new(), "{roles:?} {accounts:?}");
    }
    for (roles, accounts) in [
        (&["Deployer"][..], &[][..]),
        (&["Deployer"], &["111111111111", "222222222222"]),
        (&[NAMED, "Other"], &[]),
        (&["arn:aws:iam::222222222222:role/Deployer"], &[]),
    ] {
        only_problem(with(own(), roles, accounts), "session_policy_arns");
    }
}

#[test]
fn managed_policies_are_of_the_partition_of_the_roles() {
    let china = || scope(None, &["arn:aws-cn:iam::aws:policy/ReadOnlyAccess"]);
    only_problem(with(china(), &[NAMED], &[]), "session_policy_arns");
    let role = "arn:aws-cn:iam::111111111111:role/Deployer";
    assert_eq!(problems(with(china(), &[role], &[])), Vec::<String>::new());
    let both = scope(None, &["arn:aws-cn:iam::aws:policy/A", "arn:aws:iam::aws:policy/A"]);
    only_problem(with(both, &["Deployer"], &[]), "session_policy_arns");
}

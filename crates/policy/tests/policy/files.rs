//! Policy files: everything wrong is told at once, and what is written is read back.

use crate::world::{hours, rule_id};
use domain::{Provider, SignedDuration};
use policy::{PlanSource, Policy, Settings};

const FILE: &str = r#"
[settings]
decide_within = "12h"
second_administrator = false

[[rules]]
id = "payments-admin"
description = "Payments engineers on call"
duration_max = "8h"
provider = "identity_center"
plan = [
  { groups = ["idp:payments-leads"] },
  { count = 2, groups = ["idp:security"], people = [{ issuer = "https://idp.example", subject = "ada" }] },
]
[rules.requesters]
groups = ["idp:payments", "identity-store:9067-1"]
people = [{ issuer = "https://idp.example", subject = "bob" }]
[rules.targets]
accounts = ["111111111111"]
ous = ["ou-1-payments", { ou = "ou-1-shared", direct = true }]
account_tags = { env = ["prod", "stage"], "cost center" = ["42"] }
permission_sets = ["arn:aws:sso:::permissionSet/ssoins-1/ps-admin"]

[[rules]]
id = "deploy"
duration_max = "1d12h"
provider = "sts"
credential_duration_max = "15m"
session_policy = '''
{
  "Version": "2012-10-17",
  "Statement": { "Effect": "Allow", "Action": "s3:*", "Resource": "*" }
}
'''
session_policy_arns = ["arn:aws:iam::aws:policy/ReadOnlyAccess"]
allow_chaining = true
plan = "by_approval_policies"
requesters = { groups = ["idp:developers"] }
targets = { all_accounts = true, roles = ["team/Deployer", "arn:aws:iam::111111111111:role/Breaker"] }

[[approval_policies]]
id = "root"
ous = ["r-1"]
steps = [{ groups = ["idp:security"] }]
"#;

fn problems(text: &str) -> Vec<String> {
    Policy::from_toml(text).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn a_file_is_read() {
    let policy = Policy::from_toml(FILE).unwrap();
    assert_eq!(policy.settings.decide_within, hours(12));
    assert_eq!(policy.settings.start_horizon, hours(720));
    assert!(!policy.settings.second_administrator);
    let deploy = policy.rule(&rule_id("deploy")).unwrap();
    assert_eq!(deploy.duration_max, hours(36));
    assert_eq!(deploy.provider, Provider::Sts);
    assert_eq!(deploy.credential_duration(), SignedDuration::from_mins(15));
    assert!(deploy.session.inline.as_ref().unwrap().allows() && deploy.session.allow_chaining);
    assert_eq!(deploy.session.managed.len(), 1);
    assert_eq!(deploy.plan, PlanSource::ByApprovalPolicies);
    let admin = policy.rule(&rule_id("payments-admin")).unwrap();
    assert_eq!(admin.targets.ous.iter().filter(|scope| scope.direct).count(), 1);
    match &admin.plan {
        PlanSource::Steps(plan) => assert_eq!(plan.people_needed(), 3),
        PlanSource::None | PlanSource::ByApprovalPolicies => panic!("{:?}", admin.plan),
    }
}

#[test]
fn what_is_written_is_read_back() {
    let policy = Policy::from_toml(FILE).unwrap();
    let text = policy.to_toml();
    assert_eq!(Policy::from_toml(&text).as_ref(), Ok(&policy), "{text}");
    assert_eq!(Policy::from_toml(&text).unwrap().digest(), policy.digest());
}

#[test]
fn the_empty_file_is_the_empty_policy() {
    assert_eq!(Policy::from_toml(""), Ok(Policy::default()));
    assert!(Settings::default().second_administrator);
}

#[test]
fn everything_wrong_is_told_at_once() {
    let text = r#"
        setings = {}
        [settings]
        decide_within = "1 day"
        group_age_max = "0s"
        [[rules]]
        id = "a"
        duration_max = 8
        provider = "magic"
        plan = "none"
        requesters = { groups = ["developers"] }
        targets = { all_acounts = true, accounts = ["12"], ous = [{ direct = true }] }
        [[rules]]
        id = "B!"
        [[rules]]
        id = "c"
        duration_max = "8h"
        provider = "sts"
        plan = []
        requesters = {}
        targets = { permission_sets = ["arn:aws:sso:::permissionSet/ssoins-1/ps-a"] }
    "#;
    let found = problems(text);
    for path in [
        "setings",
        "settings.decide_within",
        "settings.group_age_max",
        "rules[a].duration_max",
        "rules[a].provider",
        "rules[a].requesters.groups[0]",
        "rules[a].targets.all_acounts",
        "rules[a].targets.accounts[0]",
        "rules[a].targets.ous[0].ou",
        "rules[1].id",
        "rules[1].duration_max",
        "rules[1].provider",
        "rules[1].plan",
        "rules[c].plan",
        "rules[c].requesters",
        "rules[c].targets",
        "rules[c].provider",
    ] {
        let prefix = format!("{path}: ");
        assert!(found.iter().any(|problem| problem.starts_with(&prefix)), "{path} in {found:#?}");
    }
}

#[test]
fn a_syntax_error_names_its_line() {
    assert!(problems("[settings]\nx = = 1\n")[0].starts_with("line 2: "));
}

#[test]
fn a_list_that_repeats_itself_is_a_problem() {
    let text = FILE.replace("\"prod\", \"stage\"", "\"prod\", \"prod\"");
    assert_eq!(problems(&text), ["rules[payments-admin].targets.account_tags.env[1]: is listed twice"]);
}

/// One change to the good file, and the problem that it makes.
#[test]
fn wrong_policies_are_refused() {
    for (from, to, problem) in [
        ("id = \"deploy\"", "id = \"payments-admin\"", "rules[payments-admin].id: is used more than once"),
        ("\"sts\"", "\"identity_center\"", "rules[deploy].provider: identity_center assigns"),
        ("\"15m\"", "\"14m\"", "rules[deploy].credential_duration_max: must be 15m to 12h"),
        ("\"15m\"", "\"13h\"", "rules[deploy].credential_duration_max: must be 15m to 12h"),
        ("\"sts\"", "\"account_access\"", "rules[deploy].credential_duration_max: is for the provider sts"),
        ("\"8h\"", "\"1m\"", "rules[payments-admin].duration_max: "),
        ("\"8h\"", "\"366d\"", "rules[payments-admin].duration_max: "),
        ("all_accounts = true", "all_accounts = false", "rules[deploy].targets: must select accounts"),
        (
            "all_accounts = true",
            "all_accounts = true, accounts = [\"111111111111\"]",
            "rules[deploy].targets: all_accounts selects every account",
        ),
        (
            "all_accounts = true",
            "accounts = [\"222222222222\"]",
            "rules[deploy].targets.roles: names a role of an account that is not selected",
        ),
        ("count = 2", "count = 0", "rules[payments-admin].plan[1].count: must be 1 to 10"),
        ("count = 2", "count = 300", "rules[payments-admin].plan[1].count: must be a number of people"),
        (
            "{ groups = [\"idp:payments-leads\"] }",
            "{}",
            "rules[payments-admin].plan[0]: must name groups or people",
        ),
        (
            "groups = [\"idp:security\"], people",
            "people",
            "rules[payments-admin].plan[1]: names fewer people than it needs",
        ),
        ("ous = [\"r-1\"]", "ous = []", "approval_policies[root]: must cover accounts or ous"),
        (
            "steps = [{ groups = [\"idp:security\"] }]",
            "steps = []",
            "approval_policies[root].steps: must have 1 to 10",
        ),
        (
            "ous = [\"r-1\"]",
            "ous = [\"r-1\", { ou = \"r-1\", direct = true }]",
            "approval_policies[root].ous: names a unit both",
        ),
        ("[\"42\"]", "[]", "rules[payments-admin].targets.account_tags: "),
        (
            "\"Resource\": \"*\"",
            "\"Principal\": \"*\"",
            "rules[deploy].session_policy: must be an IAM policy document",
        ),
        ("policy/ReadOnlyAccess", "role/ReadOnlyAccess", "rules[deploy].session_policy_arns[0]: "),
        (
            "allow_chaining = true",
            "allow_chaining = 1",
            "rules[deploy].allow_chaining: must be true or false",
        ),
    ] {
        let found = problems(&FILE.replacen(from, to, 1));
        assert!(found.iter().any(|found| found.starts_with(problem)), "{problem} in {found:#?}");
    }
}

#[test]
fn a_plan_of_named_people_must_have_enough_of_them() {
    let ada = r#"{ people = [{ issuer = "https://idp.example", subject = "ada" }] }"#;
    let text = FILE.replace("steps = [{ groups = [\"idp:security\"] }]", &format!("steps = [{ada}, {ada}]"));
    assert_eq!(problems(&text), ["approval_policies[root].steps: needs more distinct people than it names"]);
}

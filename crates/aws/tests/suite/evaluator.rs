//! The session policy, judged by an independent IAM policy evaluator (npm `@cloud-copilot/iam-simulate`), which knows IAM's
//! rules and AWS's actions from sources of its own.
//!
//! Where it and AWS differ, nothing is asked: AWS adds what a resource policy gives to the *session* to what the session policy
//! allows, the evaluator does not. An explicit Deny wins with both, and is what the window rests on. What follows from several
//! policies at once, inline, managed and of the resource, is combined in `managed` by AWS's rule.

mod managed;

use aws::session_policy::for_window;
use domain::{InlinePolicy, SessionScope, Timestamp, Window};
use serde_json::{Value, json};
use std::io::Write as _;
use std::process::{Command, Stdio};

const ACCOUNT: &str = "111111111111";
const SESSION: &str = "arn:aws:sts::111111111111:assumed-role/Deployer/daypass-1";
const OBJECT: &str = "arn:aws:s3:::reports/2026.csv";
const ROLE: &str = "arn:aws:iam::222222222222:role/Elsewhere";

/// One question, and what must be answered: whether it is allowed.
struct Case {
    name: String,
    simulation: Value,
    expected: &'static [&'static str],
}

#[derive(Default)]
struct Cases(Vec<Case>);

/// A session that is asked about.
struct Session<'a> {
    policy: Value,
    resource_policy: Option<&'a Value>,
}

impl Cases {
    /// What is not allowed must be denied by name: what is merely not allowed, AWS lets a resource policy give to the session.
    fn ask(&mut self, session: &Session<'_>, action: &str, resource: &str, at: &str, allowed: bool) {
        let expected: &[&str] = if allowed { &["Allowed"] } else { &["ExplicitlyDenied"] };
        self.expect(session, action, resource, at, expected);
    }

    /// What a rule does not allow, and does not deny either.
    fn ask_beyond(&mut self, session: &Session<'_>, action: &str, resource: &str, at: &str) {
        self.expect(session, action, resource, at, &["ImplicitlyDenied"]);
    }

    fn expect(
        &mut self,
        session: &Session<'_>,
        action: &str,
        resource: &str,
        at: &str,
        expected: &'static [&'static str],
    ) {
        let simulation = json!({
            "request": {
                "principal": SESSION,
                "action": action,
                "resource": {"resource": resource, "accountId": ACCOUNT},
                "contextVariables": {"aws:CurrentTime": at},
            },
            "sessionPolicy": session.policy,
            "resourcePolicy": session.resource_policy,
        });
        let name = format!("{action} on {resource} at {at} under {}", session.policy);
        self.0.push(Case { name, simulation, expected });
    }

    /// All at once: starting the evaluator takes longer than what it does.
    fn judge(self) {
        let simulations: Vec<&Value> = self.0.iter().map(|case| &case.simulation).collect();
        for (case, verdict) in self.0.iter().zip(&verdicts(&simulations)) {
            assert!(case.expected.contains(&verdict.as_str()), "{verdict}: {}", case.name);
        }
    }
}

/// What the evaluator says to each.
fn verdicts(simulations: &[&Value]) -> Vec<String> {
    let module =
        test_servers::tools::node_modules().unwrap().join("@cloud-copilot/iam-simulate/dist/esm/index.js");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/evaluator/evaluate.mjs");
    let mut evaluator = Command::new("node")
        .arg(script)
        .arg(module)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let question = serde_json::to_vec(simulations).unwrap();
    evaluator.stdin.take().unwrap().write_all(&question).unwrap();
    let answer = evaluator.wait_with_output().unwrap();
    let verdicts: Vec<String> = serde_json::from_slice(&answer.stdout).unwrap();
    assert_eq!(verdicts.len(), simulations.len());
    verdicts
}

fn session<'a>(
    window: (&str, &str),
    scope: &SessionScope,
    resource_policy: Option<&'a Value>,
) -> Session<'a> {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let window = Window::new(at(window.0), at(window.1)).unwrap();
    let policy = for_window(&window, scope).unwrap();
    Session { policy: serde_json::from_str(policy.as_str()).unwrap(), resource_policy }
}

fn inline(statements: &Value) -> SessionScope {
    let document = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
    SessionScope { inline: Some(document.parse::<InlinePolicy>().unwrap()), ..SessionScope::default() }
}

/// Start and end of a window.
type Bounds = (&'static str, &'static str);

const NOON: Bounds = ("2026-03-01T12:00:00Z", "2026-03-01T13:00:00Z");

#[test]
fn a_session_works_inside_its_window_and_at_no_other_time() {
    // A window, and moments with what is allowed then. Fractions of a second never favour the holder.
    let table: [(Bounds, &[(&str, bool)]); 5] = [
        (
            NOON,
            &[
                ("2020-01-01T00:00:00Z", false),
                ("2026-03-01T11:59:59Z", false),
                ("2026-03-01T12:00:00Z", true),
                ("2026-03-01T12:59:59Z", true),
                ("2026-03-01T13:00:00Z", false),
                ("2036-03-01T12:30:00Z", false),
            ],
        ),
        // Shorter than any session of STS.
        (
            ("2026-03-01T12:00:00Z", "2026-03-01T12:00:30Z"),
            &[
                ("2026-03-01T12:00:29Z", true),
                ("2026-03-01T12:00:30Z", false),
                ("2026-03-01T12:14:59Z", false),
            ],
        ),
        // Over midnight of a leap day.
        (
            ("2028-02-28T23:30:00Z", "2028-02-29T00:30:00Z"),
            &[
                ("2028-02-28T23:29:59Z", false),
                ("2028-02-29T00:00:00Z", true),
                ("2028-02-29T00:30:00Z", false),
                ("2028-03-01T00:00:00Z", false),
            ],
        ),
        // Bounds within a second.
        (
            ("2026-03-01T12:00:00.5Z", "2026-03-01T12:00:10.999999999Z"),
            &[
                ("2026-03-01T12:00:00Z", false),
                ("2026-03-01T12:00:01Z", true),
                ("2026-03-01T12:00:09Z", true),
                ("2026-03-01T12:00:10Z", false),
            ],
        ),
        // Within one second: no whole second is inside.
        (
            ("2026-03-01T12:00:00.2Z", "2026-03-01T12:00:00.8Z"),
            &[("2026-03-01T12:00:00Z", false), ("2026-03-01T12:00:01Z", false)],
        ),
    ];
    // Gives the session itself what the role has not got.
    let names_the_session = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"AWS": SESSION}, "Action": "s3:*", "Resource": "arn:aws:s3:::reports/*",
    }]});
    let mut cases = Cases::default();
    for (window, moments) in table {
        for resource_policy in [None, Some(&names_the_session)] {
            let session = session(window, &SessionScope::default(), resource_policy);
            for (at, allowed) in moments {
                cases.ask(&session, "s3:GetObject", OBJECT, at, *allowed);
            }
        }
    }
    cases.judge();
}

#[test]
fn a_session_can_do_what_its_rule_allows_and_nothing_else() {
    let reading = inline(&json!([
        {"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": ["arn:aws:s3:::reports", "arn:aws:s3:::reports/*"]},
        {"Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"},
        {"Effect": "Deny", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::reports/secret/*"},
    ]));
    let all_but = inline(&json!([{"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}]));
    let session_of = |scope: &SessionScope| session(NOON, scope, None);
    let (inside, after) = ("2026-03-01T12:30:00Z", "2026-03-01T13:00:00Z");
    let mut cases = Cases::default();
    for (scope, action, resource, allowed) in [
        (&reading, "s3:GetObject", OBJECT, true),
        (&reading, "s3:ListBucket", "arn:aws:s3:::reports", true),
        (&reading, "s3:GetObject", "arn:aws:s3:::reports/secret/x", false),
        (&reading, "s3:GetObject", "arn:aws:s3:::other/x", false),
        (&reading, "s3:PutObject", OBJECT, false),
        (&reading, "ec2:DescribeInstances", "*", true),
        (&reading, "ec2:TerminateInstances", "arn:aws:ec2:eu-central-1:111111111111:instance/i-1", false),
        (&all_but, "s3:PutObject", OBJECT, true),
        (&all_but, "iam:CreateUser", "arn:aws:iam::111111111111:user/eve", false),
    ] {
        let session = session_of(scope);
        if allowed || resource.contains("/secret/") {
            cases.ask(&session, action, resource, inside, allowed);
        } else {
            cases.ask_beyond(&session, action, resource, inside);
        }
        cases.ask(&session, action, resource, after, false);
    }
    cases.judge();
}

#[test]
fn what_a_rule_denies_holds_against_a_resource_policy_that_names_the_session() {
    let denying = inline(&json!([
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "s3:DeleteObject", "Resource": "*"},
    ]));
    let generous = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"AWS": SESSION}, "Action": "s3:*", "Resource": "arn:aws:s3:::reports/*",
    }]});
    let session = session(NOON, &denying, Some(&generous));
    let mut cases = Cases::default();
    cases.ask(&session, "s3:DeleteObject", OBJECT, "2026-03-01T12:30:00Z", false);
    cases.ask(&session, "s3:GetObject", OBJECT, "2026-03-01T12:30:00Z", true);
    cases.judge();
}

#[test]
fn chaining_is_denied_unless_the_rule_allows_it() {
    let bound = session(NOON, &SessionScope::default(), None);
    let chaining = session(NOON, &SessionScope { allow_chaining: true, ..SessionScope::default() }, None);
    let allowing = inline(&json!([{"Effect": "Allow", "Action": ["sts:*", "s3:*"], "Resource": "*"}]));
    let allowed_inline = session(NOON, &allowing, None);
    let mut cases = Cases::default();
    for (action, resource) in [
        ("sts:AssumeRole", ROLE),
        ("sts:AssumeRoleWithSAML", ROLE),
        ("sts:AssumeRoleWithWebIdentity", ROLE),
        ("sts:GetFederationToken", "arn:aws:sts::111111111111:federated-user/eve"),
        ("sts:GetSessionToken", "*"),
    ] {
        cases.ask(&bound, action, resource, "2026-03-01T12:30:00Z", false);
        cases.ask(&allowed_inline, action, resource, "2026-03-01T12:30:00Z", false);
        cases.ask(&chaining, action, resource, "2026-03-01T12:30:00Z", true);
        cases.ask(&chaining, action, resource, "2026-03-01T13:00:00Z", false);
    }
    cases.ask(&bound, "sts:GetCallerIdentity", "*", "2026-03-01T12:30:00Z", true);
    cases.judge();
}

//! Managed session policies beside the inline one, and resource policies that name the session.
//!
//! The evaluator takes one session policy, so each is put to it alone, and so is the resource policy; what follows is AWS's rule
//! (IAM User Guide, "Policy evaluation logic" and "Session policies"): a Deny of any policy wins; else a resource policy that
//! names the session allows by itself; else the role must allow it, which here may do everything, and one of the session
//! policies. Where no resource policy is about, the evaluator is asked as well with the statements of all in one document.

use super::{ACCOUNT, Bounds, NOON, OBJECT, ROLE, SESSION, inline, session, verdicts};
use domain::SessionScope;
use serde_json::{Value, json};

const BEFORE: &str = "2026-03-01T11:59:59Z";
const FIRST: &str = "2026-03-01T12:00:00Z";
const LAST: &str = "2026-03-01T12:59:59Z";
const AFTER: &str = "2026-03-01T13:00:00Z";
const MUCH_LATER: &str = "2036-03-01T12:30:00Z";
const OUTSIDE: [&str; 4] = ["2020-01-01T00:00:00Z", BEFORE, AFTER, MUCH_LATER];
const INSTANCE: &str = "arn:aws:ec2:eu-central-1:111111111111:instance/i-1";

const ALLOWED: &str = "Allowed";
const DENIED: &str = "ExplicitlyDenied";
const NOT_ALLOWED: &str = "ImplicitlyDenied";

/// A session, and what is passed or attached beside its inline policy.
struct Passed {
    /// The inline policy and the managed ones.
    session: Vec<Value>,
    resource: Option<Value>,
}

/// What is asked, and when.
type Question = (&'static str, &'static str, &'static str);

fn document(statements: &Value) -> Value {
    json!({"Version": "2012-10-17", "Statement": statements})
}

/// What AWS would be sent for a rule with managed policies, whose documents are `managed`: the inline policy as the product makes it.
fn passed(window: Bounds, scope: SessionScope, managed: &[Value]) -> Passed {
    let arn = |number: usize| format!("arn:aws:iam::{ACCOUNT}:policy/managed-{number}").parse().unwrap();
    let scope = SessionScope { managed: (0..managed.len()).map(arn).collect(), ..scope };
    let inline = session(window, &scope, None).policy;
    Passed { session: [inline].into_iter().chain(managed.iter().cloned()).collect(), resource: None }
}

impl Passed {
    /// The same, where the resource says something about who may use it.
    fn at_resource(self, statements: &Value) -> Self {
        Self { resource: Some(document(statements)), ..self }
    }

    fn request((action, resource, at): Question) -> Value {
        json!({
            "principal": SESSION,
            "action": action,
            "resource": {"resource": resource, "accountId": ACCOUNT},
            "contextVariables": {"aws:CurrentTime": at},
        })
    }

    /// Each policy alone, the resource's last.
    fn alone(&self, question: Question) -> Vec<Value> {
        let request = Self::request(question);
        let of_session =
            self.session.iter().map(|policy| json!({"request": request, "sessionPolicy": policy}));
        // Nothing but the resource policy allows anything.
        let of_resource = self
            .resource
            .iter()
            .map(|policy| json!({"request": request, "resourcePolicy": policy, "identityPolicies": []}));
        of_session.chain(of_resource).collect()
    }

    /// All session policies in one document.
    fn together(&self, question: Question) -> Value {
        let statements: Vec<&Value> =
            self.session.iter().filter_map(|policy| policy["Statement"].as_array()).flatten().collect();
        json!({"request": Self::request(question), "sessionPolicy": document(&json!(statements))})
    }

    /// What AWS answers, by what each policy says alone.
    fn combined(&self, alone: &[String]) -> &'static str {
        let (of_session, of_resource) = alone.split_at(self.session.len());
        let says = |verdicts: &[String], what: &str| verdicts.iter().any(|verdict| verdict == what);
        if says(alone, DENIED) {
            DENIED
        } else if says(of_resource, ALLOWED) || says(of_session, ALLOWED) {
            ALLOWED
        } else {
            NOT_ALLOWED
        }
    }
}

/// Asks all at once: starting the evaluator takes longer than what it does.
fn answered(cases: &[(&Passed, Question, &str)]) {
    let alone: Vec<Vec<Value>> = cases.iter().map(|(passed, question, _)| passed.alone(*question)).collect();
    let together: Vec<Value> = cases.iter().map(|(passed, question, _)| passed.together(*question)).collect();
    let asked: Vec<&Value> = alone.iter().flatten().chain(&together).collect();
    let answers = verdicts(&asked);
    let known = [ALLOWED, DENIED, NOT_ALLOWED];
    assert!(answers.iter().all(|answer| known.contains(&answer.as_str())), "{answers:?}");
    let (mut rest, merged) = answers.split_at(asked.len() - together.len());
    for (((passed, question, expected), alone), merged) in cases.iter().zip(&alone).zip(merged) {
        let (of_this, others) = rest.split_at(alone.len());
        rest = others;
        assert_eq!(passed.combined(of_this), *expected, "{question:?}: {of_this:?} of {:?}", passed.session);
        if passed.resource.is_none() {
            assert_eq!(merged, expected, "{question:?} of {:?} in one document", passed.session);
        }
    }
}

fn storage() -> Value {
    document(&json!([{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]))
}

#[test]
fn what_a_managed_policy_allows_is_allowed_inside_the_window_and_denied_before_and_after() {
    let reading = inline(&json!([{"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}]));
    let alone = passed(NOON, SessionScope::default(), &[storage()]);
    let beside_inline = passed(NOON, reading, &[storage()]);
    let mut cases = Vec::new();
    for session in [&alone, &beside_inline] {
        for action in ["s3:GetObject", "s3:PutObject"] {
            cases.extend([FIRST, LAST].map(|at| (session, (action, OBJECT, at), ALLOWED)));
            cases.extend(OUTSIDE.map(|at| (session, (action, OBJECT, at), DENIED)));
        }
        // Neither allows it; that it is denied by name outside holds all the same.
        cases.push((session, ("ec2:TerminateInstances", INSTANCE, FIRST), NOT_ALLOWED));
        cases.push((session, ("ec2:TerminateInstances", INSTANCE, AFTER), DENIED));
    }
    answered(&cases);
}

#[test]
fn all_that_inline_and_managed_policies_allow_together_is_allowed_but_for_what_any_of_them_denies() {
    let inline = inline(&json!([
        {"Effect": "Allow", "Action": "ec2:*", "Resource": "*"},
        {"Effect": "Deny", "Action": "s3:DeleteObject", "Resource": "*"},
    ]));
    let no_ending = document(&json!([{"Effect": "Deny", "Action": "ec2:Terminate*", "Resource": "*"}]));
    let session = passed(NOON, inline, &[storage(), no_ending]);
    let mut cases = Vec::new();
    for (action, resource, inside) in [
        ("s3:PutObject", OBJECT, ALLOWED),
        ("s3:DeleteObject", OBJECT, DENIED),
        ("ec2:StartInstances", INSTANCE, ALLOWED),
        ("ec2:TerminateInstances", INSTANCE, DENIED),
        ("iam:DeleteUser", "arn:aws:iam::111111111111:user/eve", NOT_ALLOWED),
    ] {
        cases.push((&session, (action, resource, FIRST), inside));
        cases.extend(OUTSIDE.map(|at| (&session, (action, resource, at), DENIED)));
    }
    answered(&cases);
}

#[test]
fn chaining_is_denied_inside_the_window_although_a_managed_policy_allows_it() {
    let everything = document(&json!([{"Effect": "Allow", "Action": "*", "Resource": "*"}]));
    let bound = passed(NOON, SessionScope::default(), std::slice::from_ref(&everything));
    let chaining = SessionScope { allow_chaining: true, ..SessionScope::default() };
    let chaining = passed(NOON, chaining, &[everything]);
    let mut cases = Vec::new();
    for (action, resource) in [
        ("sts:AssumeRole", ROLE),
        ("sts:AssumeRoleWithWebIdentity", ROLE),
        ("sts:GetFederationToken", "arn:aws:sts::111111111111:federated-user/eve"),
        ("sts:GetSessionToken", "*"),
    ] {
        cases.extend([BEFORE, FIRST, LAST, AFTER].map(|at| (&bound, (action, resource, at), DENIED)));
        cases.push((&chaining, (action, resource, FIRST), ALLOWED));
        cases.extend(OUTSIDE.map(|at| (&chaining, (action, resource, at), DENIED)));
    }
    cases.push((&bound, ("s3:GetObject", OBJECT, FIRST), ALLOWED));
    answered(&cases);
}

#[test]
fn a_resource_policy_that_names_the_session_adds_to_managed_policies_inside_the_window_alone() {
    let reading = document(&json!([{"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}]));
    let of_bucket = json!([{
        "Effect": "Allow", "Principal": {"AWS": SESSION}, "Action": "s3:*", "Resource": "arn:aws:s3:::reports/*",
    }]);
    let of_role = json!([{"Effect": "Allow", "Principal": {"AWS": SESSION}, "Action": "sts:AssumeRole"}]);
    let bucket =
        passed(NOON, SessionScope::default(), std::slice::from_ref(&reading)).at_resource(&of_bucket);
    let role = passed(NOON, SessionScope::default(), std::slice::from_ref(&reading)).at_resource(&of_role);
    let chaining = SessionScope { allow_chaining: true, ..SessionScope::default() };
    let chaining = passed(NOON, chaining, &[reading]).at_resource(&of_role);
    let mut cases = vec![
        // No session policy allows it: the resource policy does, to the session itself.
        (&bucket, ("s3:PutObject", OBJECT, FIRST), ALLOWED),
        (&bucket, ("s3:PutObject", "arn:aws:s3:::other/x", FIRST), NOT_ALLOWED),
        (&role, ("sts:AssumeRole", ROLE, FIRST), DENIED),
        (&chaining, ("sts:AssumeRole", ROLE, FIRST), ALLOWED),
    ];
    for at in OUTSIDE {
        cases.push((&bucket, ("s3:PutObject", OBJECT, at), DENIED));
        cases.push((&bucket, ("s3:GetObject", OBJECT, at), DENIED));
        cases.push((&role, ("sts:AssumeRole", ROLE, at), DENIED));
        cases.push((&chaining, ("sts:AssumeRole", ROLE, at), DENIED));
    }
    answered(&cases);
}

/// What the tests above would find: a window that is a condition of an Allow binds nothing that another policy allows.
#[test]
fn a_window_without_denies_would_leave_managed_and_resource_policies_unbound() {
    let within = document(&json!([{
        "Effect": "Allow", "Action": "*", "Resource": "*",
        "Condition": {
            "DateGreaterThanEquals": {"aws:CurrentTime": FIRST},
            "DateLessThan": {"aws:CurrentTime": AFTER},
        },
    }]));
    let naming = json!([{
        "Effect": "Allow", "Principal": {"AWS": SESSION}, "Action": "s3:*", "Resource": "arn:aws:s3:::reports/*",
    }]);
    let by_managed = Passed { session: vec![within.clone(), storage()], resource: None };
    let alone = Passed { session: vec![within], resource: None };
    let by_resource = Passed { session: alone.session.clone(), resource: None }.at_resource(&naming);
    answered(&[
        (&alone, ("s3:GetObject", OBJECT, FIRST), ALLOWED),
        (&alone, ("s3:GetObject", OBJECT, AFTER), NOT_ALLOWED),
        (&by_managed, ("s3:GetObject", OBJECT, AFTER), ALLOWED),
        (&by_resource, ("s3:GetObject", OBJECT, AFTER), ALLOWED),
    ]);
}

//! The session policy that binds credentials to their window.
//!
//! Permissions of a session are the intersection of the role's and this policy's, and an explicit Deny in it also holds
//! against resource policies that name the session (IAM User Guide, "Session policies"). So: allow everything, deny everything
//! outside the window. That also makes remainders under 900 s, the shortest session of STS, enforceable.

use crate::sts::SessionPolicy;
use domain::{Invalid, Timestamp, Window};
use serde_json::{Value, json};

/// Whether a session may assume further roles. A role chained from a session drops the session policy, and so the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Chaining {
    /// No.
    Denied,
    /// Yes, because the rule says so: what is chained from it can outlive the window by up to an hour.
    Allowed,
}

/// The policy of a session that is usable in `[start, end)` and at no other time.
///
/// IAM compares whole seconds: a start is rounded up and an end down, never in the holder's favour.
pub fn for_window(window: &Window, chaining: Chaining) -> Result<SessionPolicy, Invalid> {
    let mut statements = vec![
        json!({"Effect": "Allow", "Action": "*", "Resource": "*"}),
        deny_when("DateLessThan", whole_second_from(window.start())?),
        deny_when("DateGreaterThanEquals", whole_second_before(window.end())?),
    ];
    match chaining {
        Chaining::Allowed => {}
        Chaining::Denied => statements.push(json!({
            "Effect": "Deny",
            "Action": "sts:AssumeRole*",
            "Resource": "*",
        })),
    }
    SessionPolicy::new(json!({"Version": "2012-10-17", "Statement": statements}).to_string())
}

fn deny_when(condition: &str, at: Timestamp) -> Value {
    json!({
        "Effect": "Deny",
        "Action": "*",
        "Resource": "*",
        "Condition": {condition: {"aws:CurrentTime": at.to_string()}},
    })
}

fn whole_second_before(at: Timestamp) -> Result<Timestamp, Invalid> {
    let seconds = at.as_nanosecond().div_euclid(1_000_000_000);
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .ok_or(Invalid::new("window", "must lie within the calendar"))
}

fn whole_second_from(at: Timestamp) -> Result<Timestamp, Invalid> {
    let before = whole_second_before(at)?;
    if before == at {
        return Ok(at);
    }
    Timestamp::from_second(before.as_second().saturating_add(1))
        .map_err(|_| Invalid::new("window", "must lie within the calendar"))
}

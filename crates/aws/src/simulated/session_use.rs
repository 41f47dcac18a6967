//! What a session policy allows: as much of IAM's evaluation as the policies of [`crate::session_policy`] need, written from
//! IAM's rules and not from that module, so that each can be tested with the other.

use crate::sts::SessionPolicy;
use domain::Timestamp;
use serde_json::{Map, Value};

/// The policy uses something that this evaluation does not know, so nothing can be said about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
#[error("the simulated AWS cannot evaluate this policy: {0}")]
pub struct UnsupportedPolicy(pub &'static str);

/// Whether `policy` allows `action` at `at`: some statement allows it, and none denies it.
pub fn policy_allows(policy: &SessionPolicy, action: &str, at: Timestamp) -> Result<bool, UnsupportedPolicy> {
    let document: Value =
        serde_json::from_str(policy.as_str()).map_err(|_| UnsupportedPolicy("it is not JSON"))?;
    let statements = document
        .get("Statement")
        .and_then(Value::as_array)
        .ok_or(UnsupportedPolicy("it has no list of statements"))?;
    let mut allowed = false;
    for statement in statements {
        let statement = statement.as_object().ok_or(UnsupportedPolicy("a statement is not an object"))?;
        if !matches(statement, action, at)? {
            continue;
        }
        match statement.get("Effect").and_then(Value::as_str) {
            Some("Allow") => allowed = true,
            Some("Deny") => return Ok(false),
            _other => return Err(UnsupportedPolicy("an effect is neither Allow nor Deny")),
        }
    }
    Ok(allowed)
}

fn matches(statement: &Map<String, Value>, action: &str, at: Timestamp) -> Result<bool, UnsupportedPolicy> {
    if statement.keys().any(|key| !["Effect", "Action", "Resource", "Condition"].contains(&key.as_str())) {
        return Err(UnsupportedPolicy("a statement has an unknown element"));
    }
    if statement.get("Resource").and_then(Value::as_str) != Some("*") {
        return Err(UnsupportedPolicy("a resource is not *"));
    }
    let patterns = match statement.get("Action") {
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _other => return Err(UnsupportedPolicy("an action is neither a text nor a list")),
    };
    let acts = patterns.into_iter().any(|pattern| fits(pattern.as_bytes(), action.as_bytes()));
    Ok(acts && conditions_hold(statement, at)?)
}

/// IAM's wildcards: `*` any characters, `?` one; letter case does not count in actions.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => {
            fits(rest, text) || text.split_first().is_some_and(|(_, left)| fits(pattern, left))
        }
        ([b'?', rest @ ..], [_, left @ ..]) => fits(rest, left),
        ([one, rest @ ..], [other, left @ ..]) => one.eq_ignore_ascii_case(other) && fits(rest, left),
        _else => false,
    }
}

fn conditions_hold(statement: &Map<String, Value>, at: Timestamp) -> Result<bool, UnsupportedPolicy> {
    let Some(conditions) = statement.get("Condition") else { return Ok(true) };
    let conditions = conditions.as_object().ok_or(UnsupportedPolicy("a condition is not an object"))?;
    // IAM's clock shows whole seconds.
    let second = at.as_nanosecond().div_euclid(1_000_000_000);
    for (operator, keys) in conditions {
        let keys = keys.as_object().ok_or(UnsupportedPolicy("a condition is not an object"))?;
        for (key, value) in keys {
            let limit = value.as_str().and_then(|text| text.parse::<Timestamp>().ok());
            let (Some(limit), "aws:CurrentTime") = (limit, key.as_str()) else {
                return Err(UnsupportedPolicy("a condition is not about aws:CurrentTime"));
            };
            let limit = limit.as_nanosecond().div_euclid(1_000_000_000);
            let holds = match operator.as_str() {
                "DateLessThan" => second < limit,
                "DateGreaterThanEquals" => second >= limit,
                _other => return Err(UnsupportedPolicy("an operator is unknown")),
            };
            if !holds {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

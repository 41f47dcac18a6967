//! Ending live sessions early: a service control policy of the account that denies them, and nothing else.
//!
//! Deleting an assignment leaves its role sessions alive for hours, and credentials of STS keep their session policy. A deny
//! that names exactly those sessions ends them. Narrow, because the documented deny on `identitystore:userId` hits every
//! session of a person: it is cut down to one permission set in one account, and to sessions begun before the end.
//! Only by service control policies, never by editing a permission set: that would need the right to make anyone administrator.
//!
//! INVARIANT: statements whose `Sid` does not begin with `Daypass` are others', and stay as they are. Service control policies do
//! not bind the management account: there the honest bound stands.

use crate::{Attempt, AwsError, ErrorKind};
use domain::{AccountId, PrincipalId, RequestId, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The session tag that says which request; transitive, so that it stays on chained sessions.
pub const REQUEST_TAG: &str = "daypass-request";

/// The longest service control policy, in characters (Quotas for AWS Organizations).
pub const DOCUMENT_MAX: usize = 10_240;

/// The most service control policies of one account (Quotas for AWS Organizations).
pub const POLICIES_MAX: usize = 10;

/// AWS's word for a policy that it does not delete, because it is attached to something.
pub const IN_USE: &str = "PolicyInUseException";

/// What `Sid`s of ours begin with; letters and digits only.
const SID: &str = "Daypass";

/// Sessions that are denied.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DeniedSessions {
    /// Those that carry the tag of a request, and those chained from them.
    OfRequest(RequestId),
    /// Those of one user with one permission set, begun before an instant.
    OfPermissionSet {
        /// The request that ended.
        request: RequestId,
        /// The user in Identity Center.
        user: PrincipalId,
        /// The permission set's name: it is part of the role's.
        permission_set: String,
        /// Sessions begun from then on are others'.
        begun_before: Timestamp,
    },
}

/// The policies of accounts that deny sessions.
#[async_trait::async_trait]
pub trait SessionDenials: Send + Sync + 'static {
    /// Makes `sessions` all that Daypass denies in `account`; what others wrote into the same policy stays. Repeating is harmless.
    /// Beyond AWS's limits nothing is changed: `Invalid`, `PolicyTooLarge` or `TooManyPolicies`. An account that is not in the organisation
    /// is `NotFound`, unless nothing is to be denied there: then what is left of its policy goes. A policy that others have attached to
    /// something else as well is detached from the account and stays: `Invalid`, [`IN_USE`].
    async fn deny(
        &self,
        account: &AccountId,
        sessions: &BTreeSet<DeniedSessions>,
        attempt: Attempt,
    ) -> Result<(), AwsError>;

    /// Whether exactly `sessions` are denied by Daypass in `account`, as AWS says now; `NotFound`: it is not in the organisation.
    async fn denies_exactly(
        &self,
        account: &AccountId,
        sessions: &BTreeSet<DeniedSessions>,
    ) -> Result<bool, AwsError>;
}

/// The name of the policy of an account.
pub fn policy_name(account: &AccountId) -> String {
    format!("daypass-live-sessions-{account}")
}

/// The statements that deny `sessions` in `account`.
pub fn statements(account: &AccountId, sessions: &BTreeSet<DeniedSessions>) -> Vec<Value> {
    let mut tagged = Vec::new();
    let mut statements = Vec::new();
    for denied in sessions {
        match denied {
            DeniedSessions::OfRequest(request) => tagged.push(request.to_string()),
            DeniedSessions::OfPermissionSet { request, user, permission_set, begun_before } => {
                // The name of such a role ends in 16 characters that AWS chooses: `Admin` is not `Admin_Billing`.
                let role = format!(
                    "arn:*:iam::{account}:role/aws-reserved/sso.amazonaws.com/*AWSReservedSSO_{permission_set}_????????????????"
                );
                statements.push(deny(
                    &format!("{SID}{}", request.to_string().replace('-', "")),
                    &json!({
                        "StringEquals": {
                            "aws:PrincipalAccount": account.as_str(),
                            "identitystore:UserId": user.as_str(),
                        },
                        "ArnLike": {"aws:PrincipalArn": role},
                        "DateLessThan": {"aws:TokenIssueTime": whole_second_from(*begun_before)},
                    }),
                ));
            }
        }
    }
    if !tagged.is_empty() {
        let tag = format!("aws:PrincipalTag/{REQUEST_TAG}");
        statements.push(deny(&format!("{SID}Requests"), &json!({"StringEquals": {tag: tagged}})));
    }
    statements
}

fn deny(sid: &str, condition: &Value) -> Value {
    json!({"Sid": sid, "Effect": "Deny", "Action": "*", "Resource": "*", "Condition": condition})
}

/// IAM compares whole seconds; a session begun in the second of the end is taken to be one before it.
fn whole_second_from(at: Timestamp) -> String {
    let seconds = at.as_second().saturating_add(i64::from(at.subsec_nanosecond() > 0));
    Timestamp::from_second(seconds).unwrap_or(at).to_string()
}

/// What is to become of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Merged {
    /// It says nothing any more, and can go.
    Nothing,
    /// What it says from now on.
    Document(String),
}

/// The policy with `ours` in the place of what Daypass wrote there before, and everything of others as it was.
pub fn merged(existing: Option<&str>, ours: &[Value]) -> Result<Merged, AwsError> {
    let mut document = existing.map_or_else(|| Ok(json!({"Version": "2012-10-17"})), read)?;
    let mut all: Vec<Value> = statements_of(&document).into_iter().filter(|one| !is_ours(one)).collect();
    all.extend(ours.iter().cloned());
    if all.is_empty() {
        return Ok(Merged::Nothing);
    }
    if let Some(document) = document.as_object_mut() {
        document.insert("Statement".to_owned(), Value::Array(all));
    }
    let text = document.to_string();
    if text.chars().count() > DOCUMENT_MAX {
        let why = format!("more than {DOCUMENT_MAX} characters would be needed");
        return Err(AwsError::new(ErrorKind::Invalid, "PolicyTooLarge", &why));
    }
    Ok(Merged::Document(text))
}

/// Whether what Daypass wrote into a policy is exactly `ours`.
pub fn says_exactly(existing: Option<&str>, ours: &[Value]) -> Result<bool, AwsError> {
    let Some(existing) = existing else { return Ok(ours.is_empty()) };
    let written = statements_of(&read(existing)?).into_iter().filter(is_ours);
    let in_order = |statements: &mut Vec<Value>| statements.sort_by_key(|one| sid(one).to_owned());
    let (mut written, mut ours) = (written.collect::<Vec<_>>(), ours.to_vec());
    in_order(&mut written);
    in_order(&mut ours);
    Ok(written == ours)
}

fn read(document: &str) -> Result<Value, AwsError> {
    serde_json::from_str::<Value>(document).ok().filter(Value::is_object).ok_or_else(|| {
        AwsError::new(ErrorKind::Invalid, "UnreadablePolicy", "the policy is not a JSON object")
    })
}

/// `Statement` is one or a list.
fn statements_of(document: &Value) -> Vec<Value> {
    match document.get("Statement") {
        Some(Value::Array(all)) => all.clone(),
        Some(one) => vec![one.clone()],
        None => Vec::new(),
    }
}

fn is_ours(statement: &Value) -> bool {
    sid(statement).starts_with(SID)
}

fn sid(statement: &Value) -> &str {
    statement.get("Sid").and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> AccountId {
        AccountId::new("111111111111").unwrap()
    }

    fn request(n: u8) -> RequestId {
        format!("00000000-0000-4000-8000-0000000000{n:02x}").parse().unwrap()
    }

    fn of_set(n: u8, set: &str) -> DeniedSessions {
        DeniedSessions::OfPermissionSet {
            request: request(n),
            user: PrincipalId::new("9067e7a1-0000-4000-8000-000000000003").unwrap(),
            permission_set: set.to_owned(),
            begun_before: Timestamp::from_millisecond(1_500).unwrap(),
        }
    }

    fn ours(sessions: impl IntoIterator<Item = DeniedSessions>) -> Vec<Value> {
        statements(&account(), &sessions.into_iter().collect())
    }

    #[test]
    fn a_deny_names_the_user_the_set_the_account_and_the_time_of_the_end() {
        let statements = ours([of_set(1, "Admin")]);
        let condition = &statements[0]["Condition"];
        assert_eq!(condition["StringEquals"]["identitystore:UserId"], "9067e7a1-0000-4000-8000-000000000003");
        assert_eq!(condition["StringEquals"]["aws:PrincipalAccount"], "111111111111");
        assert_eq!(condition["DateLessThan"]["aws:TokenIssueTime"], "1970-01-01T00:00:02Z");
        let role = condition["ArnLike"]["aws:PrincipalArn"].as_str().unwrap();
        assert!(role.ends_with("AWSReservedSSO_Admin_????????????????"), "{role}");
    }

    #[test]
    fn requests_with_tagged_sessions_share_one_statement() {
        let statements = ours([DeniedSessions::OfRequest(request(1)), DeniedSessions::OfRequest(request(2))]);
        assert_eq!(statements.len(), 1);
        let tags = &statements[0]["Condition"]["StringEquals"]["aws:PrincipalTag/daypass-request"];
        assert_eq!(tags.as_array().unwrap().len(), 2);
    }

    #[test]
    fn what_others_wrote_stays_and_what_we_wrote_is_replaced() {
        let theirs = json!({"Version": "2012-10-17", "Statement": {"Sid": "Theirs", "Effect": "Deny",
            "Action": "ec2:*", "Resource": "*"}});
        let Merged::Document(one) = merged(Some(&theirs.to_string()), &ours([of_set(1, "Admin")])).unwrap()
        else {
            panic!("there is something to say")
        };
        assert!(says_exactly(Some(&one), &ours([of_set(1, "Admin")])).unwrap());
        assert!(!says_exactly(Some(&one), &ours([of_set(2, "Admin")])).unwrap());
        let Merged::Document(two) = merged(Some(&one), &ours([of_set(2, "Admin")])).unwrap() else {
            panic!("there is something to say")
        };
        let two: Value = serde_json::from_str(&two).unwrap();
        assert_eq!(two["Statement"].as_array().unwrap().len(), 2);
        assert_eq!(two["Statement"][0], theirs["Statement"]);
        let Merged::Document(none) = merged(Some(&two.to_string()), &[]).unwrap() else {
            panic!("theirs is left")
        };
        assert_eq!(serde_json::from_str::<Value>(&none).unwrap()["Statement"], json!([theirs["Statement"]]));
    }

    #[test]
    fn a_policy_that_says_nothing_any_more_goes() {
        let Merged::Document(alone) = merged(None, &ours([of_set(1, "Admin")])).unwrap() else {
            panic!("there is something to say")
        };
        assert_eq!(merged(Some(&alone), &[]).unwrap(), Merged::Nothing);
        assert!(says_exactly(None, &[]).unwrap());
    }

    #[test]
    fn a_policy_beyond_awss_limit_is_refused_before_it_is_sent() {
        let many = ours((0..60).map(|n| of_set(n, "AdministratorAccess")));
        assert_eq!(merged(None, &many).unwrap_err().code, "PolicyTooLarge");
        assert_eq!(merged(Some("[]"), &[]).unwrap_err().code, "UnreadablePolicy");
    }
}

//! What a role session under a rule may do at most, and the session policy that says so to AWS.
//!
//! What AWS makes of session policies (IAM User Guide, "Session policies" and "Policy evaluation logic"):
//! - Inline and managed session policies are **one** set: what any of them allows, and none denies. So an inline `Allow *`
//!   beside managed policies would undo them. Whether or not AWS ever read it otherwise, no more than the rule says is allowed.
//! - The session may do what the role allows **and** that set allows.
//! - A resource policy that names the *session* adds to it. Only an explicit Deny in a session policy holds there, too: hence
//!   the window is made of Denies.

use crate::{AccountId, InlinePolicy, Invalid, Partition, Timestamp, Window, invalid::text};
use std::collections::BTreeSet;

/// The longest inline session policy, in characters; STS counts managed policies' ARNs with it as far as its reference can be
/// read, so they are counted (AWS STS API reference, `AssumeRole`, `Policy` and `PolicyArns`).
pub const SESSION_POLICY_MAX: usize = 2048;

/// The most managed session policies (AWS STS API reference, `AssumeRole`, `PolicyArns`).
pub const MANAGED_POLICIES_MAX: usize = 10;

/// What a session is made of that its session policy does not bind: whoever gets new credentials out of it, or a token for
/// somewhere else, leaves the window behind. `GetServiceBearerToken` is not among them, being how CodeArtifact signs in.
const CHAINING: &str = concat!(
    r#"{"Effect":"Deny","Action":["sts:Assume*","sts:GetDelegatedAccessToken","sts:GetFederationToken","#,
    r#""sts:GetSessionToken","sts:GetWebIdentityToken"],"Resource":"*"}"#,
);

const EVERYTHING: &str = r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#;

text!(
    /// A managed IAM policy: AWS's own (`arn:aws:iam::aws:policy/ReadOnlyAccess`) or an account's
    /// (`arn:aws:iam::123456789012:policy/team/Reports`).
    ManagedPolicyArn, "managed policy ARN",
    "must look like arn:aws:iam::aws:policy/Name or arn:aws:iam::123456789012:policy/Name",
    |text| {
        let mut fields = text.splitn(6, ':');
        let mut next = || fields.next().unwrap_or_default();
        let (arn, partition, service, region, account, resource) =
            (next(), next(), next(), next(), next(), next());
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"+=,.@-_/".contains(&b);
        arn == "arn" && partition.parse::<Partition>().is_ok() && service == "iam" && region.is_empty()
            && (account == "aws" || AccountId::new(account).is_ok())
            && text.len() <= 1024
            && resource.strip_prefix("policy/").is_some_and(|name| {
                !name.is_empty() && name.bytes().all(plain) && !name.starts_with('/') && !name.ends_with('/')
                    && !name.contains("//")
            })
    }
);

impl ManagedPolicyArn {
    /// The partition that it is in.
    pub fn partition(&self) -> Option<Partition> {
        self.as_str().split(':').nth(1).and_then(|partition| partition.parse().ok())
    }

    /// The account that it is in, which must be the role's; `None` for AWS's own, which are in every account.
    pub fn account(&self) -> Option<AccountId> {
        self.as_str().split(':').nth(4).and_then(|account| AccountId::new(account).ok())
    }
}

/// What sessions under a rule are cut down to. Without anything: everything that the role allows, but no chaining.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionScope {
    /// What is allowed and denied, by the rule itself.
    pub inline: Option<InlinePolicy>,
    /// Managed policies whose Allows are added to those of `inline`.
    pub managed: BTreeSet<ManagedPolicyArn>,
    /// Whether a session may get credentials for something else. What is chained from it can outlive the window by up to
    /// an hour, and is not cut down.
    pub allow_chaining: bool,
}

impl SessionScope {
    /// Whether it says anything at all.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The inline session policy of a session that is usable in `[start, end)` and at no other time. The Allows are the
    /// rule's; all of them if it has none; none where managed policies have them. Every Deny of the rule is kept.
    ///
    /// IAM compares whole seconds: a start is rounded up and an end down, never in the holder's favour.
    pub fn policy(&self, window: &Window) -> Result<String, Invalid> {
        let mut statements: Vec<String> = match &self.inline {
            Some(inline) => inline.rendered().collect(),
            None if self.managed.is_empty() => vec![EVERYTHING.to_owned()],
            None => Vec::new(),
        };
        statements.push(deny_when("DateLessThan", whole_second_from(window.start())?));
        statements.push(deny_when("DateGreaterThanEquals", whole_second_before(window.end())?));
        if !self.allow_chaining {
            statements.push(CHAINING.to_owned());
        }
        Ok(format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(",")))
    }

    /// What STS counts, at most: the characters of the inline policy with any window, and of the ARNs. All instants of a window are
    /// written in as many characters. The Deny of chaining is counted even where chaining is allowed: whoever was told a bound
    /// without it gets sessions with that Deny, whatever the rule allows by then.
    pub fn characters(&self) -> usize {
        let longest = Self { allow_chaining: false, ..self.clone() };
        let start = Timestamp::UNIX_EPOCH;
        let inline = Timestamp::from_second(1)
            .ok()
            .and_then(|end| Window::new(start, end).ok())
            .and_then(|window| longest.policy(&window).ok())
            .map_or(usize::MAX, |policy| policy.chars().count());
        self.managed.iter().fold(inline, |sum, arn| sum.saturating_add(arn.as_str().len()))
    }
}

fn deny_when(condition: &str, at: Timestamp) -> String {
    format!(
        r#"{{"Effect":"Deny","Action":"*","Resource":"*","Condition":{{"{condition}":{{"aws:CurrentTime":"{at}"}}}}}}"#
    )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_of_other_things_are_no_managed_policies() {
        for good in [
            "arn:aws:iam::aws:policy/ReadOnlyAccess",
            "arn:aws-cn:iam::aws:policy/job-function/ViewOnlyAccess",
            "arn:aws-us-gov:iam::123456789012:policy/team/Reports",
        ] {
            assert!(ManagedPolicyArn::new(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "ReadOnlyAccess",
            "arn:aws:iam::aws:policy/",
            "arn:aws:iam::aws:policy//x",
            "arn:aws:iam::AWS:policy/x",
            "arn:aws:iam::12345678901:policy/x",
            "arn:aws:iam::123456789012:role/x",
            "arn:aws:iam:us-east-1:aws:policy/x",
            "arn:nowhere:iam::aws:policy/x",
            "arn:aws:iam::aws:policy/a b",
        ] {
            assert!(ManagedPolicyArn::new(bad).is_err(), "{bad}");
        }
        let own = ManagedPolicyArn::new("arn:aws-cn:iam::123456789012:policy/x").unwrap();
        assert_eq!(own.account().map(|account| account.to_string()).as_deref(), Some("123456789012"));
        assert_eq!(own.partition(), Some(Partition::AwsCn));
        assert_eq!(ManagedPolicyArn::new("arn:aws:iam::aws:policy/x").unwrap().account(), None);
    }

    #[test]
    fn what_is_counted_is_what_any_window_takes() {
        let scope = SessionScope {
            inline: Some(
                r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#
                    .parse()
                    .unwrap(),
            ),
            ..SessionScope::default()
        };
        for (start, end) in [
            ("1970-01-01T00:00:00.5Z", "2026-11-21T12:00:00.9Z"),
            ("2026-01-01T00:00:00Z", "9998-12-31T23:59:59Z"),
        ] {
            let window = Window::new(start.parse().unwrap(), end.parse().unwrap()).unwrap();
            assert_eq!(scope.policy(&window).unwrap().chars().count(), scope.characters());
        }
        let chaining = SessionScope { allow_chaining: true, ..scope.clone() };
        assert_eq!(chaining.characters(), scope.characters(), "who was told no chaining is denied it");
        let arn = ManagedPolicyArn::new("arn:aws:iam::aws:policy/ReadOnlyAccess").unwrap();
        let managed = SessionScope { managed: [arn.clone()].into(), ..scope.clone() };
        assert_eq!(managed.characters(), scope.characters() + arn.as_str().len());
    }

    #[test]
    fn with_managed_policies_alone_nothing_is_allowed_inline() {
        let window =
            Window::new("2026-01-01T00:00:00Z".parse().unwrap(), "2026-01-01T01:00:00Z".parse().unwrap())
                .unwrap();
        let arn = ManagedPolicyArn::new("arn:aws:iam::aws:policy/ReadOnlyAccess").unwrap();
        let scope = SessionScope { managed: [arn].into(), ..SessionScope::default() };
        assert!(!scope.policy(&window).unwrap().contains("Allow"));
    }
}

//! Credentials for a role, for a limited time.

use crate::text::{sts_name, text};
use crate::{AwsError, Secret};
use domain::{
    AccountId, Invalid, MANAGED_POLICIES_MAX, ManagedPolicyArn, RoleArn, SESSION_POLICY_MAX, SignedDuration,
    Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};

text!(
    /// The name of a role session. It appears in CloudTrail and in the assumed role's ARN.
    SessionName, "session name", "must be 2 to 64 of letters, digits and _+=,.@-", sts_name
);

text!(
    /// Who is behind a session: set once, kept through every role chained from it, appears in CloudTrail.
    SourceIdentity, "source identity", "must be 2 to 64 of letters, digits and _+=,.@-",
    sts_name
);

text!(
    /// What the trust policy of a role in another party's account asks for, against the confused deputy.
    RoleExternalId, "external id", "must be 2 to 1,224 of letters, digits and _+=,.@:/-",
    |text| (2..=1224).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&b))
);

text!(
    /// A policy that a session is cut down to: JSON of at most 2,048 characters. See [`crate::session_policy`].
    SessionPolicy, "session policy", "must be 1 to 2,048 printable characters",
    |text| !text.trim().is_empty() && text.chars().count() <= SESSION_POLICY_MAX
        && text.chars().all(|c| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{ff}'))
);

/// The shortest session that STS makes.
pub const DURATION_MIN: SignedDuration = SignedDuration::from_secs(900);

/// The longest session of any role.
pub const DURATION_MAX: SignedDuration = SignedDuration::from_hours(12);

/// The longest session of a role assumed from a role session (chaining), whatever the role says.
pub const CHAINED_DURATION_MAX: SignedDuration = SignedDuration::from_hours(1);

/// The most session tags.
pub const TAGS_MAX: usize = 50;

/// A call of AssumeRole whose parts are well formed, each and together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssumeRole {
    role: RoleArn,
    session_name: SessionName,
    duration: SignedDuration,
    policy: Option<SessionPolicy>,
    managed_policies: BTreeSet<ManagedPolicyArn>,
    source_identity: Option<SourceIdentity>,
    tags: BTreeMap<String, String>,
    transitive_tag_keys: BTreeSet<String>,
    external_id: Option<RoleExternalId>,
}

impl AssumeRole {
    /// A session of `role` called `session_name` for `duration` (whole seconds, 900 s to 12 h).
    pub fn new(role: RoleArn, session_name: SessionName, duration: SignedDuration) -> Result<Self, Invalid> {
        if duration < DURATION_MIN || duration > DURATION_MAX || duration.subsec_nanos() != 0 {
            return Err(Invalid::new(
                "session duration",
                "must be 900 seconds to 12 hours, in whole seconds",
            ));
        }
        Ok(Self {
            role,
            session_name,
            duration,
            policy: None,
            managed_policies: BTreeSet::new(),
            source_identity: None,
            tags: BTreeMap::new(),
            transitive_tag_keys: BTreeSet::new(),
            external_id: None,
        })
    }

    /// Cuts the session down to `policy`.
    #[must_use]
    pub fn with_policy(self, policy: SessionPolicy) -> Self {
        Self { policy: Some(policy), ..self }
    }

    /// Cuts the session down to these managed policies, together with [`with_policy`](Self::with_policy)'s: what any of them
    /// allows. At most 10, each of the role's partition, and AWS's own or of the role's account.
    pub fn with_managed_policies(self, policies: BTreeSet<ManagedPolicyArn>) -> Result<Self, Invalid> {
        let fits = |policy: &ManagedPolicyArn| {
            policy.partition() == Some(self.role.partition())
                && (policy.account().is_none() || policy.account() == self.role.account())
        };
        if policies.len() > MANAGED_POLICIES_MAX || !policies.iter().all(fits) {
            return Err(Invalid::new(
                "managed session policies",
                "must be at most 10, of the role's partition, and AWS's own or of the role's account",
            ));
        }
        Ok(Self { managed_policies: policies, ..self })
    }

    /// Says who is behind the session. Needs `sts:SetSourceIdentity` in the caller's policy and in the role's trust policy.
    #[must_use]
    pub fn with_source_identity(self, source_identity: SourceIdentity) -> Self {
        Self { source_identity: Some(source_identity), ..self }
    }

    /// Answers the trust policy's `sts:ExternalId`.
    #[must_use]
    pub fn with_external_id(self, external_id: RoleExternalId) -> Self {
        Self { external_id: Some(external_id), ..self }
    }

    /// Adds a session tag; a `transitive` one stays on every role chained from the session. Needs `sts:TagSession` on both
    /// sides. At most 50, keys of 1 to 128 characters, values of up to 256.
    pub fn with_tag(mut self, key: &str, value: &str, transitive: bool) -> Result<Self, Invalid> {
        if !(1..=128).contains(&key.chars().count())
            || !key.chars().all(tag_character)
            || key.to_ascii_lowercase().starts_with("aws:")
        {
            return Err(Invalid::new(
                "session tag key",
                "must be 1 to 128 of letters, digits, spaces and _.:/=+@-",
            ));
        }
        if value.chars().count() > 256 || !value.chars().all(tag_character) {
            return Err(Invalid::new(
                "session tag value",
                "must be up to 256 of letters, digits, spaces and _.:/=+@-",
            ));
        }
        // STS takes `Team` and `team` for one key.
        let repeated = self.tags.keys().any(|other| other.to_lowercase() == key.to_lowercase());
        if repeated
            || self.tags.insert(key.to_owned(), value.to_owned()).is_some()
            || self.tags.len() > TAGS_MAX
        {
            return Err(Invalid::new(
                "session tags",
                "must be at most 50, with keys that differ in more than case",
            ));
        }
        if transitive {
            self.transitive_tag_keys.insert(key.to_owned());
        }
        Ok(self)
    }

    /// The role.
    pub fn role(&self) -> &RoleArn {
        &self.role
    }

    /// The session's name.
    pub fn session_name(&self) -> &SessionName {
        &self.session_name
    }

    /// How long the credentials live.
    pub fn duration(&self) -> SignedDuration {
        self.duration
    }

    /// What the session is cut down to.
    pub fn policy(&self) -> Option<&SessionPolicy> {
        self.policy.as_ref()
    }

    /// The managed policies that the session is cut down to.
    pub fn managed_policies(&self) -> &BTreeSet<ManagedPolicyArn> {
        &self.managed_policies
    }

    /// Who is behind the session.
    pub fn source_identity(&self) -> Option<&SourceIdentity> {
        self.source_identity.as_ref()
    }

    /// The session's tags.
    pub fn tags(&self) -> &BTreeMap<String, String> {
        &self.tags
    }

    /// Which tags stay on chained sessions.
    pub fn transitive_tag_keys(&self) -> &BTreeSet<String> {
        &self.transitive_tag_keys
    }

    /// The external id.
    pub fn external_id(&self) -> Option<&RoleExternalId> {
        self.external_id.as_ref()
    }
}

/// `[\p{L}\p{Z}\p{N}_.:/=+\-@]`, as the STS reference says.
fn tag_character(c: char) -> bool {
    c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c)
}

/// Credentials that AWS has issued. INVARIANT: the secrets are in no `Debug` form.
#[derive(Clone, Debug)]
pub struct SessionCredentials {
    /// Names the session in CloudTrail; no secret.
    pub access_key_id: String,
    /// The secret.
    pub secret_access_key: Secret,
    /// The token that goes with it; a secret, too.
    pub session_token: Secret,
    /// From when on AWS refuses them.
    pub expires_at: Timestamp,
}

/// Who AWS takes us for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallerIdentity {
    /// The account.
    pub account: AccountId,
    /// The user or role session.
    pub arn: String,
}

impl CallerIdentity {
    /// Whether we are a role session ourselves (EKS, ECS, SSO), so that every role we assume is chained and gets at most
    /// [`CHAINED_DURATION_MAX`].
    pub fn is_role_session(&self) -> bool {
        self.arn.contains(":assumed-role/")
    }
}

/// AWS Security Token Service.
#[async_trait::async_trait]
pub trait Sts: Send + Sync + 'static {
    /// Credentials for a role. After an error of unknown outcome somebody in between may know them; they expire by themselves.
    async fn assume_role(&self, call: &AssumeRole) -> Result<SessionCredentials, AwsError>;

    /// Who AWS takes us for. Needs no permission.
    async fn caller_identity(&self) -> Result<CallerIdentity, AwsError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role() -> RoleArn {
        RoleArn::new("arn:aws:iam::111111111111:role/Admin").unwrap()
    }

    #[test]
    fn durations_outside_sts_bounds_are_refused() {
        let name = SessionName::new("ada").unwrap();
        for seconds in [0, 899, 43_201] {
            assert!(
                AssumeRole::new(role(), name.clone(), SignedDuration::from_secs(seconds)).is_err(),
                "{seconds}"
            );
        }
        for seconds in [900, 43_200] {
            assert!(
                AssumeRole::new(role(), name.clone(), SignedDuration::from_secs(seconds)).is_ok(),
                "{seconds}"
            );
        }
    }

    #[test]
    fn session_names_are_what_sts_accepts() {
        for good in ["ab", "ada@example.com", "daypass-1,x=y+z_", &"a".repeat(64)] {
            assert!(SessionName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "a", "a b", "a/b", "ä1", "a:b", &"a".repeat(65)] {
            assert!(SessionName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_blank_or_long_session_policy_is_refused() {
        assert!(SessionPolicy::new(" \n").is_err());
        assert!(SessionPolicy::new("x".repeat(SESSION_POLICY_MAX + 1)).is_err());
        assert!(SessionPolicy::new("x".repeat(SESSION_POLICY_MAX)).is_ok());
    }

    #[test]
    fn reserved_and_repeated_tag_keys_are_refused() {
        let call = AssumeRole::new(role(), SessionName::new("ada").unwrap(), DURATION_MIN).unwrap();
        assert!(call.clone().with_tag("aws:x", "1", false).is_err());
        assert!(call.clone().with_tag("AWS:x", "1", false).is_err());
        for again in ["k", "K"] {
            assert!(
                call.clone().with_tag("k", "1", true).unwrap().with_tag(again, "2", true).is_err(),
                "{again}"
            );
        }
    }

    #[test]
    fn managed_policies_that_the_role_cannot_have_are_refused() {
        let call = AssumeRole::new(role(), SessionName::new("ada").unwrap(), DURATION_MIN).unwrap();
        let with = |arns: &[&str]| {
            call.clone().with_managed_policies(arns.iter().map(|arn| arn.parse().unwrap()).collect())
        };
        assert!(with(&["arn:aws:iam::aws:policy/A", "arn:aws:iam::111111111111:policy/B"]).is_ok());
        assert!(with(&["arn:aws:iam::222222222222:policy/B"]).is_err(), "another account");
        assert!(with(&["arn:aws-cn:iam::aws:policy/A"]).is_err(), "another partition");
        let eleven: Vec<String> = (0..11).map(|i| format!("arn:aws:iam::aws:policy/P{i}")).collect();
        assert!(with(&eleven.iter().map(String::as_str).collect::<Vec<_>>()).is_err());
    }

    #[test]
    fn secrets_are_in_no_debug_form() {
        let credentials = SessionCredentials {
            access_key_id: "ASIA1".to_owned(),
            secret_access_key: Secret::new("canary-a"),
            session_token: Secret::new("canary-b"),
            expires_at: Timestamp::UNIX_EPOCH,
        };
        assert!(!format!("{credentials:?}").contains("canary"));
    }
}

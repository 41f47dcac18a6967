//! The organisation.

use domain::RoleArn;
use serde::Deserialize;
use service_runtime::config::{Problem, SecretRef, Section};

/// `[aws]`: which organisation. Needed by `request` (the directory), `activation` (the changes) and `daypass serve`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwsSection {
    /// The region of the Identity Center instance.
    pub region: String,
    /// Another endpoint for every AWS service: an emulator, a proxy.
    #[serde(default)]
    pub endpoint_url: Option<url::Url>,
    /// The Identity Center instance; found when there is only one.
    #[serde(default)]
    pub instance_arn: Option<String>,
    /// Its identity store; found with the instance.
    #[serde(default)]
    pub identity_store_id: Option<String>,
    /// Whether roles are given through Account Access Manager.
    #[serde(default)]
    pub account_access: bool,
    /// Its application; found when the instance has only one.
    #[serde(default)]
    pub account_access_application_arn: Option<String>,
    /// Another AWS Sign-In than the region's: an emulator.
    #[serde(default)]
    pub federation_url: Option<url::Url>,
    /// The role under which service control policies are written that end live sessions early. Left out: none are.
    #[serde(default)]
    pub session_denials_role_arn: Option<RoleArn>,
    /// A fixed access key, for emulators. Left out: the SDK's own chain, which is right for AWS.
    #[serde(default)]
    pub access_key_id: Option<String>,
    /// Where the secret of that access key is.
    #[serde(default)]
    pub secret_access_key: Option<SecretRef>,
    /// Seconds from the end of one reading of the directory to the next.
    #[serde(default = "directory_refresh_seconds")]
    pub directory_refresh_seconds: u64,
    /// Calls of Identity Center a second by which permission sets are read.
    #[serde(default = "permission_set_calls_per_second")]
    pub permission_set_calls_per_second: u32,
}

fn directory_refresh_seconds() -> u64 {
    300
}

fn permission_set_calls_per_second() -> u32 {
    4
}

impl Section for AwsSection {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.region.is_empty() {
            problems.push(Problem::new("region", "must not be empty"));
        }
        if self.access_key_id.is_some() != self.secret_access_key.is_some() {
            problems.push(Problem::new("secret_access_key", "goes with access_key_id, and not without"));
        }
        if self.account_access_application_arn.is_some() && !self.account_access {
            problems.push(Problem::new("account_access_application_arn", "goes with account_access = true"));
        }
        if self.directory_refresh_seconds == 0 {
            problems.push(Problem::new("directory_refresh_seconds", "must be above zero"));
        }
        if self.permission_set_calls_per_second == 0 {
            problems.push(Problem::new("permission_set_calls_per_second", "must be above zero"));
        }
        problems
    }
}

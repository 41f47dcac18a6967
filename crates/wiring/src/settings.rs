//! Everything that a program of Daypass can be told. `docs/configuration.md` describes every field.

use crate::StartError;
use aws::RoleExternalId;
use domain::{Person, RoleArn, SignedDuration};
use identity::IssuerConfig;
use serde::Deserialize;
use service_runtime::config::{
    ClientCredentials, Loader, LogConfig, NeighbourConfig, Problem, Problems, RolesConfig, Secret, SecretRef,
    Section, ServerConfig, SignalsConfig, TelemetryConfig,
};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use views::clock_health;

/// The sections of a configuration file. One file may serve all programs: each uses what it needs.
#[derive(Debug)]
pub struct Settings {
    /// `[server]`
    pub server: ServerConfig,
    /// `[[issuers]]`
    pub issuers: Vec<IssuerConfig>,
    /// `[roles]`
    pub roles: RolesConfig,
    /// `[log]`
    pub log: LogConfig,
    /// `[data]`
    pub data: DataSection,
    /// `[telemetry]`
    pub telemetry: TelemetryConfig,
    /// `[aws]`
    pub aws: Option<AwsSection>,
    /// The secret half of `[aws]`'s access key.
    pub aws_secret: Option<Secret>,
    /// `[clock]`
    pub clock: ClockSection,
    /// `[policy]`
    pub policy: PolicySection,
    /// `[requests]`
    pub requests: RequestsSection,
    /// `[raisers]`
    pub raisers: RaisersSection,
    /// `[signals]`
    pub signals: SignalsConfig,
    /// `[activation]`
    pub activation: ActivationSection,
    /// `[neighbours]`
    pub neighbours: Neighbours,
    /// `[client_credentials]`, with its secret.
    pub client_credentials: Option<(ClientCredentials, Secret)>,
}

/// `[data]`: files beside the log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSection {
    /// Where read models are kept: derived, and deletable. Each process has its own folder.
    pub folder: PathBuf,
    /// The key store: **not** derived. The processes of one machine share it. Default: `keys.db` in the folder.
    #[serde(default)]
    pub keys: Option<PathBuf>,
}

impl DataSection {
    /// The file of the key store.
    pub fn key_store(&self) -> PathBuf {
        self.keys.clone().unwrap_or_else(|| self.folder.join("keys.db"))
    }
}

impl Section for DataSection {}

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
}

fn directory_refresh_seconds() -> u64 {
    300
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
        problems
    }
}

/// `[clock]`: when the machine's clock is in doubt.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClockSection {
    /// How far it may be from AWS's and the log's.
    pub skew_max: SignedDuration,
}

impl Default for ClockSection {
    fn default() -> Self {
        Self { skew_max: clock_health::SKEW_MAX }
    }
}

impl Section for ClockSection {
    /// AWS's `Date` is cut to seconds: below two, most answers would prove nothing.
    fn problems(&self) -> Vec<Problem> {
        let bounds = SignedDuration::from_secs(2)..=SignedDuration::from_mins(1);
        if bounds.contains(&self.skew_max) {
            return Vec::new();
        }
        vec![Problem::new("skew_max", "must be from 2s to 1m")]
    }
}

/// `[policy]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicySection {
    /// A policy file that is applied if, and only if, no policy was ever applied.
    pub seed_file: Option<PathBuf>,
}

impl Section for PolicySection {}

/// `[requests]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RequestsSection {
    /// How many requests one person may have pending.
    pub pending_per_person_max: usize,
}

impl Default for RequestsSection {
    fn default() -> Self {
        Self { pending_per_person_max: 100 }
    }
}

impl Section for RequestsSection {
    fn problems(&self) -> Vec<Problem> {
        above_zero("pending_per_person_max", self.pending_per_person_max)
    }
}

/// `[raisers]`: programs that may raise a request for someone else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RaisersSection {
    /// Each by issuer and subject.
    pub people: BTreeSet<Person>,
}

impl Section for RaisersSection {}

/// `[activation]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ActivationSection {
    /// The external id that target roles ask for in their trust policy.
    pub external_id: Option<String>,
    /// Where AWS sends people whose console session is over.
    pub console_issuer: Option<url::Url>,
    /// How many times credentials are issued for one request.
    pub issues_per_request_max: usize,
    /// This replica's name among those on one log; the same after a restart, so that it goes on at once.
    pub replica: Option<String>,
    /// Calls of Identity Center a second.
    pub calls_per_second: usize,
    /// Creations and removals in Identity Center that are outstanding at a time.
    pub outstanding_max: usize,
    /// How long before a window's start access may be made where a queue would make it late.
    pub start_lead_max: SignedDuration,
    /// What becomes of access that someone else removed while a request needs it.
    pub missing: WhenMissing,
    /// Calls a second that looking through the whole organisation may make; zero: it is not looked through.
    pub organisation_sweep_calls_per_second: usize,
}

/// `activation.missing`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenMissing {
    /// It is made again.
    #[default]
    Restore,
    /// The request ends.
    End,
}

/// The longest start lead that can be set: what is asked of the past goes by it.
const START_LEAD_LIMIT: SignedDuration = SignedDuration::from_mins(5);

impl Default for ActivationSection {
    fn default() -> Self {
        Self {
            external_id: None,
            console_issuer: None,
            issues_per_request_max: 500,
            replica: None,
            calls_per_second: 20,
            outstanding_max: 10,
            start_lead_max: SignedDuration::ZERO,
            missing: WhenMissing::Restore,
            organisation_sweep_calls_per_second: 2,
        }
    }
}

impl Section for ActivationSection {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = above_zero("issues_per_request_max", self.issues_per_request_max);
        problems.extend(above_zero("calls_per_second", self.calls_per_second));
        problems.extend(above_zero("outstanding_max", self.outstanding_max));
        if self.replica.as_ref().is_some_and(|name| name.is_empty() || name.len() > 128) {
            problems.push(Problem::new("replica", "must have 1 to 128 characters"));
        }
        if !(SignedDuration::ZERO..=START_LEAD_LIMIT).contains(&self.start_lead_max) {
            problems.push(Problem::new("start_lead_max", "must be from 0s to 5m"));
        }
        problems
    }
}

fn above_zero(field: &str, number: usize) -> Vec<Problem> {
    if number == 0 { vec![Problem::new(field, "must be above zero")] } else { Vec::new() }
}

/// `[neighbours]`: other services of Daypass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Neighbours {
    /// Where the directory is.
    pub request: Option<NeighbourConfig>,
}

impl Section for Neighbours {
    fn problems(&self) -> Vec<Problem> {
        let of_request = self.request.iter().flat_map(NeighbourConfig::problems);
        of_request.map(|problem| Problem::new(format!("request.{}", problem.field), problem.why)).collect()
    }
}

impl Settings {
    /// Reads `file` and the environment. Everything that is wrong is told at once.
    pub fn read(file: &Path) -> Result<Self, Problems> {
        Self::from_loader(Loader::read(file)?)
    }

    /// Whether roles are given through Account Access Manager.
    pub fn has_account_access(&self) -> bool {
        self.aws.as_ref().is_some_and(|aws| aws.account_access)
    }

    /// The external id that target roles ask for.
    pub fn role_external_id(&self) -> Result<Option<RoleExternalId>, StartError> {
        let wrong = |invalid| StartError::Other(format!("activation.external_id: {invalid}"));
        self.activation.external_id.clone().map(RoleExternalId::new).transpose().map_err(wrong)
    }

    /// Reads what `loader` has.
    pub fn from_loader(mut loader: Loader) -> Result<Self, Problems> {
        let server = loader.required("server");
        let issuers = loader.issuers();
        let roles = loader.or_default("roles");
        let log = loader.required("log");
        let data = loader.required("data");
        let telemetry = loader.or_default("telemetry");
        let aws: Option<AwsSection> = loader.optional("aws");
        let clock = loader.or_default("clock");
        let policy = loader.or_default("policy");
        let requests = loader.or_default("requests");
        let raisers = loader.or_default("raisers");
        let signals = loader.or_default("signals");
        let activation = loader.or_default("activation");
        let neighbours = loader.or_default("neighbours");
        let client: Option<ClientCredentials> = loader.optional("client_credentials");
        let aws_secret = aws
            .as_ref()
            .and_then(|aws| aws.secret_access_key.as_ref())
            .and_then(|secret| loader.secret("aws.secret_access_key", secret));
        let client_credentials = client.and_then(|client| {
            let secret = loader.secret("client_credentials.client_secret", &client.client_secret)?;
            Some((client, secret))
        });
        loader.finish()?;
        let missing = |name: &str| Problems(vec![Problem::new(name, "is missing")]);
        Ok(Self {
            server: server.ok_or_else(|| missing("server"))?,
            issuers,
            roles,
            log: log.ok_or_else(|| missing("log"))?,
            data: data.ok_or_else(|| missing("data"))?,
            telemetry,
            aws,
            aws_secret,
            clock,
            policy,
            requests,
            raisers,
            signals,
            activation,
            neighbours,
            client_credentials,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(toml: &str) -> Result<Settings, Problems> {
        Settings::from_loader(Loader::new(toml, []))
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let problems = read(
            "[server]\nlisten = \"nowhere\"\n[log]\nengine = \"sqlite\"\npath = \"\"\n[aws]\nregion = \"\"\n[nonsense]\nx = 1\n",
        )
        .unwrap_err();
        let fields: Vec<&str> = problems.0.iter().map(|problem| problem.field.as_str()).collect();
        for field in ["server.listen", "log.path", "aws.region", "nonsense", "data", "issuers"] {
            assert!(fields.contains(&field), "{field} is not among {fields:?}");
        }
    }

    #[test]
    fn a_small_configuration_is_enough() {
        let settings = read(
            "[server]\nlisten = \"127.0.0.1:0\"\n[log]\nengine = \"sqlite\"\npath = \"log.db\"\n[data]\nfolder = \"data\"\n
             [[issuers]]\nissuer = \"https://idp.example\"\naudiences = [\"https://daypass.example\"]\nalgorithms = [\"RS256\"]\n",
        )
        .unwrap();
        assert_eq!(settings.data.key_store(), Path::new("data/keys.db"));
    }
}

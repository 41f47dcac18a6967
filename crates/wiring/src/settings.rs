//! Everything that a program of Daypass can be told. `docs/configuration.md` describes every field.

use crate::{StartError, engine};
use aws::RoleExternalId;
use domain::{Person, RoleArn, SignedDuration};
use identity::IssuerConfig;
use journal::level::{self, WriteLevel};
use serde::Deserialize;
use service_runtime::config::{
    ClientCertificateConfig, ClientCredentials, Loader, LogConfig, NeighbourConfig, Problem, Problems,
    RolesConfig, Secret, SecretRef, Section, ServerConfig, SignalsConfig, TelemetryConfig,
};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use views::clock_health;

/// The sections of a configuration file. One file may serve all programs: each uses what it needs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `[server]`
    pub server: ServerConfig,
    /// `[[issuers]]`
    pub issuers: Vec<IssuerConfig>,
    /// `[roles]`
    pub roles: RolesConfig,
    /// `[log]`
    pub log: LogConfig,
    /// `[bus]`
    pub bus: Option<BusSection>,
    /// `[data]`
    pub data: DataSection,
    /// `[keys]`, or the file of `[data]`.
    pub keys: KeysSection,
    /// `[upgrade]`
    pub upgrade: UpgradeSection,
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
    /// `[client_certificate]`
    pub client_certificate: Option<ClientCertificateConfig>,
}

/// `[bus]`: NATS, for events to others and signals from them. It may be the cluster that has the log, or another.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BusSection {
    /// URLs: `nats://` or `tls://`.
    pub servers: Vec<String>,
    /// A NATS credentials file.
    #[serde(default)]
    pub credentials_file: Option<PathBuf>,
    /// An NKey seed file.
    #[serde(default)]
    pub nkey_seed_file: Option<PathBuf>,
    /// The CA of the servers.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Copies of every message in a stream that Daypass makes.
    #[serde(default = "bus_replicas")]
    pub replicas: usize,
}

impl BusSection {
    /// A bus on one server without credentials, for development.
    pub fn of_one(server: &str) -> Self {
        Self {
            servers: vec![server.to_owned()],
            credentials_file: None,
            nkey_seed_file: None,
            ca_file: None,
            replicas: 1,
        }
    }
}

fn bus_replicas() -> usize {
    3
}

impl Section for BusSection {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = above_zero("replicas", self.replicas);
        if self.servers.is_empty() {
            problems.push(Problem::new("servers", "must have at least one URL"));
        }
        if self.credentials_file.is_some() && self.nkey_seed_file.is_some() {
            problems.push(Problem::new("nkey_seed_file", "must not be given beside credentials_file"));
        }
        problems
    }
}

/// `[data]`: files beside the log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSection {
    /// Where read models are kept: derived, and deletable. Each process has its own folder.
    pub folder: PathBuf,
    /// The key store: **not** derived. The processes of one machine share it. Default: `keys.db` in the folder. Several machines:
    /// [`KeysSection`].
    #[serde(default)]
    pub keys: Option<PathBuf>,
}

impl DataSection {
    /// The key store, where `[keys]` does not name one.
    fn key_store(&self) -> KeysSection {
        KeysSection::Sqlite { path: self.keys.clone().unwrap_or_else(|| self.folder.join("keys.db")) }
    }
}

impl Section for DataSection {}

/// `[keys]`: the key store, where it is not the file of `[data]`. **Not** derived.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "engine", rename_all = "lowercase", deny_unknown_fields)]
pub enum KeysSection {
    /// One machine, whose processes share it.
    Sqlite {
        /// The file.
        path: PathBuf,
    },
    /// Several machines.
    Jetstream {
        /// URLs: `nats://` or `tls://`.
        servers: Vec<String>,
        /// A NATS credentials file.
        #[serde(default)]
        credentials_file: Option<PathBuf>,
        /// An NKey seed file.
        #[serde(default)]
        nkey_seed_file: Option<PathBuf>,
        /// The CA of the servers.
        #[serde(default)]
        ca_file: Option<PathBuf>,
        /// Copies of every key.
        #[serde(default = "key_replicas")]
        replicas: usize,
        /// Allows fewer copies.
        #[serde(default)]
        dev: bool,
        /// The keys of the deployment that people's keys are stored under, one a line, 64 hexadecimal digits each; the first wraps.
        wrapping_keys_file: PathBuf,
    },
}

fn key_replicas() -> usize {
    3
}

impl Section for KeysSection {
    fn problems(&self) -> Vec<Problem> {
        match self {
            Self::Sqlite { path } if path.as_os_str().is_empty() => {
                vec![Problem::new("path", "must not be empty")]
            }
            Self::Sqlite { .. } => Vec::new(),
            Self::Jetstream { servers, credentials_file, nkey_seed_file, replicas, dev, .. } => {
                let mut problems = Vec::new();
                if servers.is_empty() {
                    problems.push(Problem::new("servers", "must have at least one URL"));
                }
                if credentials_file.is_some() && nkey_seed_file.is_some() {
                    problems
                        .push(Problem::new("nkey_seed_file", "must not be given beside credentials_file"));
                }
                if *replicas == 0 || (*replicas < 3 && !dev) {
                    problems.push(Problem::new("replicas", "must be at least 3"));
                }
                problems
            }
        }
    }
}

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

/// `[upgrade]`: what holds while processes of two releases share a log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UpgradeSection {
    /// What is written at most; raised when no process of the release before is left.
    pub write_level: WriteLevel,
}

impl Default for UpgradeSection {
    fn default() -> Self {
        Self { write_level: level::DEFAULT }
    }
}

impl Section for UpgradeSection {
    fn problems(&self) -> Vec<Problem> {
        if (level::FIRST..=level::NEWEST).contains(&self.write_level) {
            return Vec::new();
        }
        let why = format!(
            "must be from {} to {}, the newest that this program writes",
            level::FIRST,
            level::NEWEST
        );
        vec![Problem::new("write_level", why)]
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
        let bus = loader.optional("bus");
        let data: Option<DataSection> = loader.required("data");
        let keys: Option<KeysSection> = loader.optional("keys");
        let upgrade = loader.or_default("upgrade");
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
        let client_certificate = loader.optional("client_certificate");
        let aws_secret = aws
            .as_ref()
            .and_then(|aws| aws.secret_access_key.as_ref())
            .and_then(|secret| loader.secret("aws.secret_access_key", secret));
        let client_credentials = client.and_then(|client| {
            let secret = loader.secret("client_credentials.client_secret", &client.client_secret)?;
            Some((client, secret))
        });
        loader.finish()?;
        if let Some(problem) = log.as_ref().and_then(engine::problem) {
            return Err(Problems(vec![problem]));
        }
        if keys.is_some() && data.as_ref().is_some_and(|data| data.keys.is_some()) {
            return Err(Problems(vec![Problem::new("data.keys", "must not be given beside [keys]")]));
        }
        let missing = |name: &str| Problems(vec![Problem::new(name, "is missing")]);
        let data = data.ok_or_else(|| missing("data"))?;
        Ok(Self {
            server: server.ok_or_else(|| missing("server"))?,
            issuers,
            roles,
            log: log.ok_or_else(|| missing("log"))?,
            bus,
            keys: keys.unwrap_or_else(|| data.key_store()),
            data,
            upgrade,
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
            client_certificate,
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
        assert_eq!(settings.keys, KeysSection::Sqlite { path: "data/keys.db".into() });
    }

    fn on_kurrentdb(rest: &str) -> Result<Settings, Problems> {
        read(&format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n[data]\nfolder = \"data\"\n\
             [[issuers]]\nissuer = \"https://idp.example\"\naudiences = [\"https://daypass.example\"]\nalgorithms = [\"RS256\"]\n\
             [log]\nengine = \"kurrentdb\"\n{rest}"
        ))
    }

    #[test]
    #[cfg(not(feature = "kurrentdb"))]
    fn a_program_without_kurrentdb_says_so() {
        let problems = on_kurrentdb("connection = \"kurrentdb://host\"\n").unwrap_err();
        let problem = problems.0.first().unwrap();
        assert_eq!(problem.field, "log.engine");
        assert!(problem.why.contains("feature `kurrentdb`"), "{}", problem.why);
    }

    #[test]
    #[cfg(feature = "kurrentdb")]
    fn a_program_with_kurrentdb_takes_it() {
        assert!(on_kurrentdb("connection = \"kurrentdb://host\"\n").is_ok());
    }

    #[test]
    fn kurrentdbs_password_is_in_a_file_of_its_own() {
        for (rest, field) in [
            ("connection = \"kurrentdb://log:secret@host\"\n", "log.connection"),
            ("connection = \"kurrentdb://host\"\nuser = \"log\"\n", "log.password_file"),
            ("connection = \"kurrentdb://host\"\npassword_file = \"p\"\n", "log.password_file"),
            ("connection = \"\"\n", "log.connection"),
        ] {
            let problems = on_kurrentdb(rest).unwrap_err();
            assert!(problems.0.iter().any(|problem| problem.field == field), "{rest}: {problems:?}");
            assert!(!format!("{problems:?}").contains("secret"), "{problems:?}");
        }
    }

    #[test]
    fn there_is_one_key_store() {
        let small = "[server]\nlisten = \"127.0.0.1:0\"\n[log]\nengine = \"sqlite\"\npath = \"log.db\"\n\
            [[issuers]]\nissuer = \"https://idp.example\"\naudiences = [\"https://daypass.example\"]\nalgorithms = [\"RS256\"]\n\
            [keys]\nengine = \"sqlite\"\npath = \"k.db\"\n";
        let settings = read(&format!("{small}[data]\nfolder = \"data\"\n")).unwrap();
        assert_eq!(settings.keys, KeysSection::Sqlite { path: "k.db".into() });
        let both = read(&format!("{small}[data]\nfolder = \"data\"\nkeys = \"keys.db\"\n")).unwrap_err();
        assert_eq!(both.0.first().unwrap().field, "data.keys");
    }

    #[test]
    fn keys_on_fewer_than_three_servers_are_for_development() {
        let keys = |rest: &str| {
            let toml = format!(
                "[keys]\nengine = \"jetstream\"\nservers = [\"nats://n\"]\nwrapping_keys_file = \"w\"\n{rest}"
            );
            let problems = read(&toml).unwrap_err();
            problems.0.iter().any(|problem| problem.field == "keys.replicas")
        };
        assert!(keys("replicas = 1\n"));
        assert!(!keys("replicas = 1\ndev = true\n") && !keys(""));
    }
}

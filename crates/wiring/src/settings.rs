//! Everything that a program of Daypass can be told. `docs/configuration.md` describes every field.

mod activation;
mod aws;
mod house;
mod storage;

use crate::{StartError, engine};
use ::aws::{Limits, RoleExternalId};
pub use activation::{ActivationSection, WhenMissing};
pub use aws::AwsSection;
pub use house::{ClockSection, Neighbours, PolicySection, RaisersSection, RequestsSection, UpgradeSection};
use identity::IssuerConfig;
use service_runtime::config::{
    ClientCertificateConfig, ClientCredentials, Loader, LogConfig, Problem, Problems, RolesConfig, Secret,
    ServerConfig, SignalsConfig, TelemetryConfig,
};
use std::path::Path;
pub use storage::{BusSection, DataSection, KeysSection};

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

fn above_zero(field: &str, number: usize) -> Vec<Problem> {
    if number == 0 { vec![Problem::new(field, "must be above zero")] } else { Vec::new() }
}

/// Identity Center has one limit for reading permission sets and for changing assignments: each has its part, in whatever processes
/// they are done.
fn too_many_calls(aws: Option<&AwsSection>, activation: &ActivationSection) -> Option<Problem> {
    let reading = usize::try_from(aws?.permission_set_calls_per_second).unwrap_or(usize::MAX);
    let limit = Limits::IDENTITY_CENTER.calls_per_second;
    (activation.calls_per_second.saturating_add(reading) > limit).then(|| {
        let why = format!("must be at most {limit} together with aws.permission_set_calls_per_second");
        Problem::new("activation.calls_per_second", why)
    })
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
        let activation: ActivationSection = loader.or_default("activation");
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
        if let Some(problem) = too_many_calls(aws.as_ref(), &activation) {
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

    #[test]
    fn reading_and_changing_keep_to_the_limit_of_identity_center_together() {
        let with = |reading: &str, changing: &str| {
            read(&format!(
                "[server]\nlisten = \"127.0.0.1:0\"\n[log]\nengine = \"sqlite\"\npath = \"log.db\"\n[data]\nfolder = \"data\"\n\
                 [[issuers]]\nissuer = \"https://idp.example\"\naudiences = [\"https://daypass.example\"]\nalgorithms = [\"RS256\"]\n\
                 [aws]\nregion = \"eu-central-1\"\n{reading}\n[activation]\n{changing}\n"
            ))
        };
        let (reading, changing) = ("permission_set_calls_per_second = 1", "calls_per_second = 19");
        assert!(with("", "").is_ok() && with(reading, changing).is_ok());
        for (reading, changing) in [("", changing), ("permission_set_calls_per_second = 5", "")] {
            let problems = with(reading, changing).unwrap_err();
            assert_eq!(problems.0.first().unwrap().field, "activation.calls_per_second");
        }
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

//! What the `main.rs` of a service is: arguments, configuration, the parts, the run.

use crate::cloud::{self, Cloud};
use crate::process::{Parts, Process, StartError, Work};
use crate::start;
use crate::time_watch::machine_clock;
use crate::{Settings, engine, key_store};
use aws::{DirectorySource, RefreshPace};
use clap::Parser;
use domain::ports::SharedEntropy;
use domain::{Actor, ActorKind, Person};
use identity::Authenticator;
use service_runtime::clock::SystemEntropy;
use service_runtime::config::NeighbourConfig;
use service_runtime::outgoing::{self, Connection, Ourselves};
use service_runtime::roles::Roles;
use service_runtime::token_source::TokenSource;
use service_runtime::{shutdown, telemetry, tls};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use views::remote_directory::GrpcDirectory;

/// How often a neighbour is asked for its directory, and the longest pause while it does not answer: it answers from memory, with
/// nothing while it has nothing newer, and once it is back, nobody shall wait for its directory.
const NEIGHBOUR_REFRESH: Duration = Duration::from_secs(10);

#[derive(Parser)]
#[command(version, about = "A service of Daypass. docs/configuration.md describes its configuration.")]
struct Arguments {
    /// The configuration file.
    #[arg(long, env = "DAYPASS_CONFIG")]
    config: PathBuf,
    /// Only say what is wrong with the configuration.
    #[arg(long)]
    check: bool,
}

/// A process that a program can give work to.
pub struct Built {
    /// The process.
    pub process: Process,
    /// Its configuration.
    pub settings: Settings,
    /// AWS, if it is configured.
    pub cloud: Option<Cloud>,
    /// Tells everything to end.
    pub shutdown: CancellationToken,
}

impl Built {
    /// Opens everything that `settings` name.
    pub async fn from_settings(settings: Settings, shutdown: CancellationToken) -> Result<Self, StartError> {
        let clock = machine_clock(settings.clock.skew_max);
        let entropy: SharedEntropy = Arc::new(SystemEntropy);
        let cloud = match &settings.aws {
            None => None,
            Some(section) => {
                let connected = cloud::connect(section, settings.aws_secret.as_ref(), clock.clone()).await;
                Some(connected.map_err(|error| start::cloud_error(&error))?)
            }
        };
        let (directory, pace) = directory(&settings, cloud.as_ref())?;
        let folder = settings.data.folder.clone();
        std::fs::create_dir_all(&folder)
            .map_err(|error| StartError::File { path: folder.display().to_string(), error })?;
        let authenticator = Authenticator::new(settings.issuers.clone(), clock.clone())
            .map_err(|error| StartError::Other(error.to_string()))?;
        let roles = Roles::new(&settings.roles)
            .map_err(|problems| StartError::Other(format!("roles: {} problems", problems.len())))?;
        let parts = Parts {
            log: engine::open(&settings.log, entropy.as_ref()).await?.held_back(settings.upgrade.write_level),
            folder,
            keys: key_store::open(&settings.keys, entropy.clone()).await?,
            directory,
            partition: cloud.as_ref().map(|cloud| cloud.partition),
            pace,
            aws: cloud.as_ref().map(|cloud| Arc::clone(&cloud.sts)),
            authenticator: Arc::new(authenticator),
            roles,
            raisers: settings.raisers.people.clone(),
            clock,
            entropy,
        };
        Ok(Self { process: Process::new(parts).await?, settings, cloud, shutdown })
    }
}

/// The organisation: from AWS where that is configured, else from the neighbour that has it.
fn directory(
    settings: &Settings,
    cloud: Option<&Cloud>,
) -> Result<(Arc<dyn DirectorySource>, RefreshPace), StartError> {
    // `activation` changes AWS and still takes the directory from the service that reads it.
    if let Some(neighbour) = &settings.neighbours.request {
        return from_neighbour(settings, neighbour);
    }
    match (cloud, &settings.aws) {
        (Some(cloud), Some(section)) => Ok((Arc::clone(&cloud.directory), cloud::pace(section))),
        (None, _) | (_, None) => Err(StartError::Other(
            "[aws] or [neighbours.request]: one of the two must say where the directory is".into(),
        )),
    }
}

fn from_neighbour(
    settings: &Settings,
    config: &NeighbourConfig,
) -> Result<(Arc<dyn DirectorySource>, RefreshPace), StartError> {
    let connection = neighbour(settings, config)?;
    let pace =
        RefreshPace { interval: NEIGHBOUR_REFRESH, backoff_max: NEIGHBOUR_REFRESH, ..RefreshPace::default() };
    Ok((Arc::new(GrpcDirectory::new(connection)), pace))
}

/// The way to a neighbour, as ourselves.
pub fn neighbour(settings: &Settings, config: &NeighbourConfig) -> Result<Connection, StartError> {
    let tokens = settings
        .client_credentials
        .as_ref()
        .map(|(client, secret)| TokenSource::new(client.clone(), secret.clone()))
        .transpose()
        .map_err(|error| StartError::Other(error.to_string()))?;
    let ourselves =
        Ourselves { tokens: tokens.map(Arc::new), certificate: settings.client_certificate.clone() };
    outgoing::connect(config, ourselves).map_err(|error| StartError::Other(error.to_string()))
}

/// The full names of the services of a package, for health.
pub fn services_of(package: &str) -> Vec<&'static str> {
    let of_package = |name: &&str| name.strip_prefix(package).is_some_and(|rest| rest.starts_with('.'));
    let names: BTreeSet<&str> = api::METHODS.iter().map(|method| method.service).filter(of_package).collect();
    names.into_iter().collect()
}

/// A program as an actor: who seeds a policy at start-up. It has this name in no token.
pub fn this_program(name: &str) -> Result<Actor, StartError> {
    let person =
        Person::new("daypass:program", name).map_err(|invalid| StartError::Other(invalid.to_string()))?;
    Ok(Actor { person, kind: ActorKind::Workload, client_id: None, auth_time: None, acr: None })
}

/// The text of the policy file that is applied to an empty log, if one is configured.
pub fn seed_text(settings: &Settings) -> Result<Option<String>, StartError> {
    let read = |path: &PathBuf| {
        std::fs::read_to_string(path)
            .map_err(|error| StartError::File { path: path.display().to_string(), error })
    };
    settings.policy.seed_file.as_ref().map(read).transpose()
}

/// Runs one service: `work_of` makes its work out of the process. It may be asked again, while something that it rests on is not
/// there yet.
pub async fn program(
    name: &'static str,
    work_of: impl AsyncFn(&Built) -> Result<Work, StartError>,
) -> ExitCode {
    let arguments = Arguments::parse();
    tls::install_provider();
    let settings = match Settings::read(&arguments.config) {
        Ok(settings) => settings,
        Err(problems) => {
            for problem in &problems.0 {
                complain(&problem.to_string());
            }
            return ExitCode::from(2);
        }
    };
    if arguments.check {
        return ExitCode::SUCCESS;
    }
    let telemetry = match telemetry::init(&settings.telemetry, name) {
        Ok(telemetry) => telemetry,
        Err(error) => {
            complain(&error.to_string());
            return ExitCode::FAILURE;
        }
    };
    let code = match Box::pin(start::serve(settings, shutdown::on_signal(), work_of)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the service ended");
            ExitCode::FAILURE
        }
    };
    telemetry.shutdown();
    code
}

#[expect(clippy::print_stderr, reason = "there is no telemetry yet, and an operator waits for an answer")]
fn complain(problem: &str) {
    eprintln!("{problem}");
}

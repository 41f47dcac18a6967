//! `daypass dev`: everything in one process, on embedded defaults, to try Daypass out.

mod sign_in;

use crate::all;
use crate::place::NatsServers;
use aws::simulated::{Behaviour, SimulatedAccountAccess, SimulatedAws, sample};
use aws::{Contents, RefreshPace};
use domain::ports::{SharedClock, SharedEntropy};
use journal::key_store::SqliteKeyStore;
use service_runtime::clock::SystemEntropy;
use service_runtime::config::{LogConfig, RolesConfig, ServerConfig, TelemetryConfig, WebConfig};
use service_runtime::roles::Roles;
use service_runtime::server::Bound;
use service_runtime::{shutdown, telemetry};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use wiring::cloud::{self, Cloud};
use wiring::{AwsSection, BusSection, Parts, Process, StartError, engine};

const POLICY: &str = include_str!("dev/policy.toml");

/// Starts all services in this process, with a simulated AWS and one person per role.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:7400")]
    listen: SocketAddr,
    /// Where everything is kept; delete it to start over.
    #[arg(long, default_value = "data/dev")]
    dev_folder: PathBuf,
    /// Use the AWS SDK against this endpoint instead of the simulated AWS. Credentials come from the environment as usual;
    /// without any, those that emulators accept are used.
    #[arg(long)]
    aws_endpoint: Option<url::Url>,
    /// The region of the Identity Center instance.
    #[arg(long, default_value = "us-east-1", requires = "aws_endpoint")]
    aws_region: String,
    /// The Identity Center instance; found when there is only one.
    #[arg(long, requires = "aws_endpoint")]
    aws_instance_arn: Option<String>,
    /// Its identity store; found with the instance.
    #[arg(long, requires = "aws_endpoint")]
    aws_identity_store_id: Option<String>,
    /// A policy file to begin with, instead of the sample. Only an empty log takes it.
    #[arg(long)]
    policy: Option<PathBuf>,
    /// Keep the log on this NATS server (JetStream) instead of a SQLite file.
    #[arg(long, value_name = "URL")]
    nats: Option<String>,
    /// Where that server can be asked about its settings: `http://127.0.0.1:8222`.
    #[arg(long, value_name = "URL", requires = "nats")]
    nats_monitoring: Option<String>,
    /// Publish events for others on this NATS server (JetStream).
    #[arg(long, value_name = "URL")]
    bus: Option<String>,
    /// How many requests one person may have pending.
    #[arg(long, default_value_t = request::PENDING_PER_PERSON_MAX)]
    pending_max: usize,
    /// How many accounts the simulated AWS has besides the sample's, to see what a large organisation is like.
    #[arg(long, default_value_t = 0, conflicts_with = "aws_endpoint")]
    more_accounts: u32,
    /// The same of permission sets.
    #[arg(long, default_value_t = 0, conflicts_with = "aws_endpoint")]
    more_permission_sets: u32,
    /// The same of developers, who cannot sign in.
    #[arg(long, default_value_t = 0, conflicts_with = "aws_endpoint")]
    more_developers: u32,
    /// How much to log: `info`, `debug`, `info,activation=debug`.
    #[arg(long, default_value = "warn")]
    log: String,
}

pub(crate) async fn run(arguments: Arguments) -> ExitCode {
    let telemetry = match telemetry::init(&TelemetryConfig::for_people(&arguments.log), "daypass") {
        Ok(telemetry) => telemetry,
        Err(error) => return crate::error::complain(&error),
    };
    let code = match Box::pin(start(arguments)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => crate::error::complain(&error),
    };
    telemetry.shutdown();
    code
}

async fn start(arguments: Arguments) -> Result<(), StartError> {
    let clock = wiring::machine_clock(views::clock_health::SKEW_MAX);
    let entropy: SharedEntropy = Arc::new(SystemEntropy);
    let folder = arguments.dev_folder.clone();
    std::fs::create_dir_all(&folder)
        .map_err(|error| StartError::File { path: folder.display().to_string(), error })?;
    let (cloud, organisation) = open_cloud(&arguments, &clock).await?;
    let authenticator = sign_in::issue(&folder, &directory_ids(organisation.as_ref()), &clock)?;
    let policy = policy(&arguments, organisation.as_ref())?;
    let parts = Parts {
        log: engine::open(&log_config(&arguments), entropy.as_ref()).await?,
        folder: folder.clone(),
        keys: Arc::new(SqliteKeyStore::open(&folder.join("keys.db"), entropy.clone())?),
        directory: Arc::clone(&cloud.directory),
        partition: Some(cloud.partition),
        aws: Some(Arc::clone(&cloud.sts)),
        pace: RefreshPace { interval: std::time::Duration::from_secs(30), ..RefreshPace::default() },
        authenticator: Arc::new(authenticator),
        roles: roles(organisation.as_ref())?,
        raisers: std::collections::BTreeSet::new(),
        clock,
        entropy,
    };
    let shutdown = shutdown::on_signal();
    let process = Process::new(parts).await?;
    let seed = Some((policy.as_str(), wiring::this_program("dev")?));
    let alone = arguments.nats.is_none().then(|| "dev".to_owned());
    let mut bus = all::Bus::default();
    if let Some(server) = &arguments.bus {
        let relay = audit::RelaySettings { replica: alone.clone(), ..audit::RelaySettings::default() };
        bus.outgoing = Some((wiring::bus::outgoing(&BusSection::of_one(server)).await?, relay));
    }
    let settings = activation::Settings { replica: alone, ..activation::Settings::default() };
    let chosen = (arguments.pending_max, request::Sources::default(), settings);
    let work = all::work(&process.views, &cloud, &folder, chosen, bus, seed, &shutdown).await?;
    let simulated = arguments.aws_endpoint.is_none();
    let bound = Bound::new(server(arguments.listen))?;
    process.run(bound, work, shutdown, |address| say_what_to_try(address, &folder, simulated)).await
}

fn log_config(arguments: &Arguments) -> LogConfig {
    match &arguments.nats {
        None => LogConfig::Sqlite { path: arguments.dev_folder.join("log.db") },
        Some(server) => {
            let monitoring = arguments.nats_monitoring.clone().into_iter().collect();
            let servers = server.split(',').map(ToOwned::to_owned).collect();
            NatsServers { monitoring, dev: true, ..NatsServers::default() }.log(servers)
        }
    }
}

/// AWS, and the organisation as the SDK reads it; `None` for the simulated one.
async fn open_cloud(
    arguments: &Arguments,
    clock: &SharedClock,
) -> Result<(Cloud, Option<Contents>), StartError> {
    let Some(endpoint) = &arguments.aws_endpoint else {
        let aws = Arc::new(SimulatedAws::with_sample_organisation(
            clock.clone(),
            Behaviour::default(),
            sign_in::ISSUER,
        ));
        let more = sample::More {
            accounts: arguments.more_accounts,
            permission_sets: arguments.more_permission_sets,
            developers: arguments.more_developers,
        };
        aws.change_directory(|contents| sample::enlarge(contents, sign_in::ISSUER, more));
        let cloud = Cloud {
            sts: aws.clone(),
            federation: aws.clone(),
            assignments: aws.clone(),
            account_access: Some(Arc::new(SimulatedAccountAccess::new(aws.clone()))),
            session_denials: None,
            directory: aws,
            partition: domain::Partition::Aws,
        };
        return Ok((cloud, None));
    };
    let emulator = std::env::var_os("AWS_ACCESS_KEY_ID").is_none();
    let section = AwsSection {
        region: arguments.aws_region.clone(),
        endpoint_url: Some(endpoint.clone()),
        instance_arn: arguments.aws_instance_arn.clone(),
        identity_store_id: arguments.aws_identity_store_id.clone(),
        account_access: false,
        account_access_application_arn: None,
        federation_url: None,
        session_denials_role_arn: None,
        access_key_id: emulator.then(|| "daypass-dev".to_owned()),
        secret_access_key: None,
        directory_refresh_seconds: 30,
        permission_set_calls_per_second: 12,
    };
    let secret = emulator.then(|| service_runtime::config::Secret::new("daypass-dev"));
    let other = |error: &dyn std::fmt::Display| StartError::Other(format!("{endpoint}: {error}"));
    let cloud =
        cloud::connect(&section, secret.as_ref(), clock.clone()).await.map_err(|error| other(&error))?;
    let contents = cloud.directory.fetch().await.map_err(|error| other(&error))?;
    Ok((cloud, Some(contents)))
}

/// Which user of Identity Center each person is: the one of the same name. The simulated AWS knows them by name already.
fn directory_ids(organisation: Option<&Contents>) -> BTreeMap<&'static str, String> {
    let users = organisation.iter().flat_map(|contents| &contents.users);
    let ids: BTreeMap<&str, String> =
        users.map(|(id, user)| (user.user_name.as_str(), id.to_string())).collect();
    sign_in::PEOPLE.iter().filter_map(|(name, _)| Some((*name, ids.get(name)?.clone()))).collect()
}

/// The policy to begin with.
fn policy(arguments: &Arguments, organisation: Option<&Contents>) -> Result<String, StartError> {
    if let Some(file) = &arguments.policy {
        return std::fs::read_to_string(file)
            .map_err(|error| StartError::File { path: file.display().to_string(), error });
    }
    Ok(organisation.map_or_else(|| POLICY.to_owned(), policy_for))
}

/// For an organisation that is not the sample: every permission set in every account for Ada, once Bob or Carol agrees.
fn policy_for(organisation: &Contents) -> String {
    let settings = "[settings]\nduration_min = \"10s\"\n";
    if organisation.permission_sets.is_empty() {
        tracing::warn!("there are no permission sets to ask for: the policy begins without rules");
        return settings.to_owned();
    }
    let sets: Vec<String> =
        organisation.permission_sets.keys().map(|arn| format!("{:?}", arn.as_str())).collect();
    let person = |name: &str| format!("{{ issuer = {:?}, subject = {name:?} }}", sign_in::ISSUER);
    format!(
        "{settings}\n[[rules]]\nid = \"anything\"\nrequesters = {{ people = [{}] }}\n\
         targets = {{ all_accounts = true, permission_sets = [{}] }}\nduration_max = \"8h\"\n\
         provider = \"identity_center\"\nplan = [{{ count = 1, people = [{}, {}] }}]\n",
        person("ada"),
        sets.join(", "),
        person("bob"),
        person("carol"),
    )
}

/// Administrators and auditors: by the sample's groups, or by groups of the same names.
fn roles(organisation: Option<&Contents>) -> Result<Roles, StartError> {
    let group = |name: &str| {
        let known = organisation.iter().flat_map(|contents| &contents.groups);
        let id = known.filter(|(_, group)| group.display_name == name).map(|(id, _)| id.to_string()).next();
        format!("{}:{}", views::who::IDENTITY_STORE, id.unwrap_or_else(|| name.to_owned()))
    };
    let config = RolesConfig {
        administrators: vec![group("admins")],
        auditors: vec![group("auditors")],
        services: Vec::new(),
    };
    Roles::new(&config)
        .map_err(|_| StartError::Other("the groups of the organisation cannot be used".to_owned()))
}

fn server(listen: SocketAddr) -> ServerConfig {
    ServerConfig {
        listen,
        health_listen: None,
        tls: None,
        web: Some(WebConfig {
            origins: vec!["http://localhost:5173".to_owned(), "http://127.0.0.1:5173".to_owned()],
        }),
        reflection: true,
        limits: service_runtime::config::Limits::default(),
    }
}

fn say_what_to_try(address: SocketAddr, folder: &std::path::Path, simulated: bool) {
    use std::io::Write as _;
    // Whoever reads this may have gone: that is no reason to end.
    let _ = std::io::stdout().write_all(what_to_try(address, folder, simulated).as_bytes());
}

fn what_to_try(address: SocketAddr, folder: &std::path::Path, simulated: bool) -> String {
    let mut options = String::new();
    if address.port() != 7400 {
        let _ = write!(options, " --server http://{address}");
    }
    if folder != std::path::Path::new("data/dev") {
        let _ = write!(options, " --dev-folder {}", folder.display());
    }
    let program = std::env::args().next().unwrap_or_else(|| "daypass".to_owned());
    let whose = if simulated { "a simulated" } else { "your" };
    let mut text = format!("Daypass is listening on http://{address}, on {whose} AWS. Its people:\n");
    for (name, role) in sign_in::PEOPLE {
        let _ = writeln!(text, "  {name:<6} {role}");
    }
    text.push_str("\nTry, in another terminal:\n\n");
    let mut try_as = |verb: &str, who: &str, more: &str| {
        let _ = writeln!(text, "  {program} {verb} --as {who}{options}{more}");
    };
    try_as("entitlements", "ada", "");
    if simulated {
        let ask = " --account 111111111111 --entitlement ReadOnly --for 15m --because \"look at the logs\"";
        try_as("request", "ada", ask);
    }
    try_as("pending", "bob", "");
    try_as("approve", "bob", " ID");
    try_as("show", "ada", " ID");
    try_as("revoke", "ada", " ID");
    try_as("audit replay", "eve", " ID");
    let kept = folder.display();
    let _ =
        writeln!(text, "\nEverything is kept in {kept}. Ctrl-C ends it; starting again goes on from there.");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_to_begin_with_is_one() {
        let sample = sample::organisation(sign_in::ISSUER);
        for text in [POLICY.to_owned(), policy_for(&sample), policy_for(&Contents::default())] {
            assert!(policy::Policy::from_toml(&text).is_ok(), "{text}");
        }
    }
}

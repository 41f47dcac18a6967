//! `daypass nats`: who may do what on the NATS servers, as files for them and for the services; and the streams that nobody else
//! may make.
//!
//! In reading order: [`user`] says which users there are and what each may do; [`seed`] keeps their keys; [`server`] writes the
//! servers' configuration; [`setup`] makes the streams.
//!
//! INVARIANT: a seed is never printed, and a file with a secret is readable by its owner alone.

mod seed;
mod server;
mod setup;
mod user;

pub(crate) use user::Service;

use crate::error::complain;
use seed::Seeds;
use server::Servers;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use user::{Deployment, Name};

/// Works on NATS servers.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: NatsCommand,
}

#[derive(clap::Subcommand)]
enum NatsCommand {
    /// Writes the configuration of nats-server, and a key for each service, source of signals and subscriber. What each may do is
    /// the least that it needs. Run again, it keeps the keys that are there.
    Config(Config),
    /// Makes the log, the key store, and the streams for events and signals: what services have no right to. What is there already
    /// stays as it is, but that streams of the bus get a limit of bytes.
    Setup(setup::Arguments),
}

/// What `daypass nats config` is told.
#[derive(clap::Args)]
struct Config {
    /// The folder to write: NAME.conf for each server, accounts.conf, seeds/NAME.nk.
    #[arg(long)]
    out: PathBuf,
    /// The services that connect; `serve` is all of them in one process.
    #[arg(long, value_delimiter = ',', default_value = "request,approval,activation,audit")]
    services: Vec<Service>,
    /// A source of signals, as the configuration of services names it: it may publish `daypass.signals.v1.NAME.>` and nothing else.
    /// Once for each.
    #[arg(long = "signal-source", value_name = "NAME")]
    signal_sources: Vec<Name>,
    /// Another system that reads the events of Daypass, and nothing else. Once for each.
    #[arg(long = "subscriber", value_name = "NAME")]
    subscribers: Vec<Name>,
    /// A server's host name; once for each server of a cluster.
    #[arg(long = "server", value_name = "HOST", default_value = "nats")]
    servers: Vec<server::Host>,
    /// Where servers keep what is stored.
    #[arg(long, default_value = "/data/jetstream")]
    store: PathBuf,
    /// A folder on the servers with `tls.crt`, `tls.key` and `ca.crt`: for clients, and between servers. Without it nothing is
    /// encrypted.
    #[arg(long)]
    tls: Option<PathBuf>,
    /// Makes a new key for this name (`log-request`, `bus-audit`, `signal-NAME`, `routes`, …); the old one is of no use once the servers have
    /// read the new configuration. Once for each.
    #[arg(long, value_name = "NAME")]
    rotate: Vec<String>,
}

pub(crate) async fn run(arguments: Arguments) -> ExitCode {
    let outcome = match arguments.command {
        NatsCommand::Config(config) => write(&config),
        NatsCommand::Setup(arguments) => setup::run(arguments).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&error),
    }
}

/// A file that cannot be read or written, or a name that means nothing.
#[derive(Debug)]
pub(crate) struct Problem(String);

impl Problem {
    fn of(path: &Path, error: &dyn std::fmt::Display) -> Self {
        Self(format!("{}: {error}", path.display()))
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

fn write(config: &Config) -> Result<(), Problem> {
    let deployment = Deployment {
        services: config.services.iter().copied().collect(),
        signal_sources: config.signal_sources.iter().cloned().collect(),
        subscribers: config.subscribers.iter().cloned().collect(),
    };
    let accounts = deployment.accounts();
    let mut names: BTreeSet<&str> =
        accounts.iter().flat_map(|account| &account.users).map(|user| user.name.as_str()).collect();
    names.insert(server::ROUTES);
    if let Some(unknown) = config.rotate.iter().find(|name| !names.contains(name.as_str())) {
        let known: Vec<&str> = names.into_iter().collect();
        return Err(Problem(format!("--rotate {unknown}: there is only {}", known.join(", "))));
    }
    let seeds = Seeds::in_folder(&config.out.join("seeds"), config.rotate.iter().cloned().collect())?;
    let mut lines = Vec::new();
    let mut public_keys = std::collections::BTreeMap::new();
    for user in accounts.iter().flat_map(|account| &account.users) {
        let (public_key, keeping) = seeds.public_key(&user.name)?;
        lines.push(format!("{keeping} {}  {public_key}", seeds.file(&user.name).display()));
        public_keys.insert(user.name.clone(), public_key);
    }
    let servers = Servers {
        hosts: config.servers.iter().cloned().collect(),
        store: config.store.clone(),
        tls: config.tls.clone(),
    };
    let routes = if servers.hosts.len() > 1 { Some(seeds.password(server::ROUTES)?) } else { None };
    let accounts_file = config.out.join(server::ACCOUNTS_FILE);
    seed::write(&accounts_file, &server::accounts_text(&accounts, &public_keys))?;
    lines.push(format!("wrote {}", accounts_file.display()));
    for host in &servers.hosts {
        let file = config.out.join(format!("{host}.conf"));
        seed::write(&file, &servers.text(host, routes.as_deref()))?;
        lines.push(format!("wrote {}", file.display()));
    }
    say(&lines.join("\n"));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
fn say(text: &str) {
    println!("{text}");
}

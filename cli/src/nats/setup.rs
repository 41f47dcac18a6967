//! `daypass nats setup`: makes what no service may make.

use super::{Problem, say};
use service_runtime::clock::SystemEntropy;
use service_runtime::config::LogConfig;
use std::path::PathBuf;
use wiring::nats::{BusRoom, Making};
use wiring::{engine, nats};

/// What `daypass nats setup` is told.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The URL of a server, `nats://…` or `tls://…`; once for each.
    #[arg(long = "server", value_name = "URL", required = true)]
    servers: Vec<String>,
    /// The folder with seeds that `daypass nats config` wrote; `log-setup.nk` and `bus-setup.nk` are used.
    #[arg(long)]
    seeds: PathBuf,
    /// The CA of the servers.
    #[arg(long)]
    ca_file: Option<PathBuf>,
    /// Copies of everything.
    #[arg(long, default_value_t = 3)]
    replicas: usize,
    /// Allow fewer than three copies.
    #[arg(long)]
    dev: bool,
    /// A server's monitoring endpoint, to see that it syncs always; once for each.
    #[arg(long = "monitoring", value_name = "URL")]
    monitoring_urls: Vec<String>,
    /// What the streams of the bus may take together of each server's disk, in MiB; the rest is the log's and the keys'. Without it 4096, and
    /// streams that have a limit keep it.
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(i64::from(BusRoom::MIB_MIN)..))]
    bus_mib: Option<u32>,
    /// Your word that servers sync always, where they cannot be asked.
    #[arg(long)]
    operator_asserts_sync_always: bool,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Problem> {
    let failed = |error: &dyn std::fmt::Display| Problem(error.to_string());
    let seed = |name: &str| arguments.seeds.join(format!("{name}.nk"));
    let (log_seed, bus_seed) = (seed("log-setup"), seed("bus-setup"));
    let log = LogConfig::Jetstream {
        servers: arguments.servers.clone(),
        credentials_file: None,
        nkey_seed_file: Some(log_seed.clone()),
        ca_file: arguments.ca_file.clone(),
        replicas: arguments.replicas,
        dev: arguments.dev,
        operator_asserts_sync_always: arguments.operator_asserts_sync_always,
        monitoring_urls: arguments.monitoring_urls.clone(),
    };
    let open = engine::open(&log, &SystemEntropy).await.map_err(|error| failed(&error))?;
    let id = open.log.id().await.map_err(|error| failed(&error))?;
    let making = |nkey_seed_file| Making {
        servers: &arguments.servers,
        nkey_seed_file,
        ca_file: arguments.ca_file.as_ref(),
        replicas: arguments.replicas,
        dev: arguments.dev,
        bus_room: arguments.bus_mib.map(BusRoom::of_mib),
    };
    nats::make_key_store(&making(log_seed.as_path())).await.map_err(|error| failed(&error))?;
    for changed in nats::make_bus(&making(bus_seed.as_path())).await.map_err(|error| failed(&error))? {
        say(&format!("{} may take {} MiB from now on", changed.stream, changed.bytes_max >> 20));
    }
    say(&format!("the log {id}, the key store, and the streams of the bus are there"));
    Ok(())
}

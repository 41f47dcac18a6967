//! `daypass log copy`: the same events, byte for byte, in another engine.

use crate::error::complain;
use event_log::{Envelope, EventLog, Expected, Position};
use futures::TryStreamExt as _;
use service_runtime::clock::SystemEntropy;
use service_runtime::config::LogConfig;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use wiring::{StartError, engine};

/// Works on logs themselves.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: LogCommand,
}

#[derive(clap::Subcommand)]
enum LogCommand {
    /// Copies every event of one log to another, in order. What the other holds already is skipped, so that a copy that was cut
    /// short can be run again. A log is a file of SQLite, or `nats://host:port`.
    Copy {
        /// The log to read.
        from: String,
        /// The log to write; made where there is none.
        to: String,
        /// The URL of the NATS server's monitoring endpoint, to see that it syncs always.
        #[arg(long)]
        nats_monitoring: Option<String>,
        /// Allow a single NATS server.
        #[arg(long)]
        nats_dev: bool,
        /// The file with the NKey seed for NATS servers: `log-backup.nk` to read, `log-serve.nk` to write in the name of all services.
        #[arg(long)]
        nats_seed: Option<PathBuf>,
    },
}

pub(crate) async fn run(arguments: Arguments) -> ExitCode {
    let LogCommand::Copy { from, to, nats_monitoring, nats_dev, nats_seed } = arguments.command;
    let name = |text: &str| named(text, nats_monitoring.as_deref(), nats_dev, nats_seed.as_deref());
    match copy(&name(&from), &name(&to)).await {
        Ok(count) => {
            say(&format!("{count} events copied"));
            ExitCode::SUCCESS
        }
        Err(error) => complain(&error),
    }
}

fn named(text: &str, monitoring: Option<&str>, dev: bool, seed: Option<&Path>) -> LogConfig {
    if text.starts_with("nats://") || text.starts_with("tls://") {
        jetstream(text, monitoring, dev, seed)
    } else {
        LogConfig::Sqlite { path: PathBuf::from(text) }
    }
}

/// The log on one NATS server; with `dev`, one that is alone.
pub(crate) fn jetstream(server: &str, monitoring: Option<&str>, dev: bool, seed: Option<&Path>) -> LogConfig {
    LogConfig::Jetstream {
        servers: vec![server.to_owned()],
        credentials_file: None,
        nkey_seed_file: seed.map(Path::to_owned),
        ca_file: None,
        replicas: if dev { 1 } else { 3 },
        dev,
        operator_asserts_sync_always: false,
        monitoring_urls: monitoring.map(ToOwned::to_owned).into_iter().collect(),
    }
}

async fn copy(from: &LogConfig, to: &LogConfig) -> Result<u64, StartError> {
    let entropy = SystemEntropy;
    let source = engine::open_read_only(from, &entropy).await?;
    let target = engine::open(to, &entropy).await?;
    let copied = copy_events(source.as_ref(), target.log.as_ref()).await;
    target.close().await;
    copied
}

/// Appends every event of `source` that `target` lacks. An event that differs is an error: the target is another history.
async fn copy_events(source: &dyn EventLog, target: &dyn EventLog) -> Result<u64, StartError> {
    let mut last = BTreeMap::new();
    let mut events = source.read_all(Position::START);
    let mut copied = 0;
    while let Some(event) = events.try_next().await? {
        let expected = Expected::after(last.get(&event.stream).copied());
        let envelope: Envelope = event.envelope;
        let appended = target.append(&event.stream, expected, envelope).await.map_err(|error| {
            StartError::Other(format!("{} at revision {}: {error}", event.stream, event.revision.0))
        })?;
        if appended.revision != event.revision {
            return Err(StartError::Other(format!("{}: the target holds another history", event.stream)));
        }
        last.insert(event.stream, event.revision);
        copied += u64::from(!appended.repeated);
    }
    Ok(copied)
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
fn say(text: &str) {
    println!("{text}");
}

//! The logs that are measured on: on SQLite, or on a nats-server that is started for it.

use crate::Failed;
use event_log::EventLog;
use event_log_jetstream::{JetStreamConfig, JetStreamLog};
use event_log_sqlite::{OpenOptions, SqliteLog};
use nats_connection::{Connection, Credentials};
use std::path::Path;
use std::sync::Arc;
use test_servers::nats::{NatsOptions, NatsServer};
use uuid::Uuid;

/// The identity of a log that is made here.
const NEW_ID: Uuid = Uuid::from_u128(1);

/// What the engine is called.
pub(crate) const fn engine(nats: bool) -> &'static str {
    if nats { "JetStream" } else { "SQLite" }
}

/// A NATS server, if one is asked for.
pub(crate) async fn nats_server(nats: bool, options: NatsOptions) -> Result<Option<NatsServer>, Failed> {
    Ok(if nats { Some(NatsServer::start(options).await?) } else { None })
}

/// What makes `daypass dev` keep its log there.
pub(crate) fn nats_arguments(server: &NatsServer) -> Vec<String> {
    let monitoring = server.monitoring_url().map(|url| ["--nats-monitoring".to_owned(), url]);
    ["--nats".to_owned(), server.url()].into_iter().chain(monitoring.into_iter().flatten()).collect()
}

/// The log on this server, or the one in `folder`, where `daypass dev` keeps its own; made where there is none.
pub(crate) async fn open(server: Option<&NatsServer>, folder: &Path) -> Result<Arc<dyn EventLog>, Failed> {
    Ok(match server {
        None => Arc::new(SqliteLog::open(folder.join("log.db"), &OpenOptions::new(NEW_ID))?),
        Some(server) => Arc::new(jetstream(server).await?),
    })
}

/// The log on this server.
pub(crate) async fn jetstream(server: &NatsServer) -> Result<JetStreamLog, Failed> {
    Ok(JetStreamLog::open(config(vec![server.url()], Vec::new(), 1)).await?)
}

/// A log on so many of these servers.
pub(crate) fn config(servers: Vec<String>, monitoring_urls: Vec<String>, replicas: usize) -> JetStreamConfig {
    JetStreamConfig {
        connection: Connection { servers, credentials: Credentials::None, tls: None },
        replicas,
        dev: replicas < 3,
        // Whether it syncs is for each measurement to choose: nothing that is written outlives it.
        operator_asserts_sync_always: monitoring_urls.is_empty(),
        monitoring_urls,
        new_id: NEW_ID,
    }
}

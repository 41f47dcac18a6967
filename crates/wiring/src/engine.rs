//! Opens the log that the configuration names.

#[cfg(feature = "kurrentdb")]
mod kurrentdb;

use crate::{nats, write_level};
use domain::ports::Entropy;
use event_log::{EventLog, LogError};
pub use event_log_jetstream::{Copies, ServerState, Survey, server_memory_bytes};
use event_log_jetstream::{JetStreamConfig, JetStreamLog};
use event_log_sqlite::{OpenOptions, SqliteLog};
use futures::FutureExt;
use futures::future::BoxFuture;
use journal::level::WriteLevel;
use service_runtime::config::{LogConfig, Problem};
use std::path::Path;
use std::sync::Arc;
use uuid::Uuid;

/// A log id for a log that is made now.
fn new_id(entropy: &dyn Entropy) -> Uuid {
    let mut bytes = [0u8; 16];
    entropy.fill(&mut bytes);
    Uuid::new_v8(bytes)
}

/// Looks for ever whether a log is still set up as it was.
type Watch = Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// A log that is open, and how to close it well.
pub struct OpenLog {
    /// The log.
    pub log: Arc<dyn EventLog>,
    sqlite: Option<Arc<SqliteLog>>,
    /// Of a log on servers.
    watch: Option<Watch>,
}

impl OpenLog {
    /// Looks for ever whether the log is still set up as it was when it was opened; others may change a server.
    pub fn watch(&self) -> impl Future<Output = ()> + Send + use<> {
        let watch = self.watch.as_ref().map(|watch| watch());
        async move {
            match watch {
                Some(watch) => watch.await,
                None => std::future::pending().await,
            }
        }
    }

    /// The same log, written up to `level`.
    #[must_use]
    pub fn held_back(self, level: WriteLevel) -> Self {
        Self { log: write_level::held_back(self.log, level), ..self }
    }

    /// Writes what is under way, and lets go of the file.
    pub async fn close(&self) {
        if let Some(sqlite) = &self.sqlite {
            sqlite.close().await;
        }
    }
}

/// Opens the log for reading and writing, making it where there is none.
pub async fn open(config: &LogConfig, entropy: &dyn Entropy) -> Result<OpenLog, LogError> {
    match config {
        LogConfig::Sqlite { path } => {
            make_folder_of(path)?;
            let sqlite = Arc::new(SqliteLog::open(path, &OpenOptions::new(new_id(entropy)))?);
            Ok(OpenLog { log: sqlite.clone(), sqlite: Some(sqlite), watch: None })
        }
        LogConfig::Jetstream { .. } => {
            let log = JetStreamLog::open(jetstream(config, entropy)?).await?;
            let watched = log.clone();
            let watch: Watch = Box::new(move || watched.clone().watch().boxed());
            Ok(OpenLog { log: Arc::new(log), sqlite: None, watch: Some(watch) })
        }
        LogConfig::Kurrentdb { .. } => {
            let (log, watch): (Arc<dyn EventLog>, Watch) = kurrentdb::open(config, entropy).await?;
            Ok(OpenLog { log, sqlite: None, watch: Some(watch) })
        }
    }
}

/// Why a program cannot use an engine that it knows of.
const NOT_BUILT: &str = "this program is built without KurrentDB, that is without the feature `kurrentdb`";

/// What is wrong with naming this engine to this program.
pub fn problem(config: &LogConfig) -> Option<Problem> {
    let missing = matches!(config, LogConfig::Kurrentdb { .. }) && !cfg!(feature = "kurrentdb");
    missing.then(|| Problem::new("log.engine", NOT_BUILT))
}

#[cfg(not(feature = "kurrentdb"))]
mod kurrentdb {
    use super::{Entropy, LogConfig, LogError, NOT_BUILT};

    /// Whatever it is that would be opened.
    pub(super) fn open<T>(
        _: &LogConfig,
        _: &dyn Entropy,
    ) -> impl Future<Output = Result<T, LogError>> + use<T> {
        std::future::ready(Err(LogError::Unsafe(NOT_BUILT.into())))
    }

    pub(super) use self::open as open_existing;
}

/// Opens a log that exists for reading only; a SQLite log may be open for writing elsewhere at the same time.
pub async fn open_read_only(
    config: &LogConfig,
    entropy: &dyn Entropy,
) -> Result<Arc<dyn EventLog>, LogError> {
    match config {
        LogConfig::Sqlite { path } => Ok(Arc::new(SqliteLog::open_read_only(path)?)),
        LogConfig::Jetstream { .. } => {
            Ok(Arc::new(JetStreamLog::open_existing(jetstream(config, entropy)?).await?))
        }
        LogConfig::Kurrentdb { .. } => kurrentdb::open_existing(config, entropy).await,
    }
}

/// How the servers of a log are that is there, and its copies on them. `None`: it is on no servers, or on some that are not looked at.
pub async fn survey(config: &LogConfig, entropy: &dyn Entropy) -> Result<Option<Survey>, LogError> {
    match config {
        LogConfig::Sqlite { .. } | LogConfig::Kurrentdb { .. } => Ok(None),
        LogConfig::Jetstream { .. } => {
            JetStreamLog::open_existing(jetstream(config, entropy)?).await?.survey().await.map(Some)
        }
    }
}

fn jetstream(config: &LogConfig, entropy: &dyn Entropy) -> Result<JetStreamConfig, LogError> {
    let LogConfig::Jetstream {
        servers,
        credentials_file,
        nkey_seed_file,
        ca_file,
        replicas,
        dev,
        operator_asserts_sync_always,
        monitoring_urls,
    } = config
    else {
        return Err(LogError::Unsafe("log.engine: must be jetstream".into()));
    };
    Ok(JetStreamConfig {
        connection: nats::connection(
            servers,
            credentials_file.as_ref(),
            nkey_seed_file.as_ref(),
            ca_file.as_ref(),
        ),
        replicas: *replicas,
        dev: *dev,
        operator_asserts_sync_always: *operator_asserts_sync_always,
        monitoring_urls: monitoring_urls.clone(),
        new_id: new_id(entropy),
    })
}

fn make_folder_of(file: &Path) -> Result<(), LogError> {
    let Some(folder) = file.parent() else { return Ok(()) };
    std::fs::create_dir_all(folder)
        .map_err(|error| LogError::Unavailable(format!("{}: {error}", folder.display())))
}

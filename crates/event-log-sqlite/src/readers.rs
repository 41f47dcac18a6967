//! The readers' connections: a few, read-only, used for one short query at a time.
//!
//! INVARIANT: no query outlives a batch, so no reader, however slow, holds a snapshot that would keep the WAL from being
//! moved into the file.

use crate::store;
use event_log::LogError;
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// Queries at the same time. More than cores brings nothing; fewer lets one cold read delay a loaded stream.
const CONNECTIONS_MAX: usize = 4;

/// Cheap to clone; all clones share the connections.
#[derive(Clone)]
pub(crate) struct Readers {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    /// Connections are opened when they are first needed.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            shared: Arc::new(Shared {
                path,
                idle: Mutex::default(),
                permits: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            }),
        }
    }

    /// Runs one query on a thread where it may block.
    pub(crate) async fn query<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let stopped = |error: &dyn std::fmt::Display| LogError::Unavailable(format!("a reader: {error}"));
        let permits = Arc::clone(&self.shared.permits);
        let permit = permits.acquire_owned().await.map_err(|error| stopped(&error))?;
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || {
            let connection = shared.connection()?;
            let answer = query(&connection);
            if answer.is_ok() {
                // One that failed is closed instead: the next is as good as new.
                shared.idle().push(connection);
            }
            drop(permit);
            answer
        })
        .await
        .map_err(|error| stopped(&error))?
    }
}

impl Shared {
    fn connection(&self) -> Result<Connection, LogError> {
        let idle = self.idle().pop();
        idle.map_or_else(|| store::open_reader(&self.path), Ok)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

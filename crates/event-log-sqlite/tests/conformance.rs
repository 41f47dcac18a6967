//! The SQLite engine keeps the contract.
#![expect(clippy::unwrap_used, reason = "tests")]

use event_log::EventLog;
use event_log::conformance::Fixture;
use event_log_sqlite::{OpenOptions, SqliteLog};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use uuid::Uuid;

/// Every log a file of its own in one directory.
struct Files {
    directory: tempfile::TempDir,
    opened: AtomicU32,
}

impl Files {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let opened = AtomicU32::new(0);
        Self { directory, opened }
    }

    fn last(&self) -> PathBuf {
        let number = self.opened.load(Ordering::Relaxed);
        self.directory.path().join(format!("{number}.log"))
    }
}

#[async_trait::async_trait]
impl Fixture for Files {
    async fn open(&self) -> Arc<dyn EventLog> {
        let number = self.opened.fetch_add(1, Ordering::Relaxed) + 1;
        let id = Uuid::from_u128(number.into());
        Arc::new(SqliteLog::open(self.last(), &OpenOptions::new(id)).unwrap())
    }

    async fn reopen(&self) -> Arc<dyn EventLog> {
        // The id is of no use: the log has one.
        Arc::new(SqliteLog::open(self.last(), &OpenOptions::new(Uuid::nil())).unwrap())
    }

    fn takes_several_clients(&self) -> bool {
        false
    }
}

event_log::conformance_tests!(Files::new());

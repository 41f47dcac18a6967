//! A log that takes only what its write level allows, as during a rolling upgrade.

use event_log::{
    AppendError, Appended, Envelope, EventLog, EventStream, Expected, LogError, Position, Recorded, Revision,
    StreamName,
};
use journal::level::{self, WriteLevel};
use std::sync::Arc;
use uuid::Uuid;

/// `log`, held back to `level`. At the newest level it is `log` itself, and costs nothing.
pub(crate) fn held_back(log: Arc<dyn EventLog>, level: WriteLevel) -> Arc<dyn EventLog> {
    if level >= level::NEWEST { log } else { Arc::new(HeldBack { log, level }) }
}

struct HeldBack {
    log: Arc<dyn EventLog>,
    level: WriteLevel,
}

#[async_trait::async_trait]
impl EventLog for HeldBack {
    async fn append(
        &self,
        stream: &StreamName,
        expected: Expected,
        envelope: Envelope,
    ) -> Result<Appended, AppendError> {
        // What it cannot decode, no program of this release has made.
        if let Ok(event) = journal::decode(&envelope.body) {
            let needed = level::of(&event.fact);
            if needed > self.level {
                let type_name = journal::types::type_name(&event.fact);
                let level = self.level;
                tracing::warn!(
                    type_name,
                    needed,
                    level,
                    "not written: the write level is to be raised first"
                );
                let why =
                    format!("{type_name} is written from level {needed} on; upgrade.write_level is {level}");
                return Err(AppendError::Unavailable(why));
            }
        }
        self.log.append(stream, expected, envelope).await
    }

    async fn id(&self) -> Result<Uuid, LogError> {
        self.log.id().await
    }

    fn read_stream(&self, stream: &StreamName, after: Option<Revision>) -> EventStream {
        self.log.read_stream(stream, after)
    }

    fn read_all(&self, after: Position) -> EventStream {
        self.log.read_all(after)
    }

    fn subscribe(&self, after: Position) -> EventStream {
        self.log.subscribe(after)
    }

    async fn head(&self) -> Result<Position, LogError> {
        self.log.head().await
    }

    async fn time(&self) -> Result<Option<domain::Timestamp>, LogError> {
        self.log.time().await
    }

    async fn event_at(&self, position: Position) -> Result<Option<Recorded>, LogError> {
        self.log.event_at(position).await
    }
}

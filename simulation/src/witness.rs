//! The log as the process sees it: every acknowledged append is written down outside of it, to be held against the log later.

use crate::plant::{Plant, Planted};
use event_log::memory::MemoryLog;
use event_log::{
    AppendError, Appended, Envelope, EventLog, EventStream, Expected, LogError, Position, Recorded, Revision,
    StreamName,
};
use std::sync::{Arc, Mutex, PoisonError};
use uuid::Uuid;

/// What was acknowledged: the event must be in the log, there and like that, for ever.
#[derive(Clone, Debug)]
pub(crate) struct Promise {
    pub(crate) stream: StreamName,
    pub(crate) envelope: Envelope,
    pub(crate) appended: Appended,
}

/// The log with a witness.
pub(crate) struct WitnessedLog {
    log: MemoryLog,
    promises: Arc<Mutex<Vec<Promise>>>,
    planted: Planted,
}

impl WitnessedLog {
    pub(crate) fn new(log: MemoryLog, planted: Planted) -> Self {
        Self { log, promises: Arc::default(), planted }
    }

    /// What was acknowledged since the last time.
    pub(crate) fn take_promises(&self) -> Vec<Promise> {
        std::mem::take(&mut *self.promises.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait::async_trait]
impl EventLog for WitnessedLog {
    async fn id(&self) -> Result<Uuid, LogError> {
        self.log.id().await
    }

    async fn append(
        &self,
        stream: &StreamName,
        expected: Expected,
        envelope: Envelope,
    ) -> Result<Appended, AppendError> {
        let forgotten = self.planted.strikes(Plant::ForgetAcknowledged);
        let appended = if forgotten {
            let position = Position(self.log.head().await.map_or(0, |head| head.0) + 1);
            Appended { revision: expected.revision_of_next(), position, repeated: false }
        } else {
            self.log.append(stream, expected, envelope.clone()).await?
        };
        let promise = Promise { stream: stream.clone(), envelope, appended };
        self.promises.lock().unwrap_or_else(PoisonError::into_inner).push(promise);
        Ok(appended)
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

    async fn event_at(&self, position: Position) -> Result<Option<Recorded>, LogError> {
        self.log.event_at(position).await
    }
}

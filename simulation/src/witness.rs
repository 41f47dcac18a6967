//! The log as one machine reaches it: every acknowledged append is written down outside of it, to be held against the log later;
//! and the line to it can be cut, for this machine alone.

use crate::plant::{Plant, Planted};
use crate::tally::Tally;
use event_log::memory::MemoryLog;
use event_log::{
    AppendError, Appended, Envelope, EventLog, EventStream, Expected, LogError, Position, Recorded, Revision,
    StreamName,
};
use futures::StreamExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
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
    cut: Arc<AtomicBool>,
    tally: Tally,
}

impl WitnessedLog {
    pub(crate) fn new(log: MemoryLog, planted: Planted, tally: Tally) -> Self {
        Self { log, promises: Arc::default(), planted, cut: Arc::default(), tally }
    }

    /// What was acknowledged since the last time.
    pub(crate) fn take_promises(&self) -> Vec<Promise> {
        std::mem::take(&mut *self.promises.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Cuts the line, or mends it.
    pub(crate) fn set_cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::Relaxed);
    }

    /// Whether nothing goes through.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }

    /// A bug: what was decided on an older story is written behind the newer one.
    async fn append_all_the_same(
        &self,
        stream: &StreamName,
        actual: Option<Revision>,
        mut envelope: Envelope,
    ) -> Result<Appended, AppendError> {
        let last = self.log.recorded().into_iter().rfind(|recorded| recorded.stream == *stream);
        let before = last.as_ref().and_then(crate::plant::decoded);
        if let (Some(before), Ok(mut event)) = (before, journal::decode(&envelope.body)) {
            event.previous = Some(before.id);
            event.at = event.at.max(before.at);
            envelope.body = journal::encode(&event).into();
        }
        self.log.append(stream, Expected::after(actual), envelope).await
    }

    fn reach(&self) -> Result<(), LogError> {
        if self.is_cut() {
            self.tally.count("log: line cut");
            return Err(LogError::Unavailable("planted fault: the line is cut".into()));
        }
        Ok(())
    }

    /// A stream that breaks off when the line is cut.
    fn through(&self, stream: EventStream) -> EventStream {
        let cut = Arc::clone(&self.cut);
        let broken = || LogError::Unavailable("planted fault: the line is cut".into());
        if self.is_cut() {
            self.tally.count("log: line cut");
            return futures::stream::once(std::future::ready(Err(broken()))).boxed();
        }
        let passed = stream.map(move |item| if cut.load(Ordering::Relaxed) { Err(broken()) } else { item });
        // As with any engine, a stream ends with its first error.
        passed
            .scan(false, |broken, item| {
                if *broken {
                    return std::future::ready(None);
                }
                *broken = item.is_err();
                std::future::ready(Some(item))
            })
            .boxed()
    }
}

#[async_trait::async_trait]
impl EventLog for WitnessedLog {
    async fn id(&self) -> Result<Uuid, LogError> {
        self.reach()?;
        self.log.id().await
    }

    async fn append(
        &self,
        stream: &StreamName,
        expected: Expected,
        envelope: Envelope,
    ) -> Result<Appended, AppendError> {
        if self.reach().is_err() {
            return Err(AppendError::Unavailable("planted fault: the line is cut".into()));
        }
        let forgotten = self.planted.strikes(Plant::ForgetAcknowledged);
        let appended = if forgotten {
            let position = Position(self.log.head().await.map_or(0, |head| head.0) + 1);
            Appended { revision: expected.revision_of_next(), position, repeated: false }
        } else {
            match self.log.append(stream, expected, envelope.clone()).await {
                Err(AppendError::Conflict { actual })
                    if self.planted.is(Plant::DoubleApproval) && stream.as_str().starts_with("request-") =>
                {
                    return self.append_all_the_same(stream, actual, envelope).await;
                }
                answer => answer?,
            }
        };
        if self.is_cut() {
            return Err(AppendError::Unknown("planted fault: the line is cut before the answer came".into()));
        }
        let promise = Promise { stream: stream.clone(), envelope, appended };
        self.promises.lock().unwrap_or_else(PoisonError::into_inner).push(promise);
        Ok(appended)
    }

    fn read_stream(&self, stream: &StreamName, after: Option<Revision>) -> EventStream {
        self.through(self.log.read_stream(stream, after))
    }

    fn read_all(&self, after: Position) -> EventStream {
        self.through(self.log.read_all(after))
    }

    fn subscribe(&self, after: Position) -> EventStream {
        self.through(self.log.subscribe(after))
    }

    async fn head(&self) -> Result<Position, LogError> {
        self.reach()?;
        self.log.head().await
    }

    async fn event_at(&self, position: Position) -> Result<Option<Recorded>, LogError> {
        self.reach()?;
        self.log.event_at(position).await
    }
}

//! The port to the append-only log, and the contract of everyone who implements it.
//!
//! A log holds streams of events in one total order. An append names the revision that it was decided on, so of two racing
//! writers exactly one wins: the log is the lock. What is appended is a body of bytes; this crate never looks inside.
//!
//! - [`EventLog`]: the port. [`memory::MemoryLog`]: in memory, for simulation and fast tests.
//! - [`conformance`]: the suite that every engine runs. It is the contract; the docs here are its summary.
//! - [`watched`]: what engines on servers tell when they look again whether a log is safe.
//!
//! Deliberately absent: deletion, truncation, appending without an expected revision, and appending two events at once.

pub mod conformance;
mod error;
pub mod memory;
mod name;
pub mod watched;

pub use error::{AppendError, LogError};
pub use name::{StreamName, Writer};

use bytes::Bytes;
use futures::stream::BoxStream;
use uuid::Uuid;

/// The largest body that may be appended, in bytes. NATS refuses messages over 1 MiB by default; half of it leaves room
/// for subject and headers, and no event of Daypass needs a tenth.
pub const BODY_BYTES_MAX: usize = 512 * 1024;

/// Ordinal of an event in its stream: 0, 1, 2 …
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Revision(pub u64);

impl Revision {
    /// The revision after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Place of an event in the whole log: grows with every event, perhaps with gaps. Means something only together with the
/// log's id; never stored inside an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position(pub u64);

impl Position {
    /// Before the first event.
    pub const START: Self = Self(0);
}

/// What the writer believes the stream to be. There is no "any": who has not looked may not write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expected {
    /// The stream has no events.
    NoStream,
    /// The last event of the stream has this revision.
    Exact(Revision),
}

impl Expected {
    /// The revision that the appended event will have.
    pub const fn revision_of_next(self) -> Revision {
        match self {
            Self::NoStream => Revision(0),
            Self::Exact(last) => last.next(),
        }
    }

    /// What is expected of a stream whose last revision is `last`.
    pub const fn after(last: Option<Revision>) -> Self {
        match last {
            None => Self::NoStream,
            Some(revision) => Self::Exact(revision),
        }
    }
}

/// What is appended: the encoded event, and the two facts that an engine needs to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Unique for ever in its stream: two appends of the same id and body to one stream are one append. What has it in another stream is
    /// another event: whoever may write there could use up the ids of others, which can be computed.
    pub event_id: Uuid,
    /// Which service writes; engines with access control enforce it.
    pub writer: Writer,
    /// The event, encoded once, at most [`BODY_BYTES_MAX`] bytes. These bytes are what every engine stores and gives back.
    pub body: Bytes,
}

/// An event as the log gives it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The stream that it is in.
    pub stream: StreamName,
    /// Its ordinal there.
    pub revision: Revision,
    /// Its place in the whole log.
    pub position: Position,
    /// As it was appended.
    pub envelope: Envelope,
}

/// A durable append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The event's ordinal in its stream.
    pub revision: Revision,
    /// The event's place in the log.
    pub position: Position,
    /// Whether this very event had been appended before: this answer repeats the first one.
    pub repeated: bool,
}

/// Events in order, or a fault that ends the stream.
pub type EventStream = BoxStream<'static, Result<Recorded, LogError>>;

/// An append-only log of streams with one total order.
///
/// An `Ok` of [`append`](Self::append) means: on disk to the engine's strongest guarantee; it survives the end of the
/// process and of the machine. Every reader sees every event once, all readers in the same order.
#[async_trait::async_trait]
pub trait EventLog: Send + Sync + 'static {
    /// The identity of this log. Checkpoints and positions of another log mean nothing here.
    async fn id(&self) -> Result<Uuid, LogError>;

    /// Appends one event, durably, if the stream is as `expected`.
    ///
    /// If the stream already holds an event with this id and the same body, wherever it is in the stream, answers with that
    /// event's place and `repeated`. If it holds one with this id and another body: [`AppendError::IdTaken`]; so also if another writer
    /// has written it, where the engine tells writers apart.
    async fn append(
        &self,
        stream: &StreamName,
        expected: Expected,
        envelope: Envelope,
    ) -> Result<Appended, AppendError>;

    /// The events of one stream after a revision (all, for `None`); ends at the last. A stream without events is empty, not
    /// an error. Sees at least every append that was acknowledged before the call.
    fn read_stream(&self, stream: &StreamName, after: Option<Revision>) -> EventStream;

    /// All events after a position; ends at the head as it was when the call was made, or later.
    fn read_all(&self, after: Position) -> EventStream;

    /// All events after a position, then new ones as they come, without gap or repeat. Never ends but by an error.
    fn subscribe(&self, after: Position) -> EventStream;

    /// The position of the last event; [`Position::START`] when there is none. At least every append that was acknowledged
    /// before the call is at or before it.
    async fn head(&self) -> Result<Position, LogError>;

    /// What time it is by the log's own clock, as its server says; `None` where the log has no clock but the process's.
    async fn time(&self) -> Result<Option<jiff::Timestamp>, LogError> {
        Ok(None)
    }

    /// The event at exactly this position, for readers to see whether their checkpoint is of this log. Sees at least every append that
    /// was acknowledged before the call: that there is none is no answer of a server that is behind.
    async fn event_at(&self, position: Position) -> Result<Option<Recorded>, LogError>;
}

//! The port that events go out through.

use bytes::Bytes;
use uuid::Uuid;

/// The JetStream stream that holds the events for others.
pub const EVENTS_STREAM: &str = "DAYPASS_EVENTS";
/// Its subjects. An event's subject on the bus is its CloudEvents type: `daypass.events.v1.<type>`.
pub const EVENTS_SUBJECT: &str = "daypass.events.v1.>";

/// The largest body. NATS refuses messages over 1 MiB by default; half of it leaves room for headers.
pub const MESSAGE_BYTES_MAX: usize = 512 * 1024;

/// Which event of the publisher's log a message is about. It travels in the message's headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The log.
    pub log_id: Uuid,
    /// The event's place there.
    pub position: u64,
    /// The event; also the message's id.
    pub event_id: Uuid,
}

/// What is to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingMessage {
    /// Within [`EVENTS_SUBJECT`].
    pub subject: String,
    /// What it is about.
    pub origin: Origin,
    /// A CloudEvent as JSON, at most [`MESSAGE_BYTES_MAX`].
    pub body: Bytes,
}

/// What is on the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its subject.
    pub subject: String,
    /// What it is about; `None` for a message that does not say, which none of ours does.
    pub origin: Option<Origin>,
    /// What it says.
    pub body: Bytes,
}

/// From where to where the bus has messages. Sequences count from 1 and never come twice, as long as the bus lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The sequence of the first message that is still there.
    pub first: u64,
    /// The sequence of the last message that ever was; 0: there was none.
    pub last: u64,
}

/// The bus that events go out to: one sequence of messages.
#[async_trait::async_trait]
pub trait OutgoingBus: Send + Sync + 'static {
    /// From where to where it goes now, by the word of who takes new messages. Makes the bus if there is none.
    async fn extent(&self) -> Result<Extent, BusError>;

    /// The message with this sequence; `None`: it is not there, or not any more.
    async fn message(&self, sequence: u64) -> Result<Option<Stored>, BusError>;

    /// Publishes messages in this order, right after the sequence `after`: the first becomes `after + 1`, and so on. `Ok` means
    /// that all of them are kept, one after the other, with nothing between. Otherwise the first few may be, never a later one
    /// without those before it.
    async fn publish(&self, after: u64, messages: Vec<OutgoingMessage>) -> Result<(), PublishError>;
}

/// Why the bus does not answer as it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// It cannot be reached, or cannot do it now.
    #[error("the bus is unavailable: {0}")]
    Unavailable(String),
    /// It is set up such that events could be repeated or lost without end.
    #[error("the bus is not as it must be: {0}")]
    Unsafe(String),
}

/// Why messages were not, or perhaps not, published.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// Another message is after `after`: look again.
    #[error("somebody else published")]
    Overtaken,
    /// See there; what was published is unknown.
    #[error(transparent)]
    Bus(#[from] BusError),
}

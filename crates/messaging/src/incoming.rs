//! The port that signals come in by, and the place beside it for those that are not believed.
//!
//! Signals come one at a time, in the order in which the bus took them: the next one comes once the one before is done, or it comes
//! again. So of one source's signals none overtakes another, through however many replicas they come.

use crate::BusError;
use bytes::Bytes;
use jiff::Timestamp;

/// The JetStream stream that holds signals until they are recorded.
pub const SIGNALS_STREAM: &str = "DAYPASS_SIGNALS";
/// What the subject of every signal begins with: `daypass.signals.v1.<source>.<kind>`.
pub const SIGNALS_PREFIX: &str = "daypass.signals.v1.";
/// The subjects of signals.
pub const SIGNALS_SUBJECT: &str = "daypass.signals.v1.>";
/// What the subject begins with by which somebody asks that a parked message be looked at again: `daypass.replay.v1.<number>`.
pub const REPLAY_PREFIX: &str = "daypass.replay.v1.";
/// The subjects of it.
pub const REPLAY_SUBJECT: &str = "daypass.replay.v1.*";
/// The one consumer of the stream; all replicas share it.
pub const SIGNALS_CONSUMER: &str = "daypass-request";
/// The JetStream stream of messages that were not believed.
pub const PARKED_STREAM: &str = "DAYPASS_PARKED";
/// Its subjects: `daypass.parked.v1.<source>`.
pub const PARKED_SUBJECT: &str = "daypass.parked.v1.>";
/// The header with a detached JWS of the body.
pub const SIGNATURE_HEADER: &str = "Daypass-Signature";

/// Longer signatures are none.
pub(crate) const SIGNATURE_BYTES_MAX: usize = 8 * 1024;

/// A message as it came. Of its headers only the signature means anything, so it alone is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Its subject.
    pub subject: String,
    /// When the bus took it, by the bus's clock.
    pub sent_at: Timestamp,
    /// What [`SIGNATURE_HEADER`] held.
    pub signature: Option<String>,
    /// What it says.
    pub body: Bytes,
}

impl std::fmt::Debug for Message {
    /// Without the body: it may hold what somebody wrote in confidence.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message").field("subject", &self.subject).finish_non_exhaustive()
    }
}

/// A message that waits to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// Its place among all that came.
    pub sequence: u64,
    /// By what it is done; `None`: by its place.
    pub receipt: Option<String>,
    /// What came.
    pub message: Message,
}

/// A message that was not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// What it is called here; never used twice.
    pub number: u64,
    /// Why: a word for programs, and words for people.
    pub why: String,
    /// When it was first read.
    pub read_at: Timestamp,
    /// What came.
    pub message: Message,
}

/// Messages that were not believed.
#[async_trait::async_trait]
pub trait Parking: Send + Sync + 'static {
    /// The first of those with a number above `after`, at most `max`.
    async fn list(&self, after: u64, max: usize) -> Result<Vec<Parked>, BusError>;

    /// The one of this number; `None`: it is not there, or not any more.
    async fn find(&self, number: u64) -> Result<Option<Parked>, BusError>;

    /// Forgets it. One that is not there is forgotten already.
    async fn remove(&self, number: u64) -> Result<(), BusError>;

    /// Asks that it be looked at again. Nothing but its number travels: what it says stays as it came.
    async fn replay(&self, number: u64) -> Result<(), BusError>;
}

/// The bus that signals come in by.
#[async_trait::async_trait]
pub trait IncomingBus: Parking {
    /// The first message that is not done, waiting for one for a while. While another has it, it is not given for some seconds; it comes
    /// again where that one does not see to it.
    async fn next(&self) -> Result<Option<Incoming>, BusError>;

    /// It is recorded, or parked: it need not come again. An `Err` leaves that open. Said again, or after another replica has said it,
    /// it is `Ok` as well.
    async fn done(&self, incoming: &Incoming) -> Result<(), BusError>;

    /// Keeps `message`, which is what `incoming` is about, among those that are not believed. Repeated soon, it is there once.
    async fn park(
        &self,
        incoming: &Incoming,
        message: &Message,
        why: &str,
        read_at: Timestamp,
    ) -> Result<(), BusError>;
}

//! One event as the log gave it back, decoded as far as it can be.

use domain::Timestamp;
use event_log::Recorded;
use journal::{DecodeError, Event, proto};
use projection::Item;
use prost::Message as _;

/// An event of the log. What an auditor is shown is what is stored, so the envelope is read by itself: it can often be read
/// where the event cannot be relied on.
#[derive(Debug)]
pub(crate) struct Stored {
    /// Where it is, and its bytes.
    pub(crate) recorded: Recorded,
    /// The envelope; `None` when the bytes are none.
    pub(crate) envelope: Option<proto::Envelope>,
    /// What it says, or why that cannot be relied on.
    pub(crate) event: Result<Event, DecodeError>,
}

impl Stored {
    pub(crate) fn new(recorded: Recorded) -> Self {
        let Item { recorded, event } = Item::new(recorded);
        let envelope = envelope(&recorded);
        Self { recorded, envelope, event }
    }

    /// The stored type; `None` when the envelope cannot be read.
    pub(crate) fn type_name(&self) -> Option<&str> {
        self.envelope.as_ref().map(|envelope| envelope.r#type.as_str())
    }

    /// Why it cannot be decoded; empty when it can.
    pub(crate) fn undecodable(&self) -> String {
        self.event.as_ref().err().map(ToString::to_string).unwrap_or_default()
    }

    /// When it happened, by its own word.
    pub(crate) fn happened_at(&self) -> Option<Timestamp> {
        self.envelope.as_ref().and_then(happened_at)
    }
}

/// The envelope in what the log gave back.
pub(crate) fn envelope(recorded: &Recorded) -> Option<proto::Envelope> {
    proto::Envelope::decode(recorded.envelope.body.as_ref()).ok()
}

/// When an event happened; `None` when what is stored is no instant of the calendar.
pub(crate) fn happened_at(envelope: &proto::Envelope) -> Option<Timestamp> {
    let time = envelope.time.as_ref()?;
    Timestamp::new(time.seconds, time.nanos).ok()
}

//! Talking with other systems: CloudEvents, and the bus that they travel on.
//!
//! - [`CloudEvent`]: the envelope, CloudEvents 1.0 in JSON.
//! - [`OutgoingBus`]: the port that events go out through. Whoever publishes names the sequence that is last on the bus, so of
//!   two publishers one wins and the other looks again.
//! - [`IncomingBus`]: the port that signals come in by, one after the other, each until it is done; [`Parking`]: those that were
//!   not believed.
//! - [`nats`]: the adapter on NATS JetStream. [`memory`]: the same in memory, for simulation and fast tests.
//! - [`conformance`]: what both must do.
//!
//! INVARIANT: the bus carries hints. Nothing that comes from it is believed here, and nothing of Daypass depends on what it loses.

mod bus;
mod cloud_event;
pub mod conformance;
mod incoming;
pub mod memory;
pub mod nats;

pub use bus::{
    BusError, EVENTS_STREAM, EVENTS_SUBJECT, Extent, MESSAGE_BYTES_MAX, Origin, OutgoingBus, OutgoingMessage,
    PublishError, Stored,
};
pub use cloud_event::{CloudEvent, InvalidCloudEvent};
pub use incoming::{
    Incoming, IncomingBus, Message, PARKED_STREAM, PARKED_SUBJECT, Parked, Parking, REPLAY_PREFIX,
    REPLAY_SUBJECT, SIGNALS_CONSUMER, SIGNALS_PREFIX, SIGNALS_STREAM, SIGNALS_SUBJECT, SIGNATURE_HEADER,
};

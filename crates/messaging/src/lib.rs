//! Talking with other systems: CloudEvents, and the bus that they travel on.
//!
//! - [`CloudEvent`]: the envelope, CloudEvents 1.0 in JSON.
//! - [`OutgoingBus`]: the port that events go out through. Whoever publishes names the sequence that is last on the bus, so of
//!   two publishers one wins and the other looks again.
//! - [`nats`]: the adapter on NATS JetStream. [`memory`]: the same in memory, for simulation and fast tests.
//! - [`conformance`]: what both must do.
//!
//! INVARIANT: the bus carries hints. Nothing that comes from it is believed here, and nothing of Daypass depends on what it loses.

mod bus;
mod cloud_event;
pub mod conformance;
pub mod memory;
pub mod nats;

pub use bus::{
    BusError, EVENTS_STREAM, EVENTS_SUBJECT, Extent, MESSAGE_BYTES_MAX, Origin, OutgoingBus, OutgoingMessage,
    PublishError, Stored,
};
pub use cloud_event::{CloudEvent, InvalidCloudEvent};

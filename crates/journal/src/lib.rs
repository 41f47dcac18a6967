//! The stored form of events: envelope, codec, sealed text, and who may write what.
//!
//! - [`Event`]: an event as services see it; [`encode`]/[`decode`] turn it into the bytes of `daypass.log.v1.Envelope` and
//!   back. Encoded once; those bytes are the body in every engine.
//! - [`Fact`]: what happened, of any stream; [`types`] names each stored type and the service that owns it.
//! - [`seal`]: free text under a key per person; [`key_store`]: where those keys live, apart from the log.
//! - [`json`]: a readable view of any stored event, by its descriptor.
//!
//! INVARIANT: whatever was once written is decodable for ever: a golden file per type is decoded in the tests.

mod codec;
mod event;
pub mod json;
pub mod key_store;
pub mod level;
pub mod seal;
mod stream;
pub mod types;

pub use codec::{DecodeError, decode, decode_recorded, encode};
pub use event::{Event, Fact};
pub use stream::Stream;
pub use types::Service;

/// Generated from `proto/daypass/log/v1`.
#[expect(missing_docs, clippy::pedantic, reason = "generated; the documentation is in the proto files")]
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/daypass.log.v1.rs"));
}

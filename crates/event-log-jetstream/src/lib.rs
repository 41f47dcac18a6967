//! The event log on NATS JetStream: several machines, several writers, one order.
//!
//! All events are in one JetStream stream, [`STREAM`]. An event of `kind-id` by writer `w` has the subject
//! `daypass.log.<w>.<kind>.<id>`, so that the server can let each service publish under its own name only. An append names
//! the sequence of the last event under `daypass.log.*.<kind>.<id>`, whoever wrote that; of two racing appends the server
//! takes one. Positions are JetStream's stream sequences. Revision and event id are in headers of our own; the server is
//! told no message id, because it takes a repeated one for a repeat whoever sends it.
//!
//! - [`JetStreamLog::open`] creates the stream, or looks at what is there and refuses to work with settings that could lose
//!   or change events ([`event_log::LogError::Unsafe`] names them). It never changes a stream that exists.
//! - Reads that must be fresh ask the stream's leader, and only a server that has heard of a majority just now counts as one; the
//!   bulk comes from any replica, bounded by what the leader said.
//! - An answer that says less than this process has seen already (an outdated leader, a restored server) is refused.
//! - [`JetStreamLog::survey`] tells operators how servers and copies of the log are.
//! - [`JetStreamLog::watch`] looks again while the log is in use: what others loosen then pages somebody, and so does what
//!   cannot be seen for some minutes.
//!
//! Deliberately absent: changing or deleting the stream. JetStream lets whoever may call `STREAM.DELETE` or `STREAM.UPDATE`
//! do so in spite of every setting here: keep those subjects from the services' accounts.

mod append;
mod config;
mod follow;
mod known;
mod link;
mod log;
mod read;
mod safety;
mod servers;
mod sizing;
mod survey;
mod told;
mod wire;

pub use config::JetStreamConfig;
pub use log::JetStreamLog;
pub use safety::{ID_KEY, stream_config};
pub use servers::SERVER_VERSION_MIN;
pub use sizing::server_memory_bytes;
pub use survey::{Copies, ServerState, Survey};
pub use wire::{STREAM, SUBJECTS};

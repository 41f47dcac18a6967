//! The service as its callers meet it: behind the gate, without a socket, on the in-memory log and a simulated AWS.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![expect(clippy::disallowed_methods, reason = "tests spawn what they talk to")]

mod creating;
mod directory;
mod entitlements;
mod listing;
mod refusals;
mod signals;
mod signals_from_bus;
mod visibility;
mod watching;
mod withdrawing;
mod world;

//! The event log on KurrentDB (EventStoreDB as it was), for those who run it. Experimental: it was never run against a real
//! server, only against a double that speaks the protocol; the `conformance` program runs the whole suite where a server is.
//!
//! An event of `kind-id` is in the server's stream `<namespace>.kind-id`; its type is `<namespace>.<writer>`, its data the body.
//! Positions are commit positions of `$all`, read with the server's filter on the namespace: other people's events and the
//! system's are passed over there, and a subscription's checkpoints move past them all the same.
//!
//! - An append looks at the stream first, then names the exact revision that it saw. The server takes the same id again under
//!   a newer revision, so the look is what makes an id one event; and what was written is read back, because the server answers a
//!   repeat as if it were the first, and does not compare bodies.
//! - Every call asks for the leader.
//! - [`KurrentDbLog::open`] refuses a server that does not flush to disk.
//!
//! Deliberately absent: persistent subscriptions (they reorder, and park what fails), deletion, stream metadata. What a server's
//! administrator can do with these (`$maxAge`, `$tb`, deletion, scavenging) destroys history: deny it by access control lists.
//!
//! Of the client (`kurrentdb` 1.2): once it has found no node it never looks again, and after a node went away it stays with that
//! one, so `link` makes a new client. A subscription that the server ends without an error would make it spin; servers end them
//! with one.

mod append;
mod config;
mod follow;
mod link;
mod log;
mod read;
mod safety;
mod wire;

pub use config::{KurrentDbConfig, NAMESPACE, User};
pub use log::KurrentDbLog;

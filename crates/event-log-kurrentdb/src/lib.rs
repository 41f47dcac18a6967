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
//! - The head is looked for behind what is known: what others wrote is not looked through again at every call.
//! - [`KurrentDbLog::open`] refuses a server that does not flush to disk, and one before 22.6; [`KurrentDbLog::watch`] looks again.
//!
//! Deliberately absent: persistent subscriptions (they reorder, and park what fails), deletion, stream metadata. What a server's
//! administrator can do with these (`$maxAge`, `$tb`, deletion, scavenging) destroys history: deny it by access control lists.
//!
//! Of the client (`kurrentdb` 1.2), all of it worked around in `link` but the last two:
//!
//! - once it has found no node it never looks again, and it stays with a node that went away: another client takes its place;
//! - it tells the server how long a call may take, and waits for ever itself;
//! - a client that is let go of leaves a task behind, so one whose node answers, if only with errors, is not replaced at once;
//! - it leaves Nagle's algorithm on, and sends every request in two parts, so that on Linux a call takes 40 ms more than it need;
//! - a subscription that the server ends *without* an error makes it spin. By its sources the server ends none so: they run until
//!   the caller goes, the node stops or the log is out of reach, and each of these is an error.

mod append;
mod config;
mod follow;
mod head;
mod link;
mod log;
mod read;
mod safety;
mod wire;

pub use config::{KurrentDbConfig, NAMESPACE, User};
pub use log::KurrentDbLog;

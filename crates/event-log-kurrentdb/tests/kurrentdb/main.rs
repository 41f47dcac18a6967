//! The KurrentDB engine against a double that speaks the server's protocol.
#![expect(clippy::unwrap_used, clippy::panic, clippy::large_futures, reason = "tests")]
#![expect(clippy::disallowed_methods, reason = "tests spawn what they talk to")]

mod appending;
mod backups;
mod conformance;
mod following;
mod given;
mod heads;
mod nodes;
mod options;
mod refusing;

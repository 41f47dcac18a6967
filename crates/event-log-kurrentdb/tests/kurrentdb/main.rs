//! The KurrentDB engine against a double that speaks the server's protocol.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod appending;
mod conformance;
mod following;
mod given;
mod nodes;
mod refusing;

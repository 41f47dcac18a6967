//! The server as the network meets it: who gets in, what is refused, what is survived.
#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(clippy::disallowed_methods, reason = "tests spawn what they talk to")]

mod entry;
mod house;
mod limits;
mod neighbours;
mod operation;
mod tls;
mod waiting;
mod web;

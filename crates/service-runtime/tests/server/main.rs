//! The server as the network meets it: who gets in, what is refused, what is survived.
#![expect(clippy::unwrap_used, reason = "tests")]

mod entry;
mod house;
mod limits;
mod operation;
mod web;

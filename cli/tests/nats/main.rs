//! `daypass nats` on a real nats-server that has the configuration it writes.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod attacks;
mod files;
mod given;
mod matrix;
mod reload;
mod room;
mod signals;
mod three_servers;
mod wire;

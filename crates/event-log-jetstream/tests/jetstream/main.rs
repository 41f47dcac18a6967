//! The log on a real nats-server.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod appending;
mod conformance;
mod dated;
mod following;
mod given;
mod lossy;
mod refusing;
mod storm;

//! The log on a real nats-server.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![expect(clippy::disallowed_methods, reason = "tests spawn what they talk to")]

mod appending;
mod cluster;
mod conformance;
mod dated;
mod following;
mod given;
mod lossy;
mod refusing;
mod storm;
mod strays;

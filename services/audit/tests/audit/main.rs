//! The audit service over a log in memory, called through its gate without a socket.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![expect(clippy::disallowed_methods, reason = "tests spawn what they talk to")]

mod as_of;
mod export;
mod list;
mod refusals;
mod regressions;
mod relay;
mod replay;
mod support;

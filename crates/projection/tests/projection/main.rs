//! The promises of a projection: it equals the fold of the log, whatever is deleted, replaced, interrupted, broken or down.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![expect(clippy::disallowed_methods, reason = "tests spawn what they talk to")]

mod duties;
mod files;
mod following;
mod trouble;

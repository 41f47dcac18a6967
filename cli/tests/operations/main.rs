//! `daypass doctor`, backups of logs and key stores, and keys that cannot be used, on real servers.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![expect(clippy::disallowed_methods, reason = "tests spawn what they talk to")]

mod backups;
mod doctor;
mod given;
mod keys;
mod shipped;

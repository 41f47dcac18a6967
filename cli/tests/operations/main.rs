//! `daypass doctor`, and backups of logs and key stores, on real servers.

#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(clippy::disallowed_methods, reason = "tests spawn what they talk to")]

mod backups;
mod doctor;
mod given;

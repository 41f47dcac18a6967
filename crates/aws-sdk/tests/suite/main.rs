//! The adapters against real HTTP: moto, and answers written by hand for what moto cannot do.
#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(clippy::disallowed_methods, reason = "tests spawn what they talk to")]

mod account_access;
mod answers;
mod dates;
mod federation;
mod moto;
mod session_denials;
mod support;

//! The adapters against real HTTP: moto, and answers written by hand for what moto cannot do.
#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(clippy::disallowed_methods, reason = "tests spawn what they talk to")]

mod answers;
mod dates;
mod moto;
mod support;

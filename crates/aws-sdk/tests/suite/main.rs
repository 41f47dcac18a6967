//! The adapters against real HTTP: moto, and answers written by hand for what moto cannot do.
#![expect(clippy::unwrap_used, reason = "tests")]

mod answers;
mod moto;
mod support;

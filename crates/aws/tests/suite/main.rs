//! Tests of the crate through its public face.
#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(clippy::disallowed_methods, reason = "tests spawn what they talk to")]

mod cached_directory;
mod directory_lookups;
mod evaluator;
mod session_policy;
mod simulated_account_access;
mod simulated_conformance;
mod simulated_faults;
mod support;

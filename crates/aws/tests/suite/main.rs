//! Tests of the crate through its public face.
#![expect(clippy::unwrap_used, reason = "tests")]

mod cached_directory;
mod directory_lookups;
mod session_policy;
mod simulated_conformance;
mod simulated_faults;
mod support;

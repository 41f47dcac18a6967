//! Real third-party servers and clients for tests, on free loopback ports, ended when their handle is dropped.
//!
//! The programs come from `script/install-test-tools` and live in `.tools/` of the workspace. INVARIANT: development only; no
//! service and no library depends on this crate except in `[dev-dependencies]`.

pub mod aws_cli;
pub mod certificates;
pub mod collector;
pub mod faults;
pub mod measured;
pub mod moto;
pub mod nats;
pub mod nats_cluster;
pub mod network;
pub mod oidc;
pub mod organisation;
pub mod process;
pub mod tools;

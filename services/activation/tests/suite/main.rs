//! The activation service in one process: an in-memory log, a simulated AWS, simulated time.
#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(clippy::disallowed_methods, reason = "tests spawn what they talk to")]

mod assignments;
mod clock;
mod credentials;
mod faults;
mod forged;
mod house;
mod limits;
mod regressions;
mod replicas;
mod restart;
mod rpcs;

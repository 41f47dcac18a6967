//! The activation service in one process: an in-memory log, a simulated AWS, simulated time.
#![expect(clippy::unwrap_used, reason = "tests")]

mod assignments;
mod credentials;
mod faults;
mod forged;
mod house;
mod regressions;
mod restart;
mod rpcs;

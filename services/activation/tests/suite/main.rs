//! The activation service in one process: an in-memory log, a simulated AWS, simulated time.
#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(clippy::disallowed_methods, reason = "tests spawn what they talk to")]

mod abandon;
mod account_access;
mod assignments;
mod clock;
mod console;
mod credentials;
mod denials;
mod estimate;
mod faults;
mod forged;
mod house;
mod limits;
mod measured;
mod regressions;
mod replicas;
mod restart;
mod restored;
mod rpcs;
mod sessions;
mod signals;
mod standby;
mod sweeps;
mod tokens;
mod undone;
mod watch;

//! Every call there is, as it meets everyone there is: all services in one process, behind the gate, without a socket, on the
//! in-memory log and the simulated AWS. What is called comes from the descriptors, so that a new RPC cannot be forgotten.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod access_matrix;
mod callers;
mod house;
mod messages;
mod raw;
mod regressions;
mod secrets;
mod signals_from_bus;
mod wrong_values;

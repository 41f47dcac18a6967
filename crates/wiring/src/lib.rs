//! From a configuration to a running process: which engine, which AWS, which sign-in, what runs beside the server.
//!
//! - [`Settings`]: everything that a program of Daypass can be told, checked at once;
//! - [`engine`], [`bus`], [`key_store`], [`nats`], [`cloud`]: the only places that name an engine, NATS or the AWS SDK;
//! - [`serve`]: a start in any order: whatever is not there yet is waited for;
//! - [`Process`]: views, gate and background work put together, and run until they are asked to end;
//! - [`program()`]: what the `main.rs` of a service is.
//!
//! INVARIANT: only programs use this crate. Nothing is decided here.

pub mod bus;
pub mod cloud;
pub mod engine;
pub mod key_store;
pub mod nats;
mod process;
mod program;
mod readiness;
mod settings;
mod start;
mod time_watch;
mod write_level;

pub use process::{Parts, Process, StartError, Work};
pub use program::{Built, neighbour, program, seed_text, services_of, this_program};
pub use settings::{
    ActivationSection, AwsSection, BusSection, ClockSection, DataSection, KeysSection, Neighbours,
    PolicySection, RaisersSection, RequestsSection, Settings, UpgradeSection, WhenMissing,
};
pub use start::serve;
pub use time_watch::{ask_log, machine_clock};

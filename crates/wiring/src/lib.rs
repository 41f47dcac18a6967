//! From a configuration to a running process: which engine, which AWS, which sign-in, what runs beside the server.
//!
//! - [`Settings`]: everything that a program of Daypass can be told, checked at once;
//! - [`engine`], [`cloud`]: the only places that name an engine or the AWS SDK;
//! - [`Process`]: views, gate and background work put together, and run until they are asked to end;
//! - [`program()`]: what the `main.rs` of a service is.
//!
//! INVARIANT: only programs use this crate. Nothing is decided here.

pub mod cloud;
pub mod engine;
mod process;
mod program;
mod settings;
mod time_watch;

pub use process::{Parts, Process, StartError, Work};
pub use program::{Built, program, seed_text, services_of, this_program};
pub use settings::{
    ActivationSection, AwsSection, ClockSection, DataSection, Neighbours, PolicySection, RaisersSection,
    Settings, WhenMissing,
};
pub use time_watch::machine_clock;

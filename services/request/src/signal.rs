//! Signals from outside: believed as far as their source is configured to be, recorded, and then followed.
//!
//! - `sources`: who is believed in what, and how each is known; `told`: a signal as values; `from_bus`: the same out of a message
//!   from the bus, or why it is none;
//! - `ingest`: the way of every signal into the log, however it came; `raising`: what is raised for a person.
//!
//! INVARIANT: a signal is recorded before anything follows from it, once: its id derives from its source and the source's own id.

pub(crate) mod from_bus;
pub(crate) mod ingest;
pub(crate) mod raising;
pub(crate) mod sources;
pub(crate) mod told;

pub use sources::{SourceError, Sources};

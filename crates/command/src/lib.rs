//! How a command becomes an event: load, decide, append; look again where someone else was first.
//!
//! - [`Commander`]: the loop, and its promises; [`Command`], [`Outcome`], [`CommandError`].
//! - [`aggregate`]: what each kind of stream folds into.
//! - [`Loaded`]: a stream as far as it was read; [`StateSource`]: where that is remembered between commands.
//!
//! INVARIANT: one decision, one event. A yes holds only if the stream is still at the revision that it was decided on: the
//! log says so. A no is final only if it was decided on everything that the log held. Deliberately absent: rules. Deciders
//! are pure and live with their domain; rejections pass through here untouched.

pub mod aggregate;
mod append;
mod commander;
mod error;
mod history;
mod source;

pub use aggregate::Aggregate;
pub use commander::{Command, Commander, Outcome};
pub use error::{CommandError, Corrupt, LoadError};
pub use history::{Known, Loaded};
pub use source::{CachedSource, LogSource, Remembered, StateSource};

//! A log that is copied to another, byte for byte, and one that is restored from a copy.
//!
//! - [`copy()`]: every event of one log in another, whatever the engines; [`Copied`].
//! - [`restore()`]: a copy in a new log, which says that it was restored; [`Restorer`], [`Restored`].
//!
//! INVARIANT: nothing is written to a log that holds what the source has not. Deliberately absent: engines; who calls opens both logs.

mod copy;
mod error;
mod histories;
mod places;
mod restore;

#[cfg(test)]
mod given;

pub use copy::{Copied, copy};
pub use error::BackupError;
pub use histories::{Cut, Why};
pub use restore::{Restored, Restorer, restore};

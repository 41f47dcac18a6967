//! What can go wrong with a log.

use crate::Revision;

/// Why an append did not, or may not have, happened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The stream is not as expected. Nothing was written; look again, decide again.
    #[error("the stream is at {actual:?}, which is not what was expected")]
    Conflict {
        /// The last revision of the stream; `None`: it has no events.
        actual: Option<Revision>,
    },
    /// The stream holds another event under this id. Nothing was written.
    #[error("another event has this id")]
    IdTaken,
    /// The body is larger than [`crate::BODY_BYTES_MAX`]. Nothing was written.
    #[error("the event has {bytes} bytes, more than the log takes")]
    TooLarge {
        /// The size of the body.
        bytes: usize,
    },
    /// The answer was lost: the event may or may not be in the log. Append it again, the same id and body, until an answer is
    /// definite.
    #[error("it is not known whether the event was written: {0}")]
    Unknown(String),
    /// The log cannot be written now. Nothing was written.
    #[error("the log cannot be written: {0}")]
    Unavailable(String),
}

/// Why a log could not be read, or not be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// The log cannot be reached now; trying later may work.
    #[error("the log cannot be read: {0}")]
    Unavailable(String),
    /// What the engine holds is not what a log of ours holds. Trying again will not help.
    #[error("the log is damaged: {0}")]
    Corrupt(String),
    /// The engine is set up in a way that could lose events. It says which setting, and what it must be.
    #[error("refused: {0}")]
    Unsafe(String),
}

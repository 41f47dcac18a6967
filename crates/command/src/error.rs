//! Why a command has no outcome.

use event_log::Revision;

/// A stream holds something that cannot be relied on. Nothing may be granted on it; somebody must look.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the history of {stream} cannot be relied on, at revision {revision:?}: {why}")]
pub struct Corrupt {
    /// The stream.
    pub stream: String,
    /// Where; `None` when the engine itself found its data damaged.
    pub revision: Option<Revision>,
    /// What is wrong there.
    pub why: String,
}

/// Why a stream could not be loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The log cannot be read now.
    #[error("the log cannot be read: {0}")]
    Unavailable(String),
    /// Its history cannot be relied on.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
}

/// Why a command has no outcome. `R` is the decider's rejection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError<R> {
    /// The decider said no, knowing everything that the log held. Nothing was written.
    #[error("refused: {0}")]
    Refused(R),
    /// The idempotency key was used before, for another command. Nothing was written.
    #[error("the idempotency key was used before, for another command")]
    KeyReused,
    /// Others kept being first. Nothing was written; trying again may work.
    #[error("others kept writing to the same stream")]
    Contended,
    /// It is not known whether the event was written. The same command, given again, finds out.
    #[error("it is not known whether the command was carried out: {0}")]
    Unknown(String),
    /// The log cannot be read or written now. Nothing was written.
    #[error("the log is not available: {0}")]
    Unavailable(String),
    /// The history that the decision would rest on cannot be relied on. Nothing was written.
    #[error(transparent)]
    Corrupt(Corrupt),
    /// The event would be larger than the log takes. Nothing was written.
    #[error("the event would have {bytes} bytes, more than the log takes")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// A fault of this program: the decision is an event that this service does not own, or of another kind of stream.
    /// Nothing was written: no reader would accept it.
    #[error("{type_name} cannot be written here by this service")]
    NotOurs {
        /// The stored type.
        type_name: &'static str,
    },
}

impl<R> From<LoadError> for CommandError<R> {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Unavailable(why) => Self::Unavailable(why),
            LoadError::Corrupt(corrupt) => Self::Corrupt(corrupt),
        }
    }
}

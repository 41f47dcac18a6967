//! Why not.

use event_log::LogError;

/// What to do about a target that holds what the copy must not: a log forgets nothing.
pub(crate) const ANOTHER_TARGET: &str = "Nothing is taken away from a log: make a new one (another file, NATS servers on empty volumes, or a namespace of KurrentDB that nobody has used), let nobody else write to it, and begin again";

/// Why a log was not copied, or not restored. What was written by then stays, and the same call goes on after it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackupError {
    /// One of the two logs cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The target does not take it; with what to do, for people.
    #[error("{0}")]
    Refused(String),
}

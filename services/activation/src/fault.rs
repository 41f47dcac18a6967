//! Why a piece of work could not be done now. Every fault is temporary: the work is done later.

use aws::AwsError;
use command::{CommandError, LoadError};
use views::requests::StoryError;

/// A fault.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// AWS refused, or did not answer.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// The log could not be read or written.
    #[error("{0}")]
    Log(String),
    /// The read model could not be asked.
    #[error(transparent)]
    Views(#[from] StoryError),
    /// The read model does not follow the log.
    #[error("the read model is behind the log")]
    Behind,
    /// Something more urgent could not begin while this waited.
    #[error("something more urgent goes first")]
    GivesWay,
}

impl From<LoadError> for Fault {
    fn from(error: LoadError) -> Self {
        Self::Log(error.to_string())
    }
}

impl Fault {
    /// A command that was neither carried out nor refused.
    pub(crate) fn of_command<R: std::fmt::Display>(error: &CommandError<R>) -> Self {
        Self::Log(error.to_string())
    }

    /// One word for events: AWS's code, or what else stood in the way.
    pub(crate) fn code(&self) -> String {
        match self {
            Self::Aws(error) => error.code.clone(),
            Self::Log(_) => "LogUnavailable".to_owned(),
            Self::Views(_) | Self::Behind => "ReadModelUnavailable".to_owned(),
            Self::GivesWay => "GivesWay".to_owned(),
        }
    }
}

//! The refusals of this service; all but a few are the policy's or the lifecycle's, and have their codes from `views::refusal`.

use command::LoadError;
use journal::key_store::KeyStoreError;
use lifecycle::Rejection;
use policy::Denied;
use tonic::Code;
use views::ClockInDoubt;
use views::place::PlaceUnknown;
use views::policy_book::PolicyUnknown;
use views::refusal::Refusal;
use views::requests::StoryError;
use views::scheduled::StartNeedsDirectory;
use views::who::Unrecognised;

/// Why nothing is raised, taken back or told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error(transparent)]
    Rejected(#[from] Rejection),
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error(transparent)]
    Clock(#[from] ClockInDoubt),
    #[error(transparent)]
    Place(#[from] PlaceUnknown),
    #[error(transparent)]
    Policy(#[from] PolicyUnknown),
    #[error(transparent)]
    Start(#[from] StartNeedsDirectory),
    #[error(transparent)]
    Story(#[from] StoryError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("only a program that is configured for it may raise for somebody else")]
    MayNotRaiseForOthers,
    #[error("the directory knows no one user for this person, and without one this cannot be given")]
    NoDirectoryUser,
    #[error("access by this provider is not served yet")]
    ProviderNotServed,
    #[error("all requests are for administrators and auditors")]
    NotForAllRequests,
    #[error("{max} requests are pending already; withdraw some, or wait until they are decided")]
    TooManyPending { max: usize },
    #[error("no source of signals is configured that is this caller under this name")]
    SourceUnknown,
    #[error("nothing was raised by this signal: {reason}")]
    NothingRaised { reason: String },
    #[error("the key store is not available; nothing was done")]
    KeyStore,
    #[error("the key of this person cannot be used; nothing was done")]
    KeyUnusable,
}

impl From<KeyStoreError> for Refused {
    /// What is wrong with the key store, or with a key, is for the log of the service.
    fn from(error: KeyStoreError) -> Self {
        match error {
            KeyStoreError::Unavailable(_) | KeyStoreError::Unsafe(_) => {
                tracing::error!(%error, "the key store cannot be used");
                Self::KeyStore
            }
            KeyStoreError::Unusable { .. } => {
                tracing::error!(%error, "a person's key cannot be used");
                Self::KeyUnusable
            }
        }
    }
}

impl From<Unrecognised> for Refused {
    fn from(unrecognised: Unrecognised) -> Self {
        match unrecognised {
            Unrecognised::Story(error) => Self::Story(error),
            Unrecognised::Rejected(rejection) => Self::Rejected(rejection),
        }
    }
}

impl Refused {
    /// Whether asking again soon would give the same answer.
    pub(crate) fn is_final(&self) -> bool {
        !matches!(self.reason().0, Code::Unavailable | Code::DataLoss)
    }
}

impl Refusal for Refused {
    fn reason(&self) -> (Code, &'static str) {
        match self {
            Self::Rejected(rejection) => rejection.reason(),
            Self::Denied(denied) => denied.reason(),
            Self::Clock(doubt) => doubt.reason(),
            Self::Place(unknown) => unknown.reason(),
            Self::Policy(unknown) => unknown.reason(),
            Self::Start(needs) => needs.reason(),
            Self::Story(error) => error.reason(),
            Self::Load(error) => error.reason(),
            Self::MayNotRaiseForOthers => (Code::PermissionDenied, "MAY_NOT_RAISE_FOR_OTHERS"),
            Self::NoDirectoryUser => (Code::FailedPrecondition, "NO_DIRECTORY_USER"),
            Self::ProviderNotServed => (Code::FailedPrecondition, "PROVIDER_NOT_SERVED"),
            Self::NotForAllRequests => (Code::PermissionDenied, "NOT_FOR_ALL_REQUESTS"),
            Self::TooManyPending { .. } => (Code::ResourceExhausted, "TOO_MANY_PENDING"),
            Self::SourceUnknown => (Code::PermissionDenied, "SOURCE_UNKNOWN"),
            Self::NothingRaised { .. } => (Code::FailedPrecondition, "NOTHING_RAISED"),
            Self::KeyStore => (Code::Unavailable, "KEY_STORE_UNAVAILABLE"),
            Self::KeyUnusable => (Code::FailedPrecondition, "KEY_UNUSABLE"),
        }
    }
}

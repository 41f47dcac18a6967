//! What can go wrong in a call to AWS, sorted by what the caller may conclude from it.

/// What a failed call says about its effect and about a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorKind {
    /// Too many calls. Not applied; later again.
    Throttled,
    /// As many exist as may. Not applied; later again, when some are gone. Fewer calls do not help.
    QuotaReached,
    /// An earlier write has not propagated yet. Not applied; later again.
    Conflict,
    /// What the call names is not there. Not applied.
    NotFound,
    /// We may not. Not applied; a retry does not help until somebody changes a policy.
    Denied,
    /// AWS does not accept the input. Not applied; a retry does not help.
    Invalid,
    /// The call may or may not have been applied (time-out, connection lost after sending, 5xx): observe before retrying.
    Unknown,
    /// AWS surely did not see or accept the call (no connection, too late to start). Not applied; later again.
    Unavailable,
}

impl ErrorKind {
    /// One lower-case word, for logs and events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::QuotaReached => "quota reached",
            Self::Conflict => "conflict",
            Self::NotFound => "not found",
            Self::Denied => "denied",
            Self::Invalid => "invalid",
            Self::Unknown => "unknown",
            Self::Unavailable => "unavailable",
        }
    }
}

/// A failed call.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
#[error("{}: {code}: {message}", kind.as_str())]
pub struct AwsError {
    /// What may be concluded.
    pub kind: ErrorKind,
    /// AWS's own word for it (`ConflictException`), or ours when no answer came (`Timeout`).
    pub code: String,
    /// AWS's explanation, cut to [`AwsError::MESSAGE_MAX`]; never holds a secret.
    pub message: String,
}

impl AwsError {
    /// The longest message kept, in characters: answers of proxies can be whole pages.
    pub const MESSAGE_MAX: usize = 500;

    /// An error of `kind`.
    pub fn new(kind: ErrorKind, code: impl Into<String>, message: &str) -> Self {
        Self { kind, code: code.into(), message: message.chars().take(Self::MESSAGE_MAX).collect() }
    }

    /// Whether the call may have been applied although it failed. Then observe before trying again.
    pub const fn outcome_unknown(&self) -> bool {
        matches!(self.kind, ErrorKind::Unknown)
    }

    /// Whether the same call can succeed later without anybody changing anything.
    pub const fn retriable(&self) -> bool {
        match self.kind {
            ErrorKind::Throttled
            | ErrorKind::QuotaReached
            | ErrorKind::Conflict
            | ErrorKind::Unknown
            | ErrorKind::Unavailable => true,
            ErrorKind::NotFound | ErrorKind::Denied | ErrorKind::Invalid => false,
        }
    }
}

impl From<domain::Invalid> for AwsError {
    fn from(invalid: domain::Invalid) -> Self {
        Self::new(ErrorKind::Invalid, "Invalid", &invalid.to_string())
    }
}

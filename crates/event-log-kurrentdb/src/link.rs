//! The client, and another one when it is of no use any more.

use crate::config::{KurrentDbConfig, User};
use event_log::{AppendError, LogError};
use kurrentdb::{Authentication, Client, ClientSettings, Error};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long one call may take, and how long the next event of an answer: as long as the client lets the server take.
pub(crate) const CALL_WITHIN: Duration = Duration::from_secs(10);
/// How long a client is kept at least whose node answers, if only with errors: each leaves a task and its certificates behind.
const KEPT_MIN: Duration = Duration::from_secs(1);
/// The same, after many that lived no longer.
const KEPT_MAX: Duration = Duration::from_mins(1);

pub(crate) struct Link {
    settings: ClientSettings,
    user: Option<User>,
    current: Mutex<Current>,
}

struct Current {
    client: Numbered,
    made_at: Instant,
    kept_for: Duration,
}

/// A client, and which one it is: of many calls that fail on it, one has it replaced.
#[derive(Clone)]
pub(crate) struct Numbered {
    pub(crate) client: Client,
    number: u64,
}

impl Link {
    /// Connects when first used. Nothing of the connection string is in the error: it may hold a password.
    pub(crate) fn new(config: &KurrentDbConfig) -> Result<Self, LogError> {
        let settings: ClientSettings = config
            .connection
            .parse()
            .map_err(|_| LogError::Unsafe("the connection string is not one of KurrentDB".into()))?;
        let client = Numbered { client: new_client(&settings)?, number: 0 };
        let current = Current { client, made_at: Instant::now(), kept_for: KEPT_MIN };
        Ok(Self { settings, user: config.user.clone(), current: Mutex::new(current) })
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn client(&self) -> Numbered {
        self.lock().client.clone()
    }

    /// Who we are, for a call's options.
    pub(crate) fn authentication(&self) -> Option<Authentication> {
        let user = self.user.as_ref()?;
        Some(Authentication::basic(user.name.clone(), user.password.clone()))
    }

    /// Has the client replaced if `error` says that it will not find its way back by itself.
    pub(crate) fn look_at(&self, failed: &Numbered, error: &Error) {
        let ended = matches!(error, Error::ConnectionClosed | Error::GrpcConnectionError(_));
        // Its node may be gone, and it would stay with it.
        let adrift = matches!(error, Error::ServerError(_)) && !is_of_no_place(error);
        let mut current = self.lock();
        let lived = current.made_at.elapsed();
        if current.client.number != failed.number || !(ended || (adrift && lived >= current.kept_for)) {
            return;
        }
        match new_client(&self.settings) {
            Ok(client) => {
                let kept_for = if lived < KEPT_MAX {
                    current.kept_for.saturating_mul(2).min(KEPT_MAX)
                } else {
                    KEPT_MIN
                };
                let client = Numbered { client, number: failed.number + 1 };
                *current = Current { client, made_at: Instant::now(), kept_for };
            }
            Err(error) => tracing::warn!(%error, "no new client for KurrentDB"),
        }
    }
}

fn new_client(settings: &ClientSettings) -> Result<Client, LogError> {
    Client::new(settings.clone()).map_err(|error| LogError::Unavailable(error.to_string()))
}

/// A call, if it is answered in time. The client knows of time, and leaves it to the server.
pub(crate) async fn in_time<T>(call: impl Future<Output = kurrentdb::Result<T>>) -> kurrentdb::Result<T> {
    tokio::time::timeout(CALL_WITHIN, call).await.unwrap_or(Err(Error::DeadlineExceeded))
}

/// What a failed read means.
pub(crate) fn not_read(error: &Error) -> LogError {
    if matches!(error, Error::ResourceDeleted) {
        LogError::Corrupt("a stream was deleted on the server".into())
    } else if is_of_no_place(error) {
        LogError::Corrupt("no event of the server begins at the position that was asked for".into())
    } else {
        LogError::Unavailable(error.to_string())
    }
}

/// Whether the server says that no event begins where a read of `$all` was to begin: to reads it names its own constant, to
/// subscriptions `INVALID_ARGUMENT`.
pub(crate) fn is_of_no_place(error: &Error) -> bool {
    match error {
        Error::ServerError(message) => message.contains("InvalidPosition"),
        Error::Grpc { message, .. } => message.contains("invalid position"),
        Error::NotLeaderException(_)
        | Error::ConnectionClosed
        | Error::GrpcConnectionError(_)
        | Error::InternalParsingError(_)
        | Error::AccessDenied
        | Error::ResourceAlreadyExists
        | Error::ResourceNotFound
        | Error::ResourceDeleted
        | Error::UnsupportedFeature
        | Error::InternalClientError
        | Error::DeadlineExceeded
        | Error::InitializationError(_)
        | Error::IllegalStateError(_)
        | Error::WrongExpectedVersion { .. } => false,
    }
}

/// What a failed append means, where the stream was as expected: whether anything may have been written.
pub(crate) fn not_written(error: &Error) -> AppendError {
    // Looked at, or failed, before the event was on its way.
    let nothing = matches!(
        error,
        Error::NotLeaderException(_)
            | Error::AccessDenied
            | Error::UnsupportedFeature
            | Error::ResourceDeleted
            | Error::GrpcConnectionError(_)
            | Error::ConnectionClosed
            | Error::InitializationError(_)
    );
    if nothing {
        AppendError::Unavailable(error.to_string())
    } else {
        AppendError::Unknown(error.to_string())
    }
}

/// Sets on a call's options what all calls have: the leader, and who we are.
macro_rules! asked_of_leader {
    ($link:expr, $options:expr) => {{
        let options = $options.requires_leader(true);
        match $link.authentication() {
            Some(authentication) => options.authenticated(authentication),
            None => options,
        }
    }};
}
pub(crate) use asked_of_leader;

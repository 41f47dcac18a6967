//! The client, and another one when it is of no use any more.

use crate::config::{KurrentDbConfig, User};
use event_log::{AppendError, LogError};
use kurrentdb::{Authentication, Client, ClientSettings, Error};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long one call may take.
pub(crate) const CALL_WITHIN: Duration = Duration::from_secs(5);

pub(crate) struct Link {
    settings: ClientSettings,
    user: Option<User>,
    client: Mutex<Numbered>,
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
            .map_err(|_| LogError::Unavailable("the connection string is not one of KurrentDB".into()))?;
        let client = new_client(&settings)?;
        Ok(Self { settings, user: config.user.clone(), client: Mutex::new(Numbered { client, number: 0 }) })
    }

    fn lock(&self) -> MutexGuard<'_, Numbered> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn client(&self) -> Numbered {
        self.lock().clone()
    }

    /// Who we are, for a call's options.
    pub(crate) fn authentication(&self) -> Option<Authentication> {
        let user = self.user.as_ref()?;
        Some(Authentication::basic(user.name.clone(), user.password.clone()))
    }

    /// Has the client replaced if `error` says that it will not find its way back by itself.
    pub(crate) fn look_at(&self, failed: &Numbered, error: &Error) {
        if !matches!(error, Error::ConnectionClosed | Error::GrpcConnectionError(_) | Error::ServerError(_)) {
            return;
        }
        let mut current = self.lock();
        if current.number != failed.number {
            return;
        }
        match new_client(&self.settings) {
            Ok(client) => *current = Numbered { client, number: failed.number + 1 },
            Err(error) => tracing::warn!(%error, "no new client for KurrentDB"),
        }
    }
}

fn new_client(settings: &ClientSettings) -> Result<Client, LogError> {
    Client::new(settings.clone()).map_err(|error| LogError::Unavailable(error.to_string()))
}

/// What a failed read means.
pub(crate) fn not_read(error: &Error) -> LogError {
    match error {
        Error::ResourceDeleted => LogError::Corrupt("a stream was deleted on the server".into()),
        error => LogError::Unavailable(error.to_string()),
    }
}

/// What a failed append means, where the stream was as expected: whether anything may have been written.
pub(crate) fn not_written(error: &Error) -> AppendError {
    match error {
        // Looked at, or failed, before the event was on its way.
        Error::NotLeaderException(_)
        | Error::AccessDenied
        | Error::UnsupportedFeature
        | Error::ResourceDeleted
        | Error::GrpcConnectionError(_)
        | Error::InitializationError(_) => AppendError::Unavailable(error.to_string()),
        error => AppendError::Unknown(error.to_string()),
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

//! Where NATS servers are, and who we are to them: for the event log and for the bus.
//!
//! Deliberately absent: what is said over a connection, and what a server must be like.
//!
//! INVARIANT: no password, key or URL is shown by `Debug` or by an error.

use async_nats::{ConnectOptions, Event, ServerAddr};
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::watch;

/// The longest pause between two tries to reach a server again.
const RECONNECT_PAUSE_MAX: Duration = Duration::from_secs(1);
/// The first pause; each one is twice as long as the one before.
const RECONNECT_PAUSE_MIN: Duration = Duration::from_millis(10);

/// How often a connection shows that it lives. After three without an answer the next server is tried, so a server that is
/// paused or cut off is left within four seconds.
const PING_EVERY: Duration = Duration::from_secs(1);
/// How long a server may take to greet; the next one may be better.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// A way to the servers of one cluster.
pub struct Connection {
    /// The servers, `nats://host:port` or `tls://host:port`.
    pub servers: Vec<String>,
    /// Who we are.
    pub credentials: Credentials,
    /// TLS beyond what a `tls://` URL asks for.
    pub tls: Option<Tls>,
}

/// Who we are to the servers.
pub enum Credentials {
    /// Nobody in particular.
    None,
    /// A `.creds` file: a JWT and its key.
    File(PathBuf),
    /// A file with an nkey seed.
    NkeySeedFile(PathBuf),
    /// A user name and password.
    UserAndPassword {
        /// The name.
        user: String,
        /// The password; never shown.
        password: String,
    },
}

/// TLS beyond the system's trust.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Certificates of the authorities that signed the servers' certificates, PEM.
    pub root_certificates: Option<PathBuf>,
    /// Our own certificate and key, PEM, where servers ask for one.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// Whether a server without TLS is refused.
    pub required: bool,
}

/// What is wrong with a way to the servers.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// A server's address.
    #[error("a server's URL is not one of NATS")]
    Address,
    /// The file with credentials.
    #[error("credentials: {0}")]
    Credentials(std::io::Error),
    /// What is in it.
    #[error("credentials: the file does not hold the seed of an nkey")]
    Seed,
}

impl Connection {
    /// To one server, as nobody in particular.
    pub fn to(server: impl Into<String>) -> Self {
        Self { servers: vec![server.into()], credentials: Credentials::None, tls: None }
    }

    /// The servers' addresses.
    pub fn addresses(&self) -> Result<Vec<ServerAddr>, ConnectionError> {
        self.servers.iter().map(|url| url.parse().map_err(|_| ConnectionError::Address)).collect()
    }

    /// The client's options but for its callbacks. `name` is what the servers' own monitoring calls the connection.
    pub async fn options(&self, name: &str) -> Result<ConnectOptions, ConnectionError> {
        let unreadable = ConnectionError::Credentials;
        let mut options = ConnectOptions::new()
            .name(name)
            .ping_interval(PING_EVERY)
            .connection_timeout(CONNECT_WITHIN)
            .reconnect_delay_callback(reconnect_pause);
        options = match &self.credentials {
            Credentials::None => options,
            Credentials::File(path) => options.credentials_file(path).await.map_err(unreadable)?,
            Credentials::NkeySeedFile(path) => {
                let seed = tokio::fs::read_to_string(path).await.map_err(unreadable)?;
                let pair = nkeys::KeyPair::from_seed(seed.trim()).map_err(|_| ConnectionError::Seed)?;
                options.nkey(seed.trim().to_owned()).custom_inbox_prefix(answers_to(&pair.public_key()))
            }
            Credentials::UserAndPassword { user, password } => {
                options.user_and_password(user.clone(), password.clone())
            }
        };
        if let Some(tls) = &self.tls {
            options = options.require_tls(tls.required);
            if let Some(path) = &tls.root_certificates {
                options = options.add_root_certificates(path.clone());
            }
            if let Some((certificate, key)) = &tls.client_certificate {
                options = options.add_client_certificate(certificate.clone(), key.clone());
            }
        }
        Ok(options)
    }
}

/// Has it counted how often the connection is lost that `options` make.
pub fn watched(options: ConnectOptions) -> (ConnectOptions, watch::Receiver<u64>) {
    let (count, losses) = watch::channel(0);
    let options = options.event_callback(move |event| {
        if matches!(event, Event::Disconnected | Event::Closed) {
            count.send_modify(|losses| *losses += 1);
        }
        std::future::ready(())
    });
    (options, losses)
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // URLs may carry passwords, so they are counted only.
        f.debug_struct("Connection")
            .field("servers", &self.servers.len())
            .field("credentials", &self.credentials)
            .field("tls", &self.tls)
            .finish()
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::NkeySeedFile(path) => f.debug_tuple("NkeySeedFile").field(path).finish(),
            Self::UserAndPassword { user, .. } => {
                f.debug_struct("UserAndPassword").field("user", user).finish_non_exhaustive()
            }
        }
    }
}

/// Where the answers to a user with this public key come to: a place of its own, so that a server can keep others from it.
pub fn answers_to(public_key: &str) -> String {
    format!("_INBOX.{public_key}")
}

fn reconnect_pause(tries: usize) -> Duration {
    let doublings = u32::try_from(tries.saturating_sub(1)).unwrap_or(u32::MAX).min(10);
    RECONNECT_PAUSE_MIN.saturating_mul(1 << doublings).min(RECONNECT_PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let credentials = Credentials::UserAndPassword { user: "log".into(), password: "canary-2".into() };
        let connection = Connection { credentials, ..Connection::to("nats://user:canary-1@localhost") };
        assert!(!format!("{connection:?}").contains("canary"), "{connection:?}");
        let error = Connection::to("nats://user:canary-3@[").addresses().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    }

    #[test]
    fn pauses_between_tries_grow_to_a_second() {
        assert_eq!(reconnect_pause(1), Duration::from_millis(10));
        assert_eq!(reconnect_pause(3), Duration::from_millis(40));
        assert_eq!(reconnect_pause(usize::MAX), RECONNECT_PAUSE_MAX);
    }
}

//! Where the servers are, and who we are to them.

use async_nats::{ConnectOptions, ServerAddr};
use event_log::LogError;
use std::path::PathBuf;
use std::time::Duration;
use uuid::Uuid;

/// The longest pause between two tries to reach a server again.
const RECONNECT_PAUSE_MAX: Duration = Duration::from_secs(1);
/// The first pause; each one is twice as long as the one before.
const RECONNECT_PAUSE_MIN: Duration = Duration::from_millis(10);

/// How to open a log.
pub struct JetStreamConfig {
    /// The servers of the cluster, `nats://host:port` or `tls://host:port`.
    pub servers: Vec<String>,
    /// Who we are.
    pub credentials: Credentials,
    /// TLS beyond what a `tls://` URL asks for.
    pub tls: Option<Tls>,
    /// On how many servers the log is kept; at least 3, unless `dev`.
    pub replicas: usize,
    /// Whether this is development or a test, where one server will do.
    pub dev: bool,
    /// The operator says that every server has `jetstream { sync_interval: always }`. Needed where `monitoring_urls` do not show it.
    pub operator_asserts_sync_always: bool,
    /// The servers' monitoring endpoints, `http://host:8222`, to see version and `sync_interval` of each.
    pub monitoring_urls: Vec<String>,
    /// The identity of the log, if it is created now.
    pub new_id: Uuid,
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

impl std::fmt::Debug for JetStreamConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // URLs may carry passwords, so they are counted only.
        f.debug_struct("JetStreamConfig")
            .field("servers", &self.servers.len())
            .field("credentials", &self.credentials)
            .field("tls", &self.tls)
            .field("replicas", &self.replicas)
            .field("dev", &self.dev)
            .field("operator_asserts_sync_always", &self.operator_asserts_sync_always)
            .field("monitoring_urls", &self.monitoring_urls.len())
            .field("new_id", &self.new_id)
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

impl JetStreamConfig {
    /// The servers' addresses.
    pub(crate) fn addresses(&self) -> Result<Vec<ServerAddr>, LogError> {
        let parse = |url: &String| {
            url.parse().map_err(|_| LogError::Unavailable("a server's URL is not one of NATS".into()))
        };
        self.servers.iter().map(parse).collect()
    }

    /// The client's options but for its callbacks.
    pub(crate) async fn options(&self) -> Result<ConnectOptions, LogError> {
        let unreadable = |error: std::io::Error| LogError::Unavailable(format!("credentials: {error}"));
        let mut options = ConnectOptions::new().name("daypass-log").reconnect_delay_callback(reconnect_pause);
        options = match &self.credentials {
            Credentials::None => options,
            Credentials::File(path) => options.credentials_file(path).await.map_err(unreadable)?,
            Credentials::NkeySeedFile(path) => {
                let seed = tokio::fs::read_to_string(path).await.map_err(unreadable)?;
                options.nkey(seed.trim().to_owned())
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

fn reconnect_pause(tries: usize) -> Duration {
    let doublings = u32::try_from(tries.saturating_sub(1)).unwrap_or(u32::MAX).min(10);
    RECONNECT_PAUSE_MIN.saturating_mul(1 << doublings).min(RECONNECT_PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let config = JetStreamConfig {
            servers: vec!["nats://user:canary-1@localhost".into()],
            credentials: Credentials::UserAndPassword { user: "log".into(), password: "canary-2".into() },
            tls: None,
            replicas: 3,
            dev: false,
            operator_asserts_sync_always: false,
            monitoring_urls: vec!["http://user:canary-3@localhost".into()],
            new_id: Uuid::nil(),
        };
        assert!(!format!("{config:?}").contains("canary"), "{config:?}");
    }

    #[test]
    fn pauses_between_tries_grow_to_a_second() {
        assert_eq!(reconnect_pause(1), Duration::from_millis(10));
        assert_eq!(reconnect_pause(3), Duration::from_millis(40));
        assert_eq!(reconnect_pause(usize::MAX), RECONNECT_PAUSE_MAX);
    }
}

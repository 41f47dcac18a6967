//! How a log is opened: the way to its servers, and what they must be like.

use nats_connection::Connection;
use uuid::Uuid;

/// How to open a log.
pub struct JetStreamConfig {
    /// The servers of the cluster, and who we are to them.
    pub connection: Connection,
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

impl std::fmt::Debug for JetStreamConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // URLs may carry passwords, so they are counted only.
        f.debug_struct("JetStreamConfig")
            .field("connection", &self.connection)
            .field("replicas", &self.replicas)
            .field("dev", &self.dev)
            .field("operator_asserts_sync_always", &self.operator_asserts_sync_always)
            .field("monitoring_urls", &self.monitoring_urls.len())
            .field("new_id", &self.new_id)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let config = JetStreamConfig {
            connection: Connection::to("nats://user:canary-1@localhost"),
            replicas: 3,
            dev: false,
            operator_asserts_sync_always: false,
            monitoring_urls: vec!["http://user:canary-2@localhost".into()],
            new_id: Uuid::nil(),
        };
        assert!(!format!("{config:?}").contains("canary"), "{config:?}");
    }
}

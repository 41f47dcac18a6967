//! Where the servers are, and who we are to them.

use uuid::Uuid;

/// What streams and event types begin with, where nobody says otherwise.
pub const NAMESPACE: &str = "daypass";

/// How to open a log.
pub struct KurrentDbConfig {
    /// `kurrentdb://host:2113?tlsCaFile=/path`, several hosts with commas, or `kurrentdb+discover://name`. `tls=false` for plain text.
    pub connection: String,
    /// Who we are; nobody in particular, if left out.
    pub user: Option<User>,
    /// What streams and event types begin with: 1 to 32 of `a-z`, `0-9` and `_`. Logs of two namespaces do not see each other.
    pub namespace: String,
    /// The nodes' HTTP addresses, `https://host:2113`, to see that each flushes to disk.
    pub node_urls: Vec<String>,
    /// The operator says that every node flushes to disk. Needed where `node_urls` do not show it.
    pub operator_asserts_flush_to_disk: bool,
    /// The identity of the log, if it is created now.
    pub new_id: Uuid,
    /// By chance, and unlike that of any other process: marks what this one appends.
    pub process: Uuid,
}

/// A user of the server.
#[derive(Clone)]
pub struct User {
    /// The name.
    pub name: String,
    /// The password; never shown.
    pub password: String,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").field("name", &self.name).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for KurrentDbConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Connection strings and URLs may carry passwords, so they are left out or counted.
        f.debug_struct("KurrentDbConfig")
            .field("user", &self.user)
            .field("namespace", &self.namespace)
            .field("node_urls", &self.node_urls.len())
            .field("operator_asserts_flush_to_disk", &self.operator_asserts_flush_to_disk)
            .field("new_id", &self.new_id)
            .field("process", &self.process)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let config = KurrentDbConfig {
            connection: "kurrentdb://user:canary-1@localhost".into(),
            user: Some(User { name: "log".into(), password: "canary-2".into() }),
            namespace: NAMESPACE.into(),
            node_urls: vec!["http://user:canary-3@localhost".into()],
            operator_asserts_flush_to_disk: false,
            new_id: Uuid::nil(),
            process: Uuid::nil(),
        };
        assert!(!format!("{config:?}").contains("canary"), "{config:?}");
    }
}

//! How the servers of the log are, and its copies on them: for operators. Nothing is decided by it.

use crate::link::unavailable;
use crate::log::JetStreamLog;
use crate::servers::look_at_server;
use crate::wire::STREAM;
use event_log::LogError;
use futures::future::join_all;
use serde::Deserialize;
use serde_json::Value;

/// The servers that could be asked, and the log as its leader tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// By the URLs of the configuration, in their order: a server, or why it cannot be asked.
    pub servers: Vec<Result<ServerState, String>>,
    /// The log.
    pub copies: Copies,
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerState {
    /// Its own name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Whether it syncs before it acknowledges.
    pub syncs_always: bool,
    /// The memory that JetStream may take, in bytes.
    pub memory_max: Option<u64>,
    /// The disk that JetStream may take, in bytes.
    pub storage_max: Option<u64>,
    /// What JetStream has on disk, in bytes.
    pub storage_used: u64,
    /// When the certificate ends that it shows to clients; `None` without TLS, and from servers that do not say.
    pub certificate_expires_at: Option<jiff::Timestamp>,
}

/// The log on its servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copies {
    /// How many there are to be.
    pub wanted: usize,
    /// The server that leads.
    pub leader: Option<String>,
    /// Servers whose copy is not as far as the leader's, each with how many events it lacks.
    pub behind: Vec<(String, u64)>,
    /// Servers that are away.
    pub away: Vec<String>,
    /// Events.
    pub events: u64,
    /// Streams: each is a subject, which costs memory.
    pub streams: u64,
}

#[derive(Deserialize)]
struct Told {
    config: Kept,
    state: State,
    cluster: Option<Cluster>,
}

#[derive(Deserialize)]
struct Kept {
    num_replicas: usize,
}

#[derive(Deserialize)]
struct State {
    messages: u64,
    #[serde(default)]
    num_subjects: u64,
}

#[derive(Deserialize)]
struct Cluster {
    leader: Option<String>,
    #[serde(default)]
    replicas: Vec<Replica>,
}

#[derive(Deserialize)]
struct Replica {
    name: String,
    #[serde(default)]
    current: bool,
    #[serde(default)]
    offline: bool,
    #[serde(default)]
    lag: u64,
}

impl JetStreamLog {
    /// Asks every server, and the log's leader.
    pub async fn survey(&self) -> Result<Survey, LogError> {
        let servers = join_all(self.monitoring_urls().iter().map(|url| look_at_server(url))).await;
        let servers = servers.into_iter().map(|server| {
            let server = server.map_err(|error| error.to_string())?;
            Ok(ServerState {
                name: server.name,
                version: server.version,
                syncs_always: server.syncs_always,
                memory_max: server.memory_max,
                storage_max: server.storage_max,
                storage_used: server.storage_used,
                certificate_expires_at: server.certificate_expires_at,
            })
        });
        let told = self.link_ref().api::<Told>(&format!("STREAM.INFO.{STREAM}"), &Value::Null).await?;
        Ok(Survey { servers: servers.collect(), copies: copies(told.map_err(|error| unavailable(&error))?) })
    }
}

fn copies(told: Told) -> Copies {
    let cluster = told.cluster.unwrap_or(Cluster { leader: None, replicas: Vec::new() });
    let (away, there): (Vec<_>, Vec<_>) = cluster.replicas.into_iter().partition(|replica| replica.offline);
    let behind = there.into_iter().filter(|replica| !replica.current);
    Copies {
        wanted: told.config.num_replicas,
        leader: cluster.leader,
        behind: behind.map(|replica| (replica.name, replica.lag)).collect(),
        away: away.into_iter().map(|replica| replica.name).collect(),
        events: told.state.messages,
        streams: told.state.num_subjects,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn copies_that_are_away_or_behind_are_told_apart() {
        let told = json!({
            "config": { "num_replicas": 3 },
            "state": { "messages": 9, "num_subjects": 4 },
            "cluster": { "leader": "n1", "replicas": [
                { "name": "n2", "current": false, "lag": 2, "active": 5 },
                { "name": "n3", "current": false, "offline": true, "lag": 7, "active": 5 },
                { "name": "n4", "current": true, "active": 5 },
            ] },
        });
        let expected = Copies {
            wanted: 3,
            leader: Some("n1".to_owned()),
            behind: vec![("n2".to_owned(), 2)],
            away: vec!["n3".to_owned()],
            events: 9,
            streams: 4,
        };
        assert_eq!(copies(serde_json::from_value(told).unwrap()), expected);
    }
}

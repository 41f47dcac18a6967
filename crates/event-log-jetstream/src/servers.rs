//! What the servers must be like, each of them, so that an acknowledged event is on disk: looked at through their monitoring.
//!
//! A server that is down acknowledges nothing, so it is not asked for; [`crate::JetStreamLog::watch`] looks at it when it is back.

use crate::config::JetStreamConfig;
use crate::link::Link;
use crate::safety::MESSAGE_BYTES_MIN;
use event_log::LogError;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// The oldest nats-server that may hold the log: older ones have known security holes.
pub const SERVER_VERSION_MIN: (u64, u64, u64) = (2, 12, 6);
/// How long a monitoring endpoint may take.
const MONITORING_WITHIN: Duration = Duration::from_secs(5);
/// A server of which the cluster's leader has not heard for so long takes no part: `minElectionTimeout` in nats-server's `raft.go`.
const AWAY_AFTER: Duration = Duration::from_secs(4);

/// Looks at every server: its version, and that it syncs before it acknowledges.
pub(crate) async fn look_at_servers(config: &JetStreamConfig, link: &Link) -> Result<(), LogError> {
    if link.client.max_payload() < MESSAGE_BYTES_MIN {
        return Err(LogError::Unsafe(format!("max_payload must be {MESSAGE_BYTES_MIN} bytes at least")));
    }
    let mut seen = BTreeMap::new();
    let mut unreached = None;
    for url in &config.monitoring_urls {
        match look_at_server(url).await {
            Ok(server) => {
                refuse_old_server(&server.version)?;
                seen.insert(server.id.clone(), server);
            }
            Err(LogError::Unavailable(why)) => unreached = Some(why),
            Err(refused @ (LogError::Unsafe(_) | LogError::Corrupt(_))) => return Err(refused),
        }
    }
    if seen.values().any(|server| !server.syncs_always) {
        return Err(LogError::Unsafe("jetstream { sync_interval } must be always on every server".into()));
    }
    let there = seen.values().map(|server| server.cluster_size).max().unwrap_or(config.replicas);
    let away = seen.values().map(|server| server.away).max().unwrap_or(0);
    let needed = there.saturating_sub(away).max(1);
    if seen.len() >= needed {
        let connected = link.client.server_info();
        if !seen.contains_key(&connected.server_id) && unreached.is_none() {
            let name = connected.server_name;
            return Err(LogError::Unsafe(format!(
                "monitoring_urls must be of the servers that have the log: {name}, which this process is connected to, is none of them"
            )));
        }
        if let Some(why) = unreached {
            tracing::warn!(%why, "a server of the log is away, and was not looked at");
        }
        return Ok(());
    }
    let seen = seen.len();
    if config.operator_asserts_sync_always {
        tracing::warn!(
            seen,
            of = needed,
            "which version servers have, and that they sync before they acknowledge, was not seen everywhere, only asserted by the operator"
        );
        return Ok(());
    }
    let lacking =
        format!("jetstream {{ sync_interval }} must be always: it was seen on {seen} of {needed} servers");
    match unreached {
        Some(why) if config.monitoring_urls.len() >= needed => {
            Err(LogError::Unavailable(format!("{lacking}; {why}")))
        }
        _ => Err(LogError::Unsafe(format!("{lacking}, so the operator has to assert it"))),
    }
}

/// What a server says of itself and its cluster.
pub(crate) struct Server {
    id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) syncs_always: bool,
    /// What the server may take of memory, in bytes: what it was told by `GOMEMLIMIT`, else what JetStream takes for its limit. That is what is
    /// configured, or three quarters of what the **machine** has: of a container's own limit no server knows.
    pub(crate) memory_max: Option<u64>,
    /// What JetStream may take of the disk, in bytes: what is configured, else three quarters of what is free.
    pub(crate) storage_max: Option<u64>,
    /// What it has on disk.
    pub(crate) storage_used: u64,
    /// When the certificate ends that it shows to clients: of the one that it has read, which is not always the one in the file.
    pub(crate) certificate_expires_at: Option<jiff::Timestamp>,
    /// The servers of its cluster that have JetStream, itself included.
    cluster_size: usize,
    /// Those of them that take no part now; 0 from all but the cluster's leader, who knows.
    away: usize,
}

pub(crate) async fn look_at_server(url: &str) -> Result<Server, LogError> {
    let (about, jetstream) = tokio::try_join!(get(url, "varz"), get(url, "jsz?config=1"))?;
    let text = |name: &str| about.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let cluster_size = jetstream.pointer("/meta_cluster/cluster_size").and_then(Value::as_u64);
    let others = jetstream.pointer("/meta_cluster/replicas").and_then(Value::as_array);
    let leader = jetstream.pointer("/meta_cluster/leader");
    // Who does not lead hears of the leader alone.
    let leads = leader.is_some()
        && others.is_some_and(|others| others.iter().all(|other| other.get("name") != leader));
    Ok(Server {
        id: text("server_id"),
        name: text("server_name"),
        version: text("version"),
        syncs_always: jetstream.pointer("/config/sync_always").and_then(Value::as_bool) == Some(true),
        memory_max: memory_max(&about, &jetstream),
        storage_max: limit(&jetstream, "/config/max_storage"),
        storage_used: jetstream.get("storage").and_then(Value::as_u64).unwrap_or(0),
        certificate_expires_at: text("tls_cert_not_after").parse().ok(),
        cluster_size: cluster_size.and_then(|size| usize::try_from(size).ok()).unwrap_or(1),
        away: others.into_iter().flatten().filter(|other| leads && is_away(other)).count(),
    })
}

/// `GOMEMLIMIT` is of the whole process, as the index of subjects is; JetStream's own limit is three quarters of it.
fn memory_max(about: &Value, jetstream: &Value) -> Option<u64> {
    limit(about, "/gomemlimit").or_else(|| limit(jetstream, "/config/max_memory"))
}

fn limit(answer: &Value, place: &str) -> Option<u64> {
    answer.pointer(place).and_then(Value::as_u64).filter(|limit| *limit > 0)
}

fn is_away(other: &Value) -> bool {
    // For how many nanoseconds nothing was heard of it; 0: never yet.
    let active = other.get("active").and_then(Value::as_u64).unwrap_or(0);
    let is_offline = other.get("offline").and_then(Value::as_bool) == Some(true);
    is_offline || active == 0 || Duration::from_nanos(active) > AWAY_AFTER
}

async fn get(url: &str, path: &str) -> Result<Value, LogError> {
    // An error of the HTTP client would repeat the URL, which may hold a password.
    let failed = |error: reqwest::Error| {
        LogError::Unavailable(format!("monitoring of nats-server: {}", error.without_url()))
    };
    let mut client = reqwest::Client::builder().timeout(MONITORING_WITHIN);
    if url.starts_with("http://") {
        // No certificate is looked at, and a machine may have none.
        client = client.tls_certs_only([]);
    }
    let client = client.build().map_err(failed)?;
    let answer = client.get(format!("{}/{path}", url.trim_end_matches('/'))).send().await.map_err(failed)?;
    answer.error_for_status().map_err(failed)?.json().await.map_err(failed)
}

/// A server that is too old, or does not say how old it is.
pub(crate) fn refuse_old_server(version: &str) -> Result<(), LogError> {
    if parse_version(version).is_some_and(|version| version >= SERVER_VERSION_MIN) {
        return Ok(());
    }
    let (major, minor, patch) = SERVER_VERSION_MIN;
    Err(LogError::Unsafe(format!(
        "the version of nats-server must be {major}.{minor}.{patch} at least (is {version:?})"
    )))
}

/// A pre-release counts as the release before it.
fn parse_version(text: &str) -> Option<(u64, u64, u64)> {
    let (release, is_pre_release) =
        text.split_once('-').map_or((text, false), |(release, _)| (release, true));
    let mut numbers = release.split('.').map(str::parse::<u64>);
    let mut number = || numbers.next()?.ok();
    let version = (number()?, number()?, number()?);
    match version {
        (major, minor, patch) if is_pre_release => Some((major, minor, patch.checked_sub(1)?)),
        release => Some(release),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_server_is_told_of_memory_counts_before_what_it_makes_of_the_machines() {
        let jetstream = json!({ "config": { "max_memory": 48, "max_storage": 7 } });
        assert_eq!(memory_max(&json!({ "gomemlimit": 3 }), &jetstream), Some(3));
        // Servers that were told nothing leave it out.
        assert_eq!(memory_max(&json!({}), &jetstream), Some(48));
        assert_eq!(memory_max(&json!({}), &json!({ "config": { "max_memory": 0 } })), None);
    }

    #[test]
    fn servers_before_2_12_6_are_refused() {
        for version in ["2.12.5", "2.11.99", "1.0.0", "2.12", "", "latest", "2.12.6-RC.1", "2.13.0-preview.1"]
        {
            assert!(matches!(refuse_old_server(version), Err(LogError::Unsafe(_))), "{version}");
        }
        for version in ["2.12.6", "2.12.10", "2.15.1", "3.0.0", "2.15.2-RC.1"] {
            assert_eq!(refuse_old_server(version), Ok(()), "{version}");
        }
    }
}

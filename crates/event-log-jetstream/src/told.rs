//! What the stream's leader says of the stream, and whether it leads still.
//!
//! A server that was paused, or cut off from the others, believes for a while that it leads, and tells of a log without what
//! others have appended under the new leader since. But a leader asks its replicas every second, and none of them lets itself be
//! elected before it has heard nothing for four. So a server that has heard of a majority just now leads. ADR 14 has the rest.

use crate::link::unavailable;
use crate::log::Inner;
use crate::wire::STREAM;
use async_nats::jetstream::ErrorCode;
use event_log::{LogError, Recorded};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// A majority must have been heard within this time. More than the second between heartbeats (`hbInterval` in nats-server's
/// `raft.go`), less than the four after which a leader can be replaced (`minElectionTimeout`).
const HEARD_WITHIN: Duration = Duration::from_secs(2);

/// The answer to `STREAM.INFO`, as far as it matters here.
#[derive(Deserialize)]
pub(crate) struct Told {
    state: State,
    config: Kept,
    cluster: Option<Cluster>,
}

#[derive(Deserialize)]
struct State {
    last_seq: u64,
    /// Events by subject, if that was asked; none are ever deleted.
    subjects: Option<BTreeMap<String, u64>>,
}

#[derive(Deserialize)]
struct Kept {
    num_replicas: usize,
}

#[derive(Deserialize)]
struct Cluster {
    leader: Option<String>,
    /// All but the one that answers.
    #[serde(default)]
    replicas: Vec<Replica>,
}

#[derive(Deserialize)]
struct Replica {
    name: String,
    /// For how many nanoseconds nothing was heard of it; 0: never yet.
    active: u64,
}

impl Told {
    /// The log's last sequence.
    pub(crate) fn head(&self) -> u64 {
        self.state.last_seq
    }

    /// How many events are under the subjects that were asked for.
    fn count(&self) -> u64 {
        self.state.subjects.iter().flat_map(BTreeMap::values).sum()
    }

    /// Whether the one that answered leads as far as it knows, and has heard of a majority just now, itself included.
    fn leads(&self) -> bool {
        let others = self.cluster.as_ref().map_or(&[][..], |cluster| &cluster.replicas);
        let leader = self.cluster.as_ref().map(|cluster| cluster.leader.as_ref());
        if leader.is_some_and(|leader| {
            leader.is_none_or(|leader| others.iter().any(|other| other.name == *leader))
        }) {
            return false;
        }
        let lately =
            |replica: &&Replica| replica.active > 0 && Duration::from_nanos(replica.active) <= HEARD_WITHIN;
        let heard = 1 + others.iter().filter(lately).count();
        2 * heard > self.config.num_replicas.max(1 + others.len())
    }
}

/// What the leader says; `None`: there is no such stream.
pub(crate) async fn ask(inner: &Inner) -> Result<Option<Told>, LogError> {
    asked(inner, &Value::Null).await
}

/// How many events the leader has under some subjects.
pub(crate) async fn count(inner: &Inner, subjects: &str) -> Result<u64, LogError> {
    let told = asked(inner, &json!({ "subjects_filter": subjects })).await?;
    told.map(|told| told.count()).ok_or_else(gone)
}

/// Whether the leader has `last`, which is the last event under some subjects, and fewer events there than its revision says.
pub(crate) async fn lacks_some_before(
    inner: &Inner,
    subjects: &str,
    last: &Recorded,
) -> Result<bool, LogError> {
    let told = asked(inner, &json!({ "subjects_filter": subjects })).await?.ok_or_else(gone)?;
    Ok(told.head() >= last.position.0 && told.count() <= last.revision.0)
}

/// The stream is not there.
pub(crate) fn gone() -> LogError {
    LogError::Unavailable(format!("{STREAM} is not there"))
}

async fn asked(inner: &Inner, what: &Value) -> Result<Option<Told>, LogError> {
    match inner.link.api::<Told>(&format!("STREAM.INFO.{STREAM}"), what).await? {
        Ok(told) if told.leads() => Ok(Some(told)),
        Ok(_) => Err(LogError::Unavailable("the stream's leader has lost touch: another may lead".into())),
        Err(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => Ok(None),
        Err(error) => Err(unavailable(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(num_replicas: usize, leader: Option<&str>, active: &[u64]) -> Told {
        let replicas: Vec<_> =
            active.iter().map(|active| json!({ "name": "n2", "active": active })).collect();
        let told = json!({
            "config": { "num_replicas": num_replicas },
            "state": { "last_seq": 7 },
            "cluster": { "leader": leader, "replicas": replicas },
        });
        serde_json::from_value(told).unwrap()
    }

    #[test]
    fn a_leader_has_heard_of_a_majority_just_now() {
        const NOW: u64 = 900_000_000;
        const LONG_AGO: u64 = 4_000_000_000;
        for (num_replicas, active, leads) in [
            (1, &[][..], true),
            (3, &[NOW, NOW], true),
            (3, &[LONG_AGO, NOW], true),
            (3, &[LONG_AGO, LONG_AGO], false),
            (3, &[0, 0], false),
            (3, &[], false),
            (5, &[NOW, LONG_AGO, LONG_AGO, LONG_AGO], false),
            (5, &[NOW, NOW, LONG_AGO, LONG_AGO], true),
        ] {
            assert_eq!(told(num_replicas, Some("n1"), active).leads(), leads, "{num_replicas} {active:?}");
        }
        // Just deposed: it has heard of the others, and knows of no leader, or of another.
        assert!(!told(3, None, &[NOW, NOW]).leads());
        assert!(!told(3, Some("n2"), &[NOW, NOW]).leads());
    }
}

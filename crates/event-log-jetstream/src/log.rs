//! The open log.

use crate::config::JetStreamConfig;
use crate::known::Known;
use crate::link::{Link, unavailable};
use crate::wire::{STREAM, any_writer};
use crate::{append, follow, read, safety};
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::stream::Info;
use event_log::{
    AppendError, Appended, Envelope, EventLog, EventStream, Expected, LogError, Position, Recorded, Revision,
    StreamName,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

/// A log on JetStream. Clones share one connection.
#[derive(Clone)]
pub struct JetStreamLog {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) link: Link,
    id: Uuid,
    known: Mutex<Known>,
    /// The highest sequence that this process has seen: the log cannot end before it.
    seen: AtomicU64,
}

impl JetStreamLog {
    /// Connects, creates the log if there is none, and refuses with [`LogError::Unsafe`] to work with servers or a stream
    /// that could lose or change events.
    pub async fn open(config: JetStreamConfig) -> Result<Self, LogError> {
        safety::refuse_few_replicas(&config)?;
        let link = Link::connect(&config).await?;
        safety::look_at_servers(&config, &link).await?;
        let info = find_or_create(&config, &link).await?;
        let id = safety::look_at_stream(&config, &info.config)?;
        tracing::info!(log.id = %id, log.head = info.state.last_sequence, "log opened on JetStream");
        let seen = AtomicU64::new(info.state.last_sequence);
        Ok(Self { inner: Arc::new(Inner { link, id, known: Mutex::default(), seen }) })
    }
}

async fn find_or_create(config: &JetStreamConfig, link: &Link) -> Result<Info, LogError> {
    if let Some(info) = stream_info(link).await? {
        return Ok(info);
    }
    let wanted = serde_json::to_value(safety::stream_config(config.replicas, config.new_id))
        .map_err(|error| LogError::Corrupt(error.to_string()))?;
    match link.api::<Info>(&format!("STREAM.CREATE.{STREAM}"), &wanted).await? {
        Ok(info) => Ok(info),
        // Another one was faster: the log is theirs.
        Err(error) if error.error_code() == ErrorCode::STREAM_NAME_EXIST => stream_info(link)
            .await?
            .ok_or_else(|| LogError::Unavailable(format!("{STREAM} is being created or deleted"))),
        Err(error) => Err(unavailable(&error)),
    }
}

async fn stream_info(link: &Link) -> Result<Option<Info>, LogError> {
    match link.api::<Info>(&format!("STREAM.INFO.{STREAM}"), &Value::Null).await? {
        Ok(info) => Ok(Some(info)),
        Err(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => Ok(None),
        Err(error) => Err(unavailable(&error)),
    }
}

impl Inner {
    pub(crate) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers that the log reaches this far.
    pub(crate) fn saw(&self, sequence: u64) {
        self.seen.fetch_max(sequence, Ordering::AcqRel);
    }

    /// The log's last sequence, from the leader.
    pub(crate) async fn head(&self) -> Result<u64, LogError> {
        let seen = self.seen.load(Ordering::Acquire);
        let head = self.told_head().await?;
        let head = head.ok_or_else(|| LogError::Unavailable(format!("{STREAM} is not there")))?;
        self.saw(head);
        refuse_the_past(head, seen)
    }

    /// The log's last sequence as a server tells it, true or not; `None`: it knows no such stream.
    pub(crate) async fn told_head(&self) -> Result<Option<u64>, LogError> {
        Ok(stream_info(&self.link).await?.map(|info| info.state.last_sequence))
    }

    /// How many events a stream has, from the leader.
    pub(crate) async fn count_of(&self, stream: &StreamName) -> Result<u64, LogError> {
        #[derive(Deserialize)]
        struct Counted {
            state: State,
        }
        #[derive(Deserialize)]
        struct State {
            /// Events by subject; none are ever deleted.
            subjects: Option<BTreeMap<String, u64>>,
        }
        let known = self.known().last(stream);
        let which = json!({ "subjects_filter": any_writer(stream) });
        let counted = self.link.api::<Counted>(&format!("STREAM.INFO.{STREAM}"), &which).await?;
        let counted = counted.map_err(|error| unavailable(&error))?;
        let count = counted.state.subjects.unwrap_or_default().values().sum();
        refuse_the_past(count, known.map_or(0, |place| place.revision.next().0))
    }

    /// The last event of a stream, from the leader.
    pub(crate) async fn last_of(&self, stream: &StreamName) -> Result<Option<Recorded>, LogError> {
        let known = self.known().last(stream);
        let last = self.link.get(&json!({ "last_by_subj": any_writer(stream) })).await?;
        let sequence = last.as_ref().map_or(0, |event| event.position.0);
        self.saw(sequence);
        refuse_the_past(sequence, known.map_or(0, |place| place.sequence))?;
        Ok(last)
    }
}

/// A leader that does not know it was replaced, or a server that was restored from an old copy, tells of a shorter log.
fn refuse_the_past(told: u64, seen: u64) -> Result<u64, LogError> {
    if told < seen {
        return Err(LogError::Unavailable(format!(
            "the server tells of {told} as the last, but {seen} has been seen: an outdated leader, or events were lost"
        )));
    }
    Ok(told)
}

#[async_trait::async_trait]
impl EventLog for JetStreamLog {
    async fn id(&self) -> Result<Uuid, LogError> {
        Ok(self.inner.id)
    }

    async fn append(
        &self,
        stream: &StreamName,
        expected: Expected,
        envelope: Envelope,
    ) -> Result<Appended, AppendError> {
        append::append(&self.inner, stream, expected, &envelope).await
    }

    fn read_stream(&self, stream: &StreamName, after: Option<Revision>) -> EventStream {
        read::read_stream(Arc::clone(&self.inner), stream.clone(), after)
    }

    fn read_all(&self, after: Position) -> EventStream {
        follow::read_all(Arc::clone(&self.inner), after)
    }

    fn subscribe(&self, after: Position) -> EventStream {
        follow::subscribe(Arc::clone(&self.inner), after)
    }

    async fn head(&self) -> Result<Position, LogError> {
        self.inner.head().await.map(Position)
    }

    /// Servers date what they tell of a stream. Those of a cluster keep one time, or the cluster has other troubles.
    async fn time(&self) -> Result<Option<jiff::Timestamp>, LogError> {
        #[derive(Deserialize)]
        struct Dated {
            ts: jiff::Timestamp,
        }
        let told = self.inner.link.api::<Dated>(&format!("STREAM.INFO.{STREAM}"), &Value::Null).await?;
        told.map(|Dated { ts }| Some(ts)).map_err(|error| unavailable(&error))
    }

    async fn event_at(&self, position: Position) -> Result<Option<Recorded>, LogError> {
        if position == Position::START {
            return Ok(None);
        }
        self.inner.link.get_whatever(&json!({ "seq": position.0 })).await
    }
}

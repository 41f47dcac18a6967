//! The open log.

use crate::config::JetStreamConfig;
use crate::known::Known;
use crate::link::{Link, Linked, Lost, unavailable};
use crate::wire::{STREAM, any_writer};
use crate::{append, follow, read, safety, servers, told};
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::stream::Info;
use event_log::watched::Watched;
use event_log::{
    AppendError, Appended, Envelope, EventLog, EventStream, Expected, LogError, Position, Recorded, Revision,
    StreamName,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// So many streams are remembered as suspect; forgetting one costs a connection.
const SUSPECTS_MAX: usize = 10_000;

/// How long a stream may take to be there that somebody else is creating.
const CREATED_WITHIN: Duration = Duration::from_secs(10);
/// The pause between two looks at it.
const LOOK_PAUSE: Duration = Duration::from_millis(100);
/// How often settings are looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// How long after a lost connection: time to reconnect.
const LOOK_AFTER_DROP: Duration = Duration::from_secs(2);

/// A log on JetStream. Clones share one connection.
#[derive(Clone)]
pub struct JetStreamLog {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) link: Link,
    config: JetStreamConfig,
    id: Uuid,
    known: Mutex<Known>,
    /// The highest sequence that this process has seen: the log cannot end before it.
    seen: AtomicU64,
    /// Streams of which a batch could not be read: perhaps because of a message that no connection outlives. They are read event by
    /// event, as answers that have headers encoded.
    suspects: Mutex<BTreeSet<StreamName>>,
}

impl JetStreamLog {
    /// Connects, creates the log if there is none, and refuses with [`LogError::Unsafe`] to work with servers or a stream
    /// that could lose or change events.
    pub async fn open(config: JetStreamConfig) -> Result<Self, LogError> {
        let link = Self::link(&config).await?;
        let info = find_or_create(&config, &link).await?;
        Self::on(config, link, &info)
    }

    /// The same, of a log that is there: nothing is made.
    pub async fn open_existing(config: JetStreamConfig) -> Result<Self, LogError> {
        let link = Self::link(&config).await?;
        let info = stream_info(&link).await?.ok_or_else(told::gone)?;
        Self::on(config, link, &info)
    }

    /// The way to servers that may hold a log.
    async fn link(config: &JetStreamConfig) -> Result<Link, LogError> {
        safety::refuse_few_replicas(config)?;
        let link = Link::connect(config).await?;
        servers::look_at_servers(config, &link).await?;
        Ok(link)
    }

    fn on(config: JetStreamConfig, link: Link, info: &Info) -> Result<Self, LogError> {
        let id = safety::look_at_stream(&config, &info.config)?;
        tracing::info!(log.id = %id, log.head = info.state.last_sequence, "log opened on JetStream");
        let seen = AtomicU64::new(info.state.last_sequence);
        Ok(Self {
            inner: Arc::new(Inner {
                link,
                config,
                id,
                known: Mutex::default(),
                seen,
                suspects: Mutex::default(),
            }),
        })
    }

    pub(crate) fn monitoring_urls(&self) -> &[String] {
        &self.inner.config.monitoring_urls
    }

    pub(crate) fn link_ref(&self) -> &Link {
        &self.inner.link
    }

    /// Looks again at what [`open`](Self::open) looked at: others may have loosened the stream since, or changed a server.
    pub async fn look_again(&self) -> Result<(), LogError> {
        let Inner { link, config, id, .. } = self.inner.as_ref();
        servers::look_at_servers(config, link).await?;
        let info = stream_info(link).await?.ok_or_else(told::gone)?;
        if safety::look_at_stream(config, &info.config)? != *id {
            return Err(LogError::Unsafe(format!("{STREAM} is another log than the one that was opened")));
        }
        Ok(())
    }

    /// Looks again for ever, from time to time and after each reconnect, and logs an error while the log is not safe, or when that
    /// could not be seen for some minutes. Appends go on: access must end even then.
    pub async fn watch(self) {
        let mut drops = self.inner.link.drops();
        let mut watched = Watched::default();
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_AGAIN) => {}
                // A server that is back may be another one.
                _ = drops.changed() => tokio::time::sleep(LOOK_AFTER_DROP).await,
            }
            let looked = self.look_again().await;
            watched.tell(looked, Instant::now());
        }
    }
}

async fn find_or_create(config: &JetStreamConfig, link: &Link) -> Result<Info, LogError> {
    if let Some(info) = stream_info(link).await? {
        return Ok(info);
    }
    let wanted = serde_json::to_value(safety::stream_config(config.replicas, config.new_id))
        .map_err(|error| LogError::Corrupt(error.to_string()))?;
    match link.api::<Info>(&format!("STREAM.CREATE.{STREAM}"), &wanted).await {
        Ok(Ok(info)) => Ok(info),
        // Another one was faster: the log is theirs.
        Ok(Err(error)) if error.error_code() == ErrorCode::STREAM_NAME_EXIST => find_soon(link).await,
        Ok(Err(error)) => Err(unavailable(&error)),
        // A cluster does not answer everyone of those who ask at once.
        Err(Lost::NoAnswer(_)) => find_soon(link).await,
        Err(lost @ Lost::NotSent(_)) => Err(lost.into()),
    }
}

/// A stream that is there, or is just being created on the servers of a cluster.
async fn find_soon(link: &Link) -> Result<Info, LogError> {
    let looking = async {
        loop {
            // Before it has a leader, nobody answers, or somebody says that it is not there.
            if let Ok(Some(info)) = stream_info(link).await {
                return info;
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    };
    let late = |_| LogError::Unavailable(format!("{STREAM} is being created or deleted"));
    tokio::time::timeout(CREATED_WITHIN, looking).await.map_err(late)
}

async fn stream_info(link: &Link) -> Result<Option<Info>, LogError> {
    match link.api::<Info>(&format!("STREAM.INFO.{STREAM}"), &Value::Null).await? {
        Ok(info) => Ok(Some(info)),
        Err(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => Ok(None),
        Err(error) => Err(unavailable(&error)),
    }
}

impl Inner {
    pub(crate) fn suspects(&self) -> MutexGuard<'_, BTreeSet<StreamName>> {
        self.suspects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a stream read event by event until it is read to its end.
    pub(crate) fn suspect(&self, stream: &StreamName) {
        let mut suspects = self.suspects();
        if suspects.len() >= SUSPECTS_MAX {
            suspects.clear();
        }
        suspects.insert(stream.clone());
    }

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
        let head = told::ask(self).await?.ok_or_else(told::gone)?.head();
        self.saw(head);
        refuse_the_past(head, seen)
    }

    /// How many events a stream has, from the leader.
    pub(crate) async fn count_of(&self, stream: &StreamName) -> Result<u64, LogError> {
        let known = self.known().last(stream);
        let count = told::count(self, &any_writer(stream)).await?;
        refuse_the_past(count, known.map_or(0, |place| place.revision.next().0))
    }

    /// The last event of a stream, from the leader. Another server may answer than the one that counts.
    pub(crate) async fn last_of(&self, stream: &StreamName) -> Result<Option<Linked>, LogError> {
        let last = self.link.get_linked(&json!({ "last_by_subj": any_writer(stream) })).await?;
        self.saw(last.as_ref().map_or(0, |last| last.event.position.0));
        Ok(last)
    }
}

/// A leader that does not know it was replaced, or a server that was restored from an old copy, tells of a shorter log.
pub(crate) fn refuse_the_past(told: u64, seen: u64) -> Result<u64, LogError> {
    if told < seen {
        return Err(LogError::Unavailable(format!(
            "the server tells of {told}, but {seen} has been seen: an outdated leader, or events were lost"
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
        let there = json!({ "seq": position.0 });
        let found = self.inner.link.get_whatever(&there).await?;
        // Who does not have it may lag behind; but who does not lead does not say where the log ends.
        if found.is_some() || self.inner.head().await? < position.0 {
            return Ok(found);
        }
        self.inner.link.get_whatever(&there).await
    }
}

//! The open log.

use crate::config::KurrentDbConfig;
use crate::head::Known;
use crate::link::{CALL_WITHIN, Link, asked_of_leader, in_time, not_read};
use crate::wire::Namespace;
use crate::{append, follow, head, read, safety};
use event_log::{
    AppendError, Appended, Envelope, EventLog, EventStream, Expected, LogError, Position, Recorded, Revision,
    StreamName,
};
use kurrentdb::{AppendToStreamOptions, Error, EventData, ReadStreamOptions, ResolvedEvent, StreamState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

/// The type of the one event that holds a log's identity.
const IDENTITY: &str = "log-created";

/// A log on KurrentDB. Clones share one connection.
#[derive(Clone)]
pub struct KurrentDbLog {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) link: Link,
    pub(crate) namespace: Namespace,
    id: Uuid,
    process: Uuid,
    appends: AtomicU64,
    known: Mutex<Known>,
}

impl KurrentDbLog {
    /// Connects, creates the log if there is none, and refuses with [`LogError::Unsafe`] to work with servers that could lose
    /// events.
    pub async fn open(config: KurrentDbConfig) -> Result<Self, LogError> {
        let (link, namespace) = link(&config).await?;
        let id = find_or_create(&link, &namespace, config.new_id).await?;
        Ok(Self::on(&config, link, namespace, id))
    }

    /// The same, of a log that is there: nothing is made.
    pub async fn open_existing(config: KurrentDbConfig) -> Result<Self, LogError> {
        let (link, namespace) = link(&config).await?;
        let id = identity(&link, &namespace).await?.ok_or_else(|| {
            LogError::Unavailable(format!("no log is there in the namespace {}", config.namespace))
        })?;
        Ok(Self::on(&config, link, namespace, id))
    }

    fn on(config: &KurrentDbConfig, link: Link, namespace: Namespace, id: Uuid) -> Self {
        tracing::info!(log.id = %id, namespace = config.namespace, "log opened on KurrentDB");
        let (appends, known) = (AtomicU64::new(0), Mutex::default());
        Self { inner: Arc::new(Inner { link, namespace, id, process: config.process, appends, known }) }
    }
}

/// The way to servers that may hold a log.
async fn link(config: &KurrentDbConfig) -> Result<(Link, Namespace), LogError> {
    let namespace = Namespace::new(&config.namespace)?;
    safety::look_at_nodes(config).await?;
    Ok((Link::new(config)?, namespace))
}

/// The identity of the log: the first event of a stream of its own.
async fn find_or_create(link: &Link, namespace: &Namespace, new_id: Uuid) -> Result<Uuid, LogError> {
    if let Some(id) = identity(link, namespace).await? {
        return Ok(id);
    }
    let options = AppendToStreamOptions::default().stream_state(StreamState::NoStream).deadline(CALL_WITHIN);
    let options = asked_of_leader!(link, options);
    let event = EventData::binary(IDENTITY, new_id.to_string().into()).id(new_id);
    let of = link.client();
    match in_time(of.client.append_to_stream(namespace.identity_stream(), &options, event)).await {
        // Another one may have been faster: the log is theirs.
        Ok(_) | Err(Error::WrongExpectedVersion { .. }) => {}
        Err(error) => {
            link.look_at(&of, &error);
            return Err(not_read(&error));
        }
    }
    identity(link, namespace)
        .await?
        .ok_or_else(|| LogError::Unavailable("the log's identity was written and is not there".into()))
}

async fn identity(link: &Link, namespace: &Namespace) -> Result<Option<Uuid>, LogError> {
    let options = ReadStreamOptions::default().max_count(1);
    let options = asked_of_leader!(link, options);
    let of = link.client();
    let first = async { of.client.read_stream(namespace.identity_stream(), &options).await?.next().await };
    match in_time(first).await {
        Ok(Some(ResolvedEvent { event: Some(event), .. })) => {
            if event.position.commit == u64::MAX {
                return Err(LogError::Unsafe(
                    "the server must be 22.6 or later: it does not tell the places of a stream's events"
                        .into(),
                ));
            }
            let id = std::str::from_utf8(&event.data).ok().and_then(|text| text.parse().ok());
            id.map(Some).ok_or_else(|| LogError::Corrupt("the log's identity cannot be read".into()))
        }
        Ok(Some(_)) => Err(LogError::Corrupt("the log's identity cannot be read".into())),
        Ok(None) | Err(Error::ResourceNotFound) => Ok(None),
        Err(error) => {
            link.look_at(&of, &error);
            Err(not_read(&error))
        }
    }
}

impl Inner {
    /// Tells one append from all others, of all processes.
    pub(crate) fn next_mark(&self) -> String {
        format!("{}-{}", self.process, self.appends.fetch_add(1, Ordering::Relaxed))
    }

    fn lock_known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far the log is known.
    pub(crate) fn known(&self) -> Known {
        *self.lock_known()
    }

    /// Remembers an event of ours.
    pub(crate) fn saw(&self, event: Position) {
        self.lock_known().saw(event);
    }

    /// Remembers that no event of ours is behind `after` and up to `place`.
    pub(crate) fn passed(&self, after: Position, place: kurrentdb::Position) {
        self.lock_known().passed(after, place);
    }
}

#[async_trait::async_trait]
impl EventLog for KurrentDbLog {
    async fn id(&self) -> Result<Uuid, LogError> {
        Ok(self.inner.id)
    }

    async fn append(
        &self,
        stream: &StreamName,
        expected: Expected,
        envelope: Envelope,
    ) -> Result<Appended, AppendError> {
        let appended = append::append(&self.inner, stream, expected, &envelope).await?;
        self.inner.saw(appended.position);
        Ok(appended)
    }

    fn read_stream(&self, stream: &StreamName, after: Option<Revision>) -> EventStream {
        read::read_stream(Arc::clone(&self.inner), stream, after)
    }

    fn read_all(&self, after: Position) -> EventStream {
        read::read_all(Arc::clone(&self.inner), after)
    }

    fn subscribe(&self, after: Position) -> EventStream {
        follow::subscribe(Arc::clone(&self.inner), after)
    }

    async fn head(&self) -> Result<Position, LogError> {
        head::head(&self.inner).await
    }

    async fn event_at(&self, position: Position) -> Result<Option<Recorded>, LogError> {
        let found = read::event_at(&self.inner, position).await?;
        // A process that starts asks for the event up to which it has read: from there on it is looked what follows.
        if let Some(event) = &found {
            self.inner.saw(event.position);
        }
        Ok(found)
    }
}

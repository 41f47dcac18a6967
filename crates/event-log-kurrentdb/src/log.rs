//! The open log.

use crate::config::KurrentDbConfig;
use crate::head::Known;
use crate::link::{CALL_WITHIN, Link, asked_of_leader, in_time, not_read};
use crate::wire::Namespace;
use crate::{append, follow, head, read, safety};
use event_log::watched::Watched;
use event_log::{
    AppendError, Appended, Envelope, EventLog, EventStream, Expected, LogError, Position, Recorded, Revision,
    StreamName,
};
use kurrentdb::{AppendToStreamOptions, Error, EventData, ReadStreamOptions, ResolvedEvent, StreamState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// The type of the one event that holds a log's identity.
const IDENTITY: &str = "log-created";
/// How often nodes are looked at again.
const LOOK_AGAIN: Duration = Duration::from_mins(1);

/// A log on KurrentDB. Clones share one connection.
#[derive(Clone)]
pub struct KurrentDbLog {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) link: Link,
    pub(crate) namespace: Namespace,
    config: KurrentDbConfig,
    id: Uuid,
    appends: AtomicU64,
    known: Mutex<Known>,
}

impl KurrentDbLog {
    /// Connects, creates the log if there is none, and refuses with [`LogError::Unsafe`] to work with servers that could lose
    /// events.
    pub async fn open(config: KurrentDbConfig) -> Result<Self, LogError> {
        let (link, namespace) = link(&config).await?;
        let id = find_or_create(&link, &namespace, config.new_id).await?;
        Ok(Self::on(config, link, namespace, id))
    }

    /// The same, of a log that is there: nothing is made.
    pub async fn open_existing(config: KurrentDbConfig) -> Result<Self, LogError> {
        let (link, namespace) = link(&config).await?;
        let id = identity(&link, &namespace).await?.ok_or_else(|| {
            LogError::Unavailable(format!("no log is there in the namespace {}", config.namespace))
        })?;
        Ok(Self::on(config, link, namespace, id))
    }

    /// Looks again at what [`open`](Self::open) looked at: others may have changed a node since, or one is back that was down.
    pub async fn look_again(&self) -> Result<(), LogError> {
        safety::look_again(&self.inner.config).await
    }

    /// Looks again for ever, from time to time, and logs an error while the log is not safe, or when that could not be seen for some
    /// minutes. Appends go on: access must end even then.
    pub async fn watch(self) {
        self.watch_every(LOOK_AGAIN).await;
    }

    async fn watch_every(&self, pause: Duration) {
        let mut watched = Watched::default();
        loop {
            tokio::time::sleep(pause).await;
            let looked = self.look_again().await;
            watched.tell(looked, Instant::now());
        }
    }

    fn on(config: KurrentDbConfig, link: Link, namespace: Namespace, id: Uuid) -> Self {
        tracing::info!(log.id = %id, namespace = config.namespace, "log opened on KurrentDB");
        let (appends, known) = (AtomicU64::new(0), Mutex::default());
        Self { inner: Arc::new(Inner { link, namespace, config, id, appends, known }) }
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
        format!("{}-{}", self.config.process, self.appends.fetch_add(1, Ordering::Relaxed))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::NAMESPACE;
    use kurrentdb_double::Double;
    use wiremock::{Mock, MockServer, ResponseTemplate, matchers};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nodes_are_looked_at_again_and_again() {
        let server = Double::start().unwrap();
        let node = MockServer::start().await;
        let safe =
            r#"[{"name":"MemDb","value":"False"},{"name":"UnsafeDisableFlushToDisk","value":"False"}]"#;
        let answer = ResponseTemplate::new(200).set_body_raw(safe, "application/json");
        Mock::given(matchers::path("/info/options")).respond_with(answer).mount(&node).await;
        let log = KurrentDbLog::open(KurrentDbConfig {
            connection: server.connection(),
            user: None,
            namespace: NAMESPACE.into(),
            node_urls: vec![node.uri()],
            operator_asserts_flush_to_disk: false,
            new_id: Uuid::from_u128(1),
            process: Uuid::from_u128(2),
        });
        let log = Box::pin(log).await.unwrap();
        let looked = async {
            while node.received_requests().await.unwrap().len() < 4 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let seen = async {
            tokio::select! {
                () = log.watch_every(Duration::from_millis(10)) => {}
                () = looked => {}
            }
        };
        tokio::time::timeout(Duration::from_mins(1), seen).await.unwrap();
    }
}

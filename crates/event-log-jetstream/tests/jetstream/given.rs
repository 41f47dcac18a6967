//! What the tests are told with.

use event_log::{
    AppendError, Appended, Envelope, EventLog, Expected, Position, Recorded, Revision, StreamName, Writer,
};
use event_log_jetstream::{JetStreamConfig, JetStreamLog};
use futures::TryStreamExt;
use nats_connection::Connection;
use std::time::Duration;
use test_servers::nats::{NatsOptions, NatsServer};
use uuid::Uuid;

/// The identity of the logs that tests create.
pub(crate) const ID: Uuid = Uuid::from_u128(0x1d);

pub(crate) async fn server() -> NatsServer {
    NatsServer::start(NatsOptions::default()).await.unwrap()
}

/// A development log on one server, by way of `url`.
pub(crate) fn config(url: &str) -> JetStreamConfig {
    JetStreamConfig {
        connection: Connection::to(url),
        replicas: 1,
        dev: true,
        operator_asserts_sync_always: true,
        monitoring_urls: Vec::new(),
        new_id: ID,
    }
}

pub(crate) async fn open(url: &str) -> JetStreamLog {
    JetStreamLog::open(config(url)).await.unwrap()
}

pub(crate) fn stream(name: &str) -> StreamName {
    name.parse().unwrap()
}

pub(crate) fn event(number: u128) -> Envelope {
    by("request", number)
}

pub(crate) fn by(writer: &str, number: u128) -> Envelope {
    Envelope {
        event_id: Uuid::from_u128(number + 1),
        writer: Writer::new(writer).unwrap(),
        body: format!("body {number}").into(),
    }
}

pub(crate) fn after(revision: u64) -> Expected {
    Expected::Exact(Revision(revision))
}

/// Appends until there is a definite answer from a log that can be written.
pub(crate) async fn put(
    log: &JetStreamLog,
    stream: &StreamName,
    expected: Expected,
    envelope: &Envelope,
) -> Result<Appended, AppendError> {
    in_time(async {
        loop {
            match log.append(stream, expected, envelope.clone()).await {
                Err(AppendError::Unknown(_) | AppendError::Unavailable(_)) => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                definite => return definite,
            }
        }
    })
    .await
}

/// Appends `count` events to a new stream.
pub(crate) async fn fill(log: &JetStreamLog, stream: &StreamName, first: u128, count: u64) {
    for revision in 0..count {
        let expected = Expected::after(revision.checked_sub(1).map(Revision));
        put(log, stream, expected, &event(first + u128::from(revision))).await.unwrap();
    }
}

pub(crate) async fn all(log: &JetStreamLog) -> Vec<Recorded> {
    log.read_all(Position::START).try_collect().await.unwrap()
}

pub(crate) async fn whole(log: &JetStreamLog, stream: &StreamName) -> Vec<Recorded> {
    log.read_stream(stream, None).try_collect().await.unwrap()
}

/// One after the other, from 1, without gap or repeat; every stream's revisions dense.
pub(crate) fn assert_whole(events: &[Recorded]) {
    let mut lengths = std::collections::BTreeMap::<_, u64>::new();
    for (event, position) in events.iter().zip(1..) {
        assert_eq!(event.position, Position(position));
        let length = lengths.entry(event.stream.clone()).or_default();
        assert_eq!(event.revision, Revision(*length), "{}", event.stream);
        *length += 1;
    }
}

/// What hangs has failed.
pub(crate) async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(1), what).await.expect("this hangs")
}

//! What the tests are told with.

use event_log::{AppendError, Appended, Envelope, EventLog, Expected, StreamName, Writer};
use event_log_kurrentdb::{KurrentDbConfig, KurrentDbLog, NAMESPACE};
use kurrentdb_double::Double;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use uuid::Uuid;

/// The identity of the logs that tests create.
pub(crate) const ID: Uuid = Uuid::from_u128(0x1d);

/// How many logs were opened: each is a process of its own.
static OPENED: AtomicU64 = AtomicU64::new(0);

pub(crate) fn config(server: &Double) -> KurrentDbConfig {
    KurrentDbConfig {
        connection: server.connection(),
        user: None,
        namespace: NAMESPACE.into(),
        node_urls: Vec::new(),
        operator_asserts_flush_to_disk: true,
        new_id: ID,
        process: Uuid::from_u128(OPENED.fetch_add(1, Ordering::Relaxed).into()),
    }
}

/// Appends until the answer is definite, as every caller has to; a server that is away is waited for.
pub(crate) async fn put(
    log: &KurrentDbLog,
    stream: &StreamName,
    expected: Expected,
    envelope: Envelope,
) -> Appended {
    loop {
        match log.append(stream, expected, envelope.clone()).await {
            Err(AppendError::Unknown(_) | AppendError::Unavailable(_)) => tokio::task::yield_now().await,
            definite => return definite.unwrap(),
        }
    }
}

pub(crate) async fn open(server: &Double) -> KurrentDbLog {
    KurrentDbLog::open(config(server)).await.unwrap()
}

pub(crate) fn event(number: u128) -> Envelope {
    Envelope {
        event_id: Uuid::from_u128(number + 1),
        writer: Writer::new("request").unwrap(),
        body: format!("body {number}").into(),
    }
}

/// What there is to be seen, once there is.
pub(crate) async fn until<T>(seen: impl Fn() -> Option<T>) -> T {
    loop {
        if let Some(seen) = seen() {
            return seen;
        }
        tokio::task::yield_now().await;
    }
}

/// What hangs has failed.
pub(crate) async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(1), what).await.unwrap()
}

//! What the tests are told with.

use crate::Restorer;
use bytes::Bytes;
use domain::ports::{Clock, Entropy};
use domain::{Actor, ActorKind, Person, Timestamp};
use event_log::memory::MemoryLog;
use event_log::{Envelope, EventLog, Expected, Revision, StreamName, Writer};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use uuid::Uuid;

/// Other bytes with each call.
#[derive(Default)]
pub(crate) struct Counting(AtomicU8);

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0.fetch_add(1, Ordering::Relaxed));
    }
}

/// It is always the same time.
struct Epoch;

impl Clock for Epoch {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

pub(crate) fn restorer() -> Restorer {
    let person = Person::new("daypass:program", "restore").unwrap();
    Restorer {
        actor: Actor { person, kind: ActorKind::Workload, client_id: None, auth_time: None, acr: None },
        clock: Arc::new(Epoch),
        entropy: Arc::new(Counting::default()),
    }
}

pub(crate) fn log(id: u128) -> (MemoryLog, Arc<dyn EventLog>) {
    let log = MemoryLog::with_id(Uuid::from_u128(id));
    (log.clone(), Arc::new(log))
}

pub(crate) fn envelope(id: u128, body: impl Into<Bytes>) -> Envelope {
    Envelope { event_id: Uuid::from_u128(id), writer: Writer::new("audit").unwrap(), body: body.into() }
}

/// Appends the event of this number to the one stream of a backup.
pub(crate) async fn append(log: &dyn EventLog, number: u128) {
    let stream: StreamName = "duty-x".parse().unwrap();
    let last = u64::try_from(number).unwrap().checked_sub(1).map(Revision);
    log.append(&stream, Expected::after(last), envelope(number + 100, number.to_string())).await.unwrap();
}

/// A log with so many events.
pub(crate) async fn backup(events: u128) -> Arc<dyn EventLog> {
    let (_, log) = log(1);
    for number in 0..events {
        append(log.as_ref(), number).await;
    }
    log
}

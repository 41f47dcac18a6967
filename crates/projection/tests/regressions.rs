//! What went wrong in systems of this kind, where read models are concerned; `docs/regressions.md` has the list.

#![expect(clippy::unwrap_used, reason = "tests")]

use domain::{EventId, Timestamp};
use event_log::memory::MemoryLog;
use event_log::{Envelope, EventLog, Expected, Writer};
use journal::{Event, Fact, Service, Stream};
use lifecycle::duty::DutyClaimed;
use projection::{Item, Projection, ReadModel};
use rusqlite::{Transaction, params};
use std::path::Path;
use std::sync::Arc;
use uuid::Uuid;

/// More than is applied in one transaction.
const EVENTS: u64 = 3_000;

/// Every event that it was told, in the order of telling.
#[derive(Clone, Default)]
struct Told;

impl ReadModel for Told {
    fn name(&self) -> &'static str {
        "told"
    }
    fn schema(&self) -> &'static str {
        "CREATE TABLE told (ordinal INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL) STRICT;"
    }
    fn code_revision(&self) -> u32 {
        1
    }
    fn apply(&mut self, tx: &Transaction<'_>, item: &Item) -> rusqlite::Result<()> {
        let event = item.recorded.envelope.event_id.to_string();
        tx.prepare_cached("INSERT INTO told (event) VALUES (?1)")?.execute(params![event])?;
        Ok(())
    }
}

/// One event of a stream of its own.
async fn append(log: &MemoryLog, number: u64) {
    let stream = Stream::Duty(format!("duty{number}"));
    let event = Event {
        id: EventId::from_parts([number.to_be_bytes().as_slice()]),
        stream: stream.clone(),
        at: Timestamp::UNIX_EPOCH,
        writer: Service::Audit,
        actor: None,
        previous: None,
        trace: None,
        command_digest: None,
        fact: Fact::Duty(DutyClaimed { holder: "one".to_owned() }),
    };
    let envelope = Envelope {
        event_id: *event.id.as_uuid(),
        writer: Writer::new("audit").unwrap(),
        body: journal::encode(&event).into(),
    };
    log.append(&stream.to_string().parse().unwrap(), Expected::NoStream, envelope).await.unwrap();
}

/// Follows the log, and is killed once it has applied `enough` events.
async fn follow_until(folder: &Path, log: &MemoryLog, enough: u64) -> Vec<String> {
    let (projection, follower) = Projection::open(Some(folder), Told, Arc::new(log.clone())).unwrap();
    let mut changes = projection.changes();
    tokio::select! {
        biased;
        _ = changes.wait_for(|position| position.0 >= enough) => {}
        () = follower.run(std::future::pending()) => {}
    }
    let told = projection.read(|connection| {
        let mut rows = connection.prepare("SELECT event FROM told ORDER BY ordinal")?;
        rows.query_map([], |row| row.get(0))?.collect()
    });
    told.unwrap()
}

/// Only the last record of a batch was handled.
#[tokio::test]
async fn team_507_every_record_of_a_batch_in_order_from_a_checkpoint() {
    let log = MemoryLog::with_id(Uuid::from_u128(1));
    let folder = tempfile::tempdir().unwrap();
    for number in 0..EVENTS {
        append(&log, number).await;
    }
    let everything = || -> Vec<String> {
        log.recorded().iter().map(|recorded| recorded.envelope.event_id.to_string()).collect()
    };
    let first = follow_until(folder.path(), &log, 1).await;
    assert!(first.len() > 1, "what comes together is taken together");
    assert!(everything().starts_with(&first), "every record up to the checkpoint, in order");
    for number in EVENTS..EVENTS + 100 {
        append(&log, number).await;
    }
    assert_eq!(follow_until(folder.path(), &log, EVENTS + 100).await, everything());
    // What is told one at a time is told no differently.
    append(&log, EVENTS + 100).await;
    assert_eq!(follow_until(folder.path(), &log, EVENTS + 101).await, everything());
}

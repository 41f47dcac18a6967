//! A small read model, the events that it is about, and the fold of them by hand.

use domain::{EventId, Timestamp};
use event_log::memory::MemoryLog;
use event_log::{AppendError, Envelope, EventLog as _, Expected, Position, StreamName, Writer};
use journal::{Event, Fact, Service, Stream};
use lifecycle::duty::DutyClaimed;
use projection::{Follower, Item, Projection, ReadModel};
use rusqlite::{Connection, Transaction, params};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::task::JoinHandle;
use uuid::Uuid;

pub(crate) const SCHEMA: &str = "
    CREATE TABLE duty (name TEXT PRIMARY KEY, holder TEXT NOT NULL, events INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE quarantined (stream TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;";

/// Who holds each duty, and how many events said so.
#[derive(Clone)]
pub(crate) struct Duties {
    pub(crate) schema: String,
    pub(crate) code_revision: u32,
    /// How many events were applied, also in transactions that did not happen.
    pub(crate) applied: Arc<AtomicU64>,
    /// Kept in memory until the transaction ends.
    pub(crate) unwritten: u64,
    pub(crate) disk_full: Arc<AtomicBool>,
}

impl Default for Duties {
    fn default() -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            code_revision: 1,
            applied: Arc::default(),
            unwritten: 0,
            disk_full: Arc::default(),
        }
    }
}

impl ReadModel for Duties {
    fn name(&self) -> &'static str {
        "duties"
    }
    fn schema(&self) -> &str {
        &self.schema
    }
    fn code_revision(&self) -> u32 {
        self.code_revision
    }
    fn apply(&mut self, tx: &Transaction<'_>, item: &Item) -> rusqlite::Result<()> {
        if self.disk_full.load(Ordering::Relaxed) {
            let full = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL);
            return Err(rusqlite::Error::SqliteFailure(full, None));
        }
        self.applied.fetch_add(1, Ordering::Relaxed);
        self.unwritten += 1;
        let Ok(event) = &item.event else {
            tx.prepare_cached("INSERT OR IGNORE INTO quarantined (stream) VALUES (?1)")?
                .execute([item.recorded.stream.as_str()])?;
            return Ok(());
        };
        let Fact::Duty(claimed) = &event.fact else { return Ok(()) };
        // A holder of this name is what this model cannot take.
        let holder = (claimed.holder != "unbearable").then_some(&claimed.holder);
        tx.prepare_cached(
            "INSERT INTO duty (name, holder, events) VALUES (?1, ?2, 1)
             ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, events = events + 1",
        )?
        .execute(params![item.recorded.stream.as_str(), holder])?;
        Ok(())
    }
    fn finish(&mut self, _: &Transaction<'_>) -> rusqlite::Result<()> {
        self.unwritten = 0;
        Ok(())
    }
    fn forget(&mut self) {
        self.unwritten = 0;
    }
}

pub(crate) fn log() -> MemoryLog {
    MemoryLog::with_id(Uuid::from_u128(1))
}

pub(crate) fn open(folder: Option<&Path>, model: Duties, log: &MemoryLog) -> (Projection, Follower<Duties>) {
    Projection::open(folder, model, Arc::new(log.clone())).unwrap()
}

/// Follows until the returned task is aborted.
pub(crate) fn follow(folder: Option<&Path>, model: Duties, log: &MemoryLog) -> (Projection, JoinHandle<()>) {
    let (projection, follower) = open(folder, model, log);
    (projection, tokio::spawn(follower.run(std::future::pending())))
}

pub(crate) async fn stop(task: JoinHandle<()>) {
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
}

pub(crate) async fn append_body(log: &MemoryLog, stream: &Stream, id: EventId, body: Vec<u8>) -> Position {
    let name: StreamName = stream.to_string().parse().unwrap();
    let envelope =
        Envelope { event_id: *id.as_uuid(), writer: Writer::new("audit").unwrap(), body: body.into() };
    let mut expected = Expected::NoStream;
    loop {
        match log.append(&name, expected, envelope.clone()).await {
            Ok(appended) => return appended.position,
            Err(AppendError::Conflict { actual }) => expected = Expected::after(actual),
            Err(error) => panic!("{error}"),
        }
    }
}

/// An id that was not used before.
pub(crate) fn fresh_id() -> EventId {
    static USED: AtomicU64 = AtomicU64::new(0);
    EventId::from_parts([USED.fetch_add(1, Ordering::Relaxed).to_be_bytes().as_slice()])
}

pub(crate) async fn claim(log: &MemoryLog, duty: &str, holder: &str) -> Position {
    let stream = Stream::Duty(duty.to_owned());
    let event = Event {
        id: fresh_id(),
        stream: stream.clone(),
        at: Timestamp::UNIX_EPOCH,
        writer: Service::Audit,
        actor: None,
        previous: None,
        trace: None,
        command_digest: None,
        fact: Fact::Duty(DutyClaimed { holder: holder.to_owned() }),
    };
    append_body(log, &stream, event.id, journal::encode(&event)).await
}

pub(crate) async fn claim_many(log: &MemoryLog, count: usize) -> Position {
    let mut position = Position::START;
    for n in 0..count {
        position = claim(log, &format!("d{}", n % 7), &format!("h{n}")).await;
    }
    position
}

pub(crate) type Rows = BTreeMap<String, (String, u64)>;

pub(crate) fn rows(connection: &Connection) -> rusqlite::Result<Rows> {
    connection
        .prepare("SELECT name, holder, events FROM duty")?
        .query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get::<_, i64>(2)?.cast_unsigned()))))?
        .collect()
}

/// The same, by hand.
pub(crate) fn fold(log: &MemoryLog) -> Rows {
    let mut rows = Rows::new();
    for recorded in log.recorded() {
        if let Ok(Event { fact: Fact::Duty(claimed), .. }) = journal::decode(&recorded.envelope.body) {
            let events = rows.get(recorded.stream.as_str()).map_or(0, |(_, events)| *events);
            rows.insert(recorded.stream.to_string(), (claimed.holder, events + 1));
        }
    }
    rows
}

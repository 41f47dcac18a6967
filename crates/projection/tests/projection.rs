//! The promises of a projection: it equals the fold of the log, whatever is deleted, replaced, interrupted, broken or down.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![expect(clippy::disallowed_methods, reason = "tests spawn what they talk to")]

use domain::{EventId, Timestamp};
use event_log::memory::{AppendFault, Faults, MemoryLog, ReadFault};
use event_log::{AppendError, Envelope, EventLog, Expected, Position, StreamName, Writer};
use journal::{Event, Fact, Service, Stream};
use lifecycle::duty::DutyClaimed;
use projection::{Follower, Health, Item, Projection, ReadModel};
use proptest::prelude::*;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::task::JoinHandle;
use uuid::Uuid;

const SCHEMA: &str = "
    CREATE TABLE duty (name TEXT PRIMARY KEY, holder TEXT NOT NULL, events INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE quarantined (stream TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;";

/// Who holds each duty, and how many events said so.
#[derive(Clone)]
struct Duties {
    schema: String,
    code_revision: u32,
    /// How many events were applied, also in transactions that did not happen.
    applied: Arc<AtomicU64>,
    /// Kept in memory until the transaction ends.
    unwritten: u64,
    disk_full: Arc<AtomicBool>,
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

fn log() -> MemoryLog {
    MemoryLog::with_id(Uuid::from_u128(1))
}

fn open(folder: Option<&Path>, model: Duties, log: &MemoryLog) -> (Projection, Follower<Duties>) {
    Projection::open(folder, model, Arc::new(log.clone())).unwrap()
}

/// Follows until the returned task is aborted.
fn follow(folder: Option<&Path>, model: Duties, log: &MemoryLog) -> (Projection, JoinHandle<()>) {
    let (projection, follower) = open(folder, model, log);
    (projection, tokio::spawn(follower.run(std::future::pending())))
}

async fn stop(task: JoinHandle<()>) {
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
}

async fn append_body(log: &MemoryLog, stream: &Stream, id: EventId, body: Vec<u8>) -> Position {
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
fn fresh_id() -> EventId {
    static USED: AtomicU64 = AtomicU64::new(0);
    EventId::from_parts([USED.fetch_add(1, Ordering::Relaxed).to_be_bytes().as_slice()])
}

async fn claim(log: &MemoryLog, duty: &str, holder: &str) -> Position {
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

async fn claim_many(log: &MemoryLog, count: usize) -> Position {
    let mut position = Position::START;
    for n in 0..count {
        position = claim(log, &format!("d{}", n % 7), &format!("h{n}")).await;
    }
    position
}

type Rows = BTreeMap<String, (String, u64)>;

fn rows(connection: &Connection) -> rusqlite::Result<Rows> {
    connection
        .prepare("SELECT name, holder, events FROM duty")?
        .query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get::<_, i64>(2)?.cast_unsigned()))))?
        .collect()
}

/// The same, by hand.
fn fold(log: &MemoryLog) -> Rows {
    let mut rows = Rows::new();
    for recorded in log.recorded() {
        if let Ok(Event { fact: Fact::Duty(claimed), .. }) = journal::decode(&recorded.envelope.body) {
            let events = rows.get(recorded.stream.as_str()).map_or(0, |(_, events)| *events);
            rows.insert(recorded.stream.to_string(), (claimed.holder, events + 1));
        }
    }
    rows
}

fn files(folder: &Path) -> Vec<String> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "db"))
        .collect();
    files.sort();
    files
}

fn only_file(folder: &Path) -> std::path::PathBuf {
    let files = files(folder);
    assert_eq!(files.len(), 1, "{files:?}");
    folder.join(files.concat())
}

#[tokio::test(start_paused = true)]
async fn events_are_heard_that_are_written_while_it_follows_and_no_others() {
    let log = log();
    claim(&log, "sweep", "before").await;
    let (projection, follower) = open(None, Duties::default(), &log);
    let (heard, mut hearing) = tokio::sync::mpsc::unbounded_channel();
    let follower = follower.hearing(move |event| drop(heard.send(event.fact.clone())));
    let task = tokio::spawn(follower.run(std::future::pending()));
    projection.caught_up().await;
    let position = claim(&log, "sweep", "after").await;
    projection.wait_for(position).await;
    assert_eq!(hearing.try_recv(), Ok(Fact::Duty(DutyClaimed { holder: "after".to_owned() })));
    assert!(hearing.try_recv().is_err());
    stop(task).await;
}

#[tokio::test(start_paused = true)]
async fn it_follows_the_log() {
    let log = log();
    let (projection, task) = follow(None, Duties::default(), &log);
    projection.caught_up().await;
    for n in 0..5 {
        let position = claim(&log, "sweep", &n.to_string()).await;
        projection.wait_for(position).await;
        assert_eq!(projection.read(rows).unwrap(), fold(&log));
        assert_eq!(projection.applied(), position);
    }
    assert_eq!(projection.lag().await.unwrap(), 0);
    assert_eq!(*projection.health().borrow(), Health::Following);
    stop(task).await;
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_position_waits() {
    let log = log();
    let (projection, task) = follow(None, Duties::default(), &log);
    let waiting = tokio::spawn({
        let projection = projection.clone();
        async move { projection.wait_for(Position(2)).await }
    });
    let position = claim(&log, "sweep", "a").await;
    projection.wait_for(position).await;
    assert!(!waiting.is_finished());
    claim(&log, "sweep", "b").await;
    waiting.await.unwrap();
    assert_eq!(projection.applied(), Position(2));
    stop(task).await;
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_it_in_peace() {
    let log = log();
    let (projection, follower) = open(None, Duties::default(), &log);
    let (shut_down, signal) = tokio::sync::oneshot::channel::<()>();
    let task = tokio::spawn(follower.run(async move { drop(signal.await) }));
    projection.caught_up().await;
    shut_down.send(()).unwrap();
    task.await.unwrap();
    assert_eq!(*projection.health().borrow(), Health::Idle);
}

#[tokio::test]
async fn a_deleted_file_is_rebuilt() {
    let (folder, log) = (tempfile::tempdir().unwrap(), log());
    claim_many(&log, 50).await;
    for _ in 0..2 {
        let model = Duties::default();
        let (projection, task) = follow(Some(folder.path()), model.clone(), &log);
        projection.caught_up().await;
        assert_eq!(projection.read(rows).unwrap(), fold(&log));
        assert_eq!(model.applied.load(Ordering::Relaxed), 50);
        stop(task).await;
        drop(projection);
        std::fs::remove_file(only_file(folder.path())).unwrap();
    }
}

#[tokio::test]
async fn it_goes_on_from_its_checkpoint_without_gap_or_repeat() {
    let (folder, log) = (tempfile::tempdir().unwrap(), log());
    let model = Duties::default();
    for round in 1..=4 {
        // More than one batch, and cut off wherever it is.
        let end = claim_many(&log, 6_000).await;
        let (projection, task) = follow(Some(folder.path()), model.clone(), &log);
        if round % 2 == 0 {
            projection.changes().wait_for(|position| *position > Position::START).await.unwrap();
        } else {
            projection.wait_for(end).await;
        }
        stop(task).await;
    }
    let (projection, task) = follow(Some(folder.path()), model.clone(), &log);
    projection.caught_up().await;
    assert_eq!(projection.read(rows).unwrap(), fold(&log));
    assert_eq!(model.applied.load(Ordering::Relaxed), 24_000, "each event once");
    stop(task).await;
}

#[tokio::test]
async fn another_schema_is_another_file_and_the_old_one_goes_once_it_is_full() {
    let (folder, log) = (tempfile::tempdir().unwrap(), log());
    claim_many(&log, 20).await;
    let (projection, task) = follow(Some(folder.path()), Duties::default(), &log);
    projection.caught_up().await;
    stop(task).await;
    drop(projection);
    let first = only_file(folder.path());
    let bystander = folder.path().join("duties-other-0123456789abcdef.db");
    std::fs::write(&bystander, "").unwrap();

    let schema = SCHEMA.to_owned() + "CREATE INDEX duty_by_holder ON duty (holder);";
    let changed_schema = Duties { schema, ..Duties::default() };
    let changed_code = Duties { code_revision: 2, ..Duties::default() };
    let mut old = first;
    for changed in [changed_schema, changed_code] {
        let (projection, follower) = open(Some(folder.path()), changed, &log);
        assert!(old.exists(), "until the new one is full");
        let task = tokio::spawn(follower.run(std::future::pending()));
        projection.caught_up().await;
        assert_eq!(projection.read(rows).unwrap(), fold(&log));
        assert!(!old.exists());
        assert!(bystander.exists());
        stop(task).await;
        let mut left = files(folder.path());
        left.retain(|name| folder.path().join(name) != bystander);
        assert_eq!(left.len(), 1);
        old = folder.path().join(left.concat());
    }
}

#[tokio::test]
async fn a_checkpoint_of_another_log_is_not_continued_from() {
    let folder = tempfile::tempdir().unwrap();
    let first = log();
    claim_many(&first, 30).await;
    let (projection, task) = follow(Some(folder.path()), Duties::default(), &first);
    projection.caught_up().await;
    stop(task).await;
    drop(projection);

    let other_id = MemoryLog::with_id(Uuid::from_u128(2));
    claim_many(&other_id, 40).await;
    // The same id, as of a log restored from a backup: shorter, or with other events.
    let shorter = log();
    claim_many(&shorter, 3).await;
    let diverged = log();
    claim(&diverged, "other", "x").await;
    append_body(&diverged, &Stream::Duty("z".to_owned()), fresh_id(), b"junk".to_vec()).await;
    claim_many(&diverged, 5).await;
    for log in [other_id, shorter, diverged] {
        let (projection, task) = follow(Some(folder.path()), Duties::default(), &log);
        projection.caught_up().await;
        assert_eq!(projection.read(rows).unwrap(), fold(&log));
        stop(task).await;
    }
}

#[tokio::test]
async fn a_damaged_file_is_made_anew() {
    let (folder, log) = (tempfile::tempdir().unwrap(), log());
    claim_many(&log, 30).await;
    let (projection, task) = follow(Some(folder.path()), Duties::default(), &log);
    projection.caught_up().await;
    stop(task).await;
    drop(projection);
    let path = only_file(folder.path());
    let whole = std::fs::read(&path).unwrap();
    for damage in
        [b"not a database, but long enough to look like one".repeat(200), whole[..whole.len() / 2].to_vec()]
    {
        std::fs::write(&path, damage).unwrap();
        let (projection, task) = follow(Some(folder.path()), Duties::default(), &log);
        projection.caught_up().await;
        assert_eq!(projection.read(rows).unwrap(), fold(&log));
        stop(task).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_undecodable_event_reaches_the_model_and_holds_up_nobody() {
    let log = log();
    claim(&log, "a", "1").await;
    append_body(&log, &Stream::Duty("poisoned".to_owned()), fresh_id(), b"junk".to_vec()).await;
    claim(&log, "b", "2").await;
    let (projection, task) = follow(None, Duties::default(), &log);
    projection.caught_up().await;
    assert_eq!(projection.read(rows).unwrap(), fold(&log));
    let quarantined: String =
        projection.read(|db| db.query_row("SELECT stream FROM quarantined", [], |row| row.get(0))).unwrap();
    assert_eq!(quarantined, "duty-poisoned");
    assert_eq!(projection.set_aside_count().unwrap(), 1);
    stop(task).await;
}

#[tokio::test(start_paused = true)]
async fn an_event_that_the_model_cannot_take_is_set_aside_and_holds_up_nobody() {
    let log = log();
    claim_many(&log, 10).await;
    let before = fold(&log);
    claim(&log, "poisoned", "unbearable").await;
    claim(&log, "last", "x").await;
    let (projection, task) = follow(None, Duties::default(), &log);
    projection.caught_up().await;
    let mut expected = before;
    expected.insert("duty-last".to_owned(), ("x".to_owned(), 1));
    assert_eq!(projection.read(rows).unwrap(), expected);
    assert_eq!(projection.set_aside_count().unwrap(), 1);
    let missing: Option<String> = projection
        .read(|db| {
            db.query_row("SELECT holder FROM duty WHERE name = 'duty-poisoned'", [], |row| row.get(0))
                .optional()
        })
        .unwrap();
    assert_eq!(missing, None);
    stop(task).await;
}

/// Every read fails while `down`; else every `n`th.
struct Flaky {
    down: Arc<AtomicBool>,
    every: u64,
    asked: u64,
}

impl Faults for Flaky {
    fn append(&mut self, _: &StreamName, _: &Envelope) -> AppendFault {
        AppendFault::Proceed
    }
    fn read(&mut self) -> ReadFault {
        self.asked += 1;
        let broken = self.every > 0 && self.asked.is_multiple_of(self.every);
        if broken || self.down.load(Ordering::Relaxed) { ReadFault::Unavailable } else { ReadFault::Proceed }
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_down_is_waited_for() {
    let log = log();
    let down = Arc::new(AtomicBool::new(true));
    log.set_faults(Box::new(Flaky { down: down.clone(), every: 0, asked: 0 }));
    let (projection, task) = follow(None, Duties::default(), &log);
    let failing = |health: &Health| matches!(health, Health::Failing { .. });
    projection.health().wait_for(failing).await.unwrap();
    assert!(!projection.is_caught_up());
    down.store(false, Ordering::Relaxed);
    let position = claim(&log, "sweep", "a").await;
    projection.wait_for(position).await;
    assert_eq!(*projection.health().borrow(), Health::Following);
    assert_eq!(projection.read(rows).unwrap(), fold(&log));
    stop(task).await;
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_is_waited_out() {
    let log = log();
    let model = Duties::default();
    let (projection, task) = follow(None, model.clone(), &log);
    projection.caught_up().await;
    model.disk_full.store(true, Ordering::Relaxed);
    let position = claim(&log, "sweep", "a").await;
    let failing = |health: &Health| matches!(health, Health::Failing { .. });
    projection.health().wait_for(failing).await.unwrap();
    assert!(projection.applied() < position);
    assert_eq!(projection.set_aside_count().unwrap(), 0, "the event is not at fault");
    model.disk_full.store(false, Ordering::Relaxed);
    projection.wait_for(position).await;
    assert_eq!(projection.read(rows).unwrap(), fold(&log));
    stop(task).await;
}

#[tokio::test]
async fn readers_see_whole_states_while_it_is_written() {
    let (folder, log) = (tempfile::tempdir().unwrap(), log());
    let (projection, task) = follow(Some(folder.path()), Duties::default(), &log);
    for n in 0..200 {
        let position = claim(&log, "sweep", &n.to_string()).await;
        let (holder, events) = projection
            .read(|db| {
                let holder: Option<String> =
                    db.query_row("SELECT holder FROM duty", [], |row| row.get(0)).optional()?;
                let events: Option<i64> =
                    db.query_row("SELECT events FROM duty", [], |row| row.get(0)).optional()?;
                Ok((holder, events))
            })
            .unwrap();
        assert_eq!(holder.map(|holder| holder.parse::<i64>().unwrap() + 1), events);
        if n % 10 == 0 {
            projection.wait_for(position).await;
        }
    }
    stop(task).await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// S9, with the log failing now and then, and a crash now and then.
    #[test]
    fn invariant_s9_a_read_model_equals_the_fold_of_the_log(
        history in proptest::collection::vec((0..5_u8, 0..50_u8, any::<bool>()), 0..120),
        every in 0..9_u64,
        restarts in 1..4_usize,
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (folder, log) = (tempfile::tempdir().unwrap(), log());
            let mut last = Position::START;
            for part in history.chunks(history.len() / restarts + 1) {
                // A follower needs four undisturbed steps to get anywhere.
                log.set_faults(Box::new(Flaky { down: Arc::default(), every: if every < 5 { 0 } else { every }, asked: 0 }));
                let (projection, task) = follow(Some(folder.path()), Duties::default(), &log);
                for (duty, holder, wait) in part {
                    last = claim_or_junk(&log, *duty, *holder).await;
                    if *wait {
                        projection.wait_for(last).await;
                    }
                }
                stop(task).await;
            }
            log.clear_faults();
            let (projection, task) = follow(Some(folder.path()), Duties::default(), &log);
            projection.wait_for(last).await;
            assert_eq!(projection.read(rows).unwrap(), fold(&log));
            stop(task).await;
        });
    }
}

async fn claim_or_junk(log: &MemoryLog, duty: u8, holder: u8) -> Position {
    if holder > 0 {
        return claim(log, &duty.to_string(), &holder.to_string()).await;
    }
    append_body(log, &Stream::Duty(duty.to_string()), fresh_id(), b"junk".to_vec()).await
}

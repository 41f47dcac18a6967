//! The handle that readers share.

use crate::database::{self, Place, Wal};
use crate::{Follower, ReadModel};
use event_log::{EventLog, LogError, Position};
use journal::Event;
use rusqlite::Connection;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockWriteGuard, TryLockError};
use std::time::Duration;
use tokio::sync::{Notify, broadcast, watch};

/// Events that are kept for who listens; who falls further behind is told that some were missed.
const HEARD_MAX: usize = 1_024;

/// For so many milliseconds a moment without readers is awaited.
const PAUSES_AWAITED: usize = 200;

/// A read model that is being filled. Clones share it.
#[derive(Clone)]
pub struct Projection {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) place: Place,
    pub(crate) name: String,
    pub(crate) log: Arc<dyn EventLog>,
    writer: Mutex<Connection>,
    readers: RwLock<Readers>,
    /// Moves the WAL into the file, beside the one that writes.
    mover: Mutex<Option<Connection>>,
    pub(crate) applied: watch::Sender<Position>,
    /// Wakes those who wait for a position, in the order in which they began to: a `watch` wakes in a random one.
    pub(crate) moved: Notify,
    pub(crate) health: watch::Sender<Health>,
    pub(crate) caught_up: watch::Sender<bool>,
    pub(crate) heard: broadcast::Sender<Arc<Event>>,
    /// A reader met damage: the file is to be made anew.
    pub(crate) damaged: Notify,
    /// The file is deleted, and could not be made anew yet.
    pub(crate) lost: AtomicBool,
}

/// How a read model does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It has not begun, or stopped.
    Idle,
    /// It follows the log: it is at its head, or has just come nearer to it.
    Following,
    /// It is behind, and tries again; until an event is applied, or there is none to apply.
    Failing {
        /// What went wrong last.
        why: String,
    },
}

/// The database could not be opened or made.
#[derive(Debug, thiserror::Error)]
#[error("the read model's database cannot be opened: {0}")]
pub struct OpenError(#[from] rusqlite::Error);

/// A read failed.
#[derive(Debug, thiserror::Error)]
#[error("the read model cannot be read: {0}")]
pub struct ReadError(#[from] pub rusqlite::Error);

impl Projection {
    /// Opens the read model in `folder` (`None`: in memory), making it where it is missing or damaged. The follower fills it;
    /// until that has looked at the log, nothing counts as applied.
    pub fn open<M: ReadModel>(
        folder: Option<&Path>,
        model: M,
        log: Arc<dyn EventLog>,
    ) -> Result<(Self, Follower<M>), OpenError> {
        let place = Place::of(folder, &model);
        let writer = place.open()?;
        let readers = Readers::of(place.open_readers()?);
        let mover = place.open_mover()?;
        let shared = Arc::new(Shared {
            place,
            name: model.name().to_owned(),
            log,
            writer: Mutex::new(writer),
            readers: RwLock::new(readers),
            mover: Mutex::new(mover),
            applied: watch::Sender::new(Position::START),
            moved: Notify::new(),
            health: watch::Sender::new(Health::Idle),
            caught_up: watch::Sender::new(false),
            heard: broadcast::Sender::new(HEARD_MAX),
            damaged: Notify::new(),
            lost: AtomicBool::new(false),
        });
        Ok((Self { shared: shared.clone() }, Follower::new(shared, model)))
    }

    /// Reads. Everything in one call sees the same state of the tables, which is the fold of the log up to some position at
    /// or after [`applied`](Self::applied) as it was before the call. Keep it short: it runs on the calling task.
    pub fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, ReadError> {
        let answer = self.shared.with_reader(|connection| {
            let _snapshot = Snapshot::begin(connection)?;
            read(connection)
        });
        if answer.as_ref().is_err_and(database::is_damage) {
            self.shared.damaged.notify_one();
        }
        Ok(answer?)
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// How far it is.
    pub fn applied(&self) -> Position {
        *self.shared.applied.borrow()
    }

    /// Returns once the event at `position`, and so everything before it, is applied. Never, if the log never gets there:
    /// bound it by the caller's deadline.
    pub async fn wait_for(&self, position: Position) {
        loop {
            let mut moved = pin!(self.shared.moved.notified());
            // From here on no move is missed.
            moved.as_mut().enable();
            if self.applied() >= position {
                return;
            }
            moved.await;
        }
    }

    /// Tells each position that is reached; only the latest is kept.
    pub fn changes(&self) -> watch::Receiver<Position> {
        self.shared.applied.subscribe()
    }

    /// Tells every event that is written from now on, before it is applied: of none that was there when following began. Some may
    /// be told twice, after faults.
    pub fn heard(&self) -> broadcast::Receiver<Arc<Event>> {
        self.shared.heard.subscribe()
    }

    /// Whether it has reached the head that the log had when following began. Before, answers may be old.
    pub fn is_caught_up(&self) -> bool {
        *self.shared.caught_up.borrow()
    }

    /// Returns once [`is_caught_up`](Self::is_caught_up).
    pub async fn caught_up(&self) {
        let _ = self.shared.caught_up.subscribe().wait_for(|done| *done).await;
    }

    /// How many positions the log's head is ahead; for logs with gaps, more than there are events.
    pub async fn lag(&self) -> Result<u64, LogError> {
        let head = self.shared.log.head().await?;
        Ok(head.0.saturating_sub(self.applied().0))
    }

    /// Waits until everything that the log holds now is applied, for decisions that must know the latest.
    pub async fn reach_head(&self) -> Result<Position, LogError> {
        let head = self.shared.log.head().await?;
        self.wait_for(head).await;
        Ok(head)
    }

    /// How it does.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.shared.health.subscribe()
    }

    /// How many events were set aside because they could not be decoded, or the read model failed on them. Each was logged.
    pub fn set_aside_count(&self) -> Result<u64, ReadError> {
        self.read(database::count_set_aside)
    }
}

impl Shared {
    pub(crate) fn with_writer<T>(&self, work: impl FnOnce(&mut Connection) -> T) -> T {
        work(&mut lock(&self.writer))
    }

    fn with_reader<T>(&self, work: impl FnOnce(&Connection) -> T) -> T {
        {
            let readers = self.readers.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(connection) = readers.one() {
                return work(&connection);
            }
        }
        work(&lock(&self.writer))
    }

    /// Moves what is in the WAL into the file while others write and read; then, while nobody does, the little that was written meanwhile,
    /// and has the WAL begin anew: else SQLite goes on writing at its end. Keeps the calling thread for tens of milliseconds.
    pub(crate) fn move_wal(&self) -> rusqlite::Result<()> {
        let mover = lock(&self.mover);
        let Some(mover) = mover.as_ref() else { return Ok(()) };
        mover.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
        let _nobody_reads = self.nobody_reads();
        let _nobody_writes = lock(&self.writer);
        let busy: bool = mover.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        if busy && self.place.wal(false) == Wal::TooLong {
            tracing::warn!(model = self.name, "a read model's WAL grows: somebody else reads its file");
        }
        Ok(())
    }

    /// At a moment when nobody reads anyway, if there is one soon: whoever begins to read waits for who waits for those that do.
    fn nobody_reads(&self) -> RwLockWriteGuard<'_, Readers> {
        for _ in 0..PAUSES_AWAITED {
            match self.readers.try_write() {
                Ok(nobody_reads) => return nobody_reads,
                Err(TryLockError::Poisoned(nobody_reads)) => return nobody_reads.into_inner(),
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
        self.readers.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts over with empty tables. Where that fails there are none, until it succeeds.
    pub(crate) fn make_anew(&self) -> rusqlite::Result<()> {
        self.lost.store(true, Ordering::Relaxed);
        let mut mover = lock(&self.mover);
        let mut readers = self.readers.write().unwrap_or_else(PoisonError::into_inner);
        let mut writer = lock(&self.writer);
        *readers = Readers::of(Vec::new());
        *mover = None;
        // Closes the file.
        *writer = Connection::open_in_memory()?;
        self.place.delete();
        *writer = self.place.open()?;
        // Without others, readers use the one that writes.
        self.lost.store(false, Ordering::Relaxed);
        *readers = Readers::of(self.place.open_readers()?);
        *mover = self.place.open_mover()?;
        Ok(())
    }
}

/// Connections that read at the same time; none: in memory, where everyone uses the one that writes.
struct Readers {
    connections: Vec<Mutex<Connection>>,
    turn: AtomicUsize,
}

impl Readers {
    fn of(connections: Vec<Connection>) -> Self {
        Self { connections: connections.into_iter().map(Mutex::new).collect(), turn: AtomicUsize::new(0) }
    }

    /// A connection that nobody uses; where all are in use, one after the other is waited for.
    fn one(&self) -> Option<MutexGuard<'_, Connection>> {
        let free = self.connections.iter().find_map(|connection| match connection.try_lock() {
            Ok(free) => Some(free),
            Err(TryLockError::Poisoned(free)) => Some(free.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        });
        free.or_else(|| {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            let in_turn = turn.checked_rem(self.connections.len())?;
            self.connections.get(in_turn).map(lock)
        })
    }
}

/// A reading transaction, by statements that are planned once.
struct Snapshot<'a>(&'a Connection);

impl<'a> Snapshot<'a> {
    fn begin(connection: &'a Connection) -> rusqlite::Result<Self> {
        connection.prepare_cached("BEGIN DEFERRED")?.execute([])?;
        Ok(Self(connection))
    }
}

impl Drop for Snapshot<'_> {
    fn drop(&mut self) {
        let over = self.0.prepare_cached("ROLLBACK").and_then(|mut rollback| rollback.execute([]));
        // SQLite may have rolled back by itself, after an error.
        if let Err(error) = over
            && !self.0.is_autocommit()
        {
            tracing::warn!(%error, "a reading transaction could not be ended");
        }
    }
}

/// A panic of a reader's closure leaves no transaction open: its guard rolls back.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Projection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Projection({} at {:?})", self.shared.name, self.applied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Item;
    use event_log::memory::MemoryLog;
    use event_log::{Envelope, Expected, Revision, StreamName, Writer};
    use rusqlite::Transaction;
    use std::sync::mpsc;

    struct Blobs;

    impl ReadModel for Blobs {
        fn name(&self) -> &'static str {
            "blobs"
        }

        fn schema(&self) -> &'static str {
            "CREATE TABLE blob (bytes BLOB NOT NULL) STRICT"
        }

        fn code_revision(&self) -> u32 {
            1
        }

        fn apply(&mut self, tx: &Transaction<'_>, _: &Item) -> rusqlite::Result<()> {
            tx.execute("INSERT INTO blob VALUES (zeroblob(65536))", []).map(|_| ())
        }
    }

    fn projection(folder: &Path) -> Projection {
        let log = Arc::new(MemoryLog::with_id(uuid::Uuid::from_u128(1)));
        Projection::open(Some(folder), Blobs, log).unwrap().0
    }

    /// How large the files are whose names end so.
    fn bytes_of(end: &str, folder: &Path) -> u64 {
        let files = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
        let files = files.filter(|file| file.file_name().to_string_lossy().ends_with(end));
        files.map(|file| file.metadata().unwrap().len()).sum()
    }

    #[tokio::test]
    async fn a_wal_stays_short_while_events_are_applied() {
        let folder = tempfile::tempdir().unwrap();
        let log = Arc::new(MemoryLog::with_id(uuid::Uuid::from_u128(1)));
        let (projection, follower) = Projection::open(Some(folder.path()), Blobs, log.clone()).unwrap();
        let stream: StreamName = "junk-1".parse().unwrap();
        let applied = async {
            projection.caught_up().await;
            let mut longest = 0;
            for number in 0..400 {
                let expected = Expected::after(u64::checked_sub(number, 1).map(Revision));
                let envelope = Envelope {
                    event_id: uuid::Uuid::from_u128(u128::from(number)),
                    writer: Writer::new("nobody").unwrap(),
                    body: vec![0].into(),
                };
                let appended = log.append(&stream, expected, envelope).await.unwrap();
                projection.wait_for(appended.position).await;
                longest = longest.max(bytes_of("-wal", folder.path()));
            }
            longest
        };
        let longest = tokio::select! {
            () = follower.run(std::future::pending()) => panic!("it stopped"),
            longest = applied => longest,
        };
        assert!(longest < 10 << 20, "{longest} bytes");
        assert!(bytes_of(".db", folder.path()) > 15 << 20);
    }

    #[test]
    fn a_wal_that_grew_too_long_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let projection = projection(folder.path());
        for _ in 0..300 {
            let written = projection
                .shared
                .with_writer(|connection| connection.execute("INSERT INTO blob VALUES (zeroblob(8192))", []));
            assert_eq!(written, Ok(1));
        }
        let wal_bytes = || bytes_of("-wal", folder.path());
        assert!(wal_bytes() > 1 << 20);
        let file_bytes = || bytes_of(".db", folder.path());
        assert!(file_bytes() < 1 << 20);
        projection.shared.move_wal().unwrap();
        assert!(file_bytes() > 1 << 20);
        assert_eq!(wal_bytes(), 0);
        let count =
            |db: &Connection| db.query_row("SELECT count(*) FROM blob", [], |row| row.get::<_, i64>(0));
        assert_eq!(projection.read(count).unwrap(), 300);
    }

    /// Where there are two processors.
    #[test]
    fn one_read_does_not_wait_for_another() {
        let folder = tempfile::tempdir().unwrap();
        let projection = projection(folder.path());
        if projection.shared.readers.read().unwrap().connections.len() < 2 {
            return;
        }
        let (tell, told) = mpsc::channel();
        let other = projection.clone();
        let heard = projection.read(|_| {
            let reading = std::thread::spawn(move || other.read(|_| Ok(tell.send(()))));
            let heard = told.recv_timeout(Duration::from_secs(20));
            Ok((heard, reading))
        });
        let (heard, reading) = heard.unwrap();
        assert_eq!(heard, Ok(()));
        reading.join().unwrap().unwrap().unwrap();
    }
}

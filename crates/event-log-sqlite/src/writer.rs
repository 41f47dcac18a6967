//! The one writer: a thread that commits the appends waiting for it together.
//!
//! INVARIANT: nobody is answered before the commit; after a failed one, `Unavailable` is said only of what is certainly not in
//! the log, now and after a crash, and `Unknown` of the rest.
//!
//! An append is one statement, and a statement that fails undoes itself: so of a group some can conflict while others are
//! written, without savepoints.

use crate::lock::WriterLock;
use crate::row::integer;
use crate::store;
use event_log::{AppendError, Appended, Envelope, Expected, LogError, Position, Revision, StreamName};
use rusqlite::{Connection, ErrorCode, OptionalExtension};
use std::collections::BTreeSet;
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

/// Appends that may wait for the writer before callers wait to hand theirs over.
const WAITING_MAX: usize = 4096;

/// Appends in one transaction: enough that the sync costs each of them little, few enough that the first does not wait long.
const GROUP_MAX: usize = 1024;

/// Bytes of bodies in one transaction, for the same reason.
const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;

type Answer = Result<Appended, AppendError>;

/// One append on its way to the writer.
pub(crate) struct Append {
    pub(crate) stream: StreamName,
    pub(crate) expected: Expected,
    pub(crate) envelope: Envelope,
    pub(crate) answer: oneshot::Sender<Answer>,
}

enum Command {
    Append(Append),
    /// Finish what was handed over, close the file, give the lock back, then say so.
    Close(oneshot::Sender<()>),
}

/// The callers' end. Dropping it ends the thread, and waits for that: so the lock is free afterwards.
pub(crate) struct WriterHandle {
    commands: Option<mpsc::Sender<Command>>,
    thread: Option<JoinHandle<()>>,
}

/// Everything that the thread owns.
struct Writer {
    connection: Connection,
    commands: mpsc::Receiver<Command>,
    /// The position of the last event that is committed; readers of the handle follow it.
    head: watch::Sender<Position>,
    /// Events of a failed commit whose traces might come back after a crash, until [`Writer::settle`] has succeeded.
    in_doubt: BTreeSet<Named>,
}

/// What names an event: its stream, and its id in it.
type Named = (StreamName, Uuid);

/// Why a group was not committed.
enum Failure {
    /// It failed before its commit was tried, or in a way that left no commit behind.
    NotWritten(String),
    /// The commit failed: the file may hold it all the same.
    InDoubt(String),
}

impl WriterHandle {
    /// Starts the thread.
    pub(crate) fn start(
        connection: Connection,
        lock: WriterLock,
        head: Position,
    ) -> Result<(Self, watch::Receiver<Position>), LogError> {
        let (commands, waiting) = mpsc::channel(WAITING_MAX);
        let (head, heads) = watch::channel(head);
        let mut writer = Writer { connection, commands: waiting, head, in_doubt: BTreeSet::new() };
        let thread = std::thread::Builder::new()
            .name("log-writer".into())
            .spawn(move || {
                let closed = writer.run();
                writer.close();
                drop(lock);
                if let Some(closed) = closed {
                    // Whoever asked may have gone.
                    let _ = closed.send(());
                }
            })
            .map_err(|error| LogError::Unavailable(format!("the writer's thread: {error}")))?;
        let handle = Self { commands: Some(commands), thread: Some(thread) };
        Ok((handle, heads))
    }

    /// Hands an append over and waits for its commit.
    pub(crate) async fn append(&self, stream: StreamName, expected: Expected, envelope: Envelope) -> Answer {
        let (answer, answered) = oneshot::channel();
        let append = Command::Append(Append { stream, expected, envelope, answer });
        let closed = || AppendError::Unavailable("the log is closed".into());
        let commands = self.commands.as_ref().ok_or_else(closed)?;
        commands.send(append).await.map_err(|_| closed())?;
        answered.await.unwrap_or_else(|_| Err(AppendError::Unknown("the writer went away".into())))
    }

    /// Ends the writer when it has answered everything before. Later appends find the log closed.
    pub(crate) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if let Some(commands) = &self.commands
            && commands.send(Command::Close(done)).await.is_ok()
        {
            // An error means that it has ended already.
            drop(closed.await);
        }
    }
}

impl Drop for WriterHandle {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the log's writer has panicked");
        }
    }
}

impl Writer {
    /// Commits group after group until told to close, or nobody is left who could append.
    fn run(&mut self) -> Option<oneshot::Sender<()>> {
        let mut group = Vec::with_capacity(GROUP_MAX);
        while let Some(first) = self.commands.blocking_recv() {
            let closing = self.gather(first, &mut group);
            if !group.is_empty() {
                self.commit_and_answer(&mut group);
            }
            if closing.is_some() {
                self.refuse_waiting();
                return closing;
            }
        }
        None
    }

    /// What came after the order to close was not written, and hears so.
    fn refuse_waiting(&mut self) {
        self.commands.close();
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Append(append) => {
                    let closed = AppendError::Unavailable("the log is closed".into());
                    drop(append.answer.send(Err(closed)));
                }
                Command::Close(done) => {
                    let _ = done.send(());
                }
            }
        }
    }

    /// Adds to the group what is waiting already; nothing is waited for.
    fn gather(&mut self, first: Command, group: &mut Vec<Append>) -> Option<oneshot::Sender<()>> {
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(command) = next {
            match command {
                Command::Append(append) => {
                    bytes += append.envelope.body.len();
                    group.push(append);
                }
                Command::Close(done) => return Some(done),
            }
            if group.len() >= GROUP_MAX || bytes >= GROUP_BYTES_MAX {
                break;
            }
            next = self.commands.try_recv().ok();
        }
        None
    }

    fn commit_and_answer(&mut self, group: &mut Vec<Append>) {
        let answers = if self.in_doubt.is_empty() {
            self.commit(group)
        } else {
            // Before anything new is written, what a failed commit may have left must be out of the way.
            self.settle().map_err(Failure::NotWritten).and_then(|_| self.commit(group))
        };
        let failure = match answers {
            Ok((head, answers)) => {
                // The head first: who is answered must find the event.
                self.head.send_replace(head);
                for (append, answer) in group.drain(..).zip(answers) {
                    // A caller that went away does not undo its append.
                    drop(append.answer.send(answer));
                }
                return;
            }
            Err(failure) => failure,
        };
        let (reason, unknown) = self.clear_up(failure, group);
        tracing::error!(appends = group.len(), unknown = unknown.len(), %reason, "the log could not be written");
        for append in group.drain(..) {
            let answer = if unknown.contains(&named(&append)) {
                AppendError::Unknown(reason.clone())
            } else {
                AppendError::Unavailable(reason.clone())
            };
            drop(append.answer.send(Err(answer)));
        }
    }

    /// One transaction with one sync. The answers are true once this has returned.
    fn commit(&mut self, group: &[Append]) -> Result<(Position, Vec<Answer>), Failure> {
        let not_written = |error: rusqlite::Error| Failure::NotWritten(error.to_string());
        self.roll_back();
        execute(&self.connection, "BEGIN IMMEDIATE").map_err(not_written)?;
        let mut head = *self.head.borrow();
        let mut answers = Vec::with_capacity(group.len());
        for append in group {
            answers.push(append_one(&self.connection, append, &mut head).map_err(not_written)?);
        }
        match execute(&self.connection, "COMMIT") {
            Ok(()) => Ok((head, answers)),
            // The disk was full: the frame that marks the commit, the last to be written, is not in the WAL.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => Err(not_written(error)),
            Err(error) => Err(Failure::InDoubt(error.to_string())),
        }
    }

    /// After a failure: nothing of the group stays in the connection, and what can be known of the file is found out.
    /// Returns the reason, and the events that nothing definite can be said of.
    fn clear_up(&mut self, failure: Failure, group: &[Append]) -> (String, BTreeSet<Named>) {
        self.roll_back();
        let reason = match failure {
            Failure::NotWritten(reason) => reason,
            Failure::InDoubt(reason) => {
                self.in_doubt.extend(group.iter().map(named));
                match self.settle() {
                    Ok(revived) => return (reason, revived),
                    Err(also) => format!("{reason}; and then: {also}"),
                }
            }
        };
        (reason, self.in_doubt.clone())
    }

    /// Makes sure of what a failed commit has left. Its frames may be in the WAL, where a crash would find and revive them; a
    /// commit that succeeds takes their place, or follows them, for good. Then the tables tell: returns the events in doubt
    /// that are written, and nothing is in doubt any more.
    fn settle(&mut self) -> Result<BTreeSet<Named>, String> {
        self.roll_back();
        let text = |error: rusqlite::Error| error.to_string();
        execute(&self.connection, "UPDATE meta SET settled = settled + 1").map_err(text)?;
        let head = store::head(&self.connection).map_err(|error| error.to_string())?;
        let mut written = BTreeSet::new();
        for (stream, id) in &self.in_doubt {
            if find(&self.connection, stream, *id).map_err(text)?.is_some() {
                written.insert((stream.clone(), *id));
            }
        }
        tracing::warn!(in_doubt = self.in_doubt.len(), written = written.len(), "a failed commit is settled");
        self.in_doubt.clear();
        self.head.send_replace(head);
        Ok(written)
    }

    fn roll_back(&self) {
        if !self.connection.is_autocommit()
            && let Err(error) = execute(&self.connection, "ROLLBACK")
        {
            tracing::error!(%error, "the log's transaction could not be rolled back");
        }
    }

    /// Leaves one tidy file behind if it can; the next to open it would do the rest.
    fn close(self) {
        let truncated =
            self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
        if let Err(error) = truncated {
            tracing::warn!(%error, "the log's WAL could not be moved into its file; it will be when it is opened");
        }
    }
}

fn named(append: &Append) -> Named {
    (append.stream.clone(), append.envelope.event_id)
}

/// Decides and writes one append inside the transaction; `head` moves on with it.
fn append_one(connection: &Connection, append: &Append, head: &mut Position) -> rusqlite::Result<Answer> {
    let actual = last_revision(connection, &append.stream)?;
    let is_expected = Expected::after(actual) == append.expected;
    if is_expected {
        let place = Appended {
            revision: append.expected.revision_of_next(),
            position: Position(head.0 + 1),
            repeated: false,
        };
        match insert(connection, append, place) {
            Ok(()) => {
                *head = place.position;
                return Ok(Ok(place));
            }
            // The id is there already, see below.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(match find(connection, &append.stream, append.envelope.event_id)? {
        Some(known) if known.body == append.envelope.body => Ok(known.place),
        Some(_) => Err(AppendError::IdTaken),
        // A file of format 1, where another stream has it.
        None if is_expected => Err(AppendError::IdTaken),
        None => Err(AppendError::Conflict { actual }),
    })
}

fn insert(connection: &Connection, append: &Append, place: Appended) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO events (position, stream, revision, event_id, writer, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute((
            integer(place.position.0),
            append.stream.as_str(),
            integer(place.revision.0),
            append.envelope.event_id.as_bytes().as_slice(),
            append.envelope.writer.as_str(),
            append.envelope.body.as_ref(),
        ))
        .map(drop)
}

fn last_revision(connection: &Connection, stream: &StreamName) -> rusqlite::Result<Option<Revision>> {
    connection
        .prepare_cached("SELECT revision FROM events WHERE stream = ?1 ORDER BY revision DESC LIMIT 1")?
        .query_row([stream.as_str()], |row| row.get::<_, i64>(0))
        .optional()
        .map(|last| last.map(|revision| Revision(revision.unsigned_abs())))
}

/// An event that is in the log, as far as a repeat has to be compared with it.
struct Known {
    body: Vec<u8>,
    place: Appended,
}

fn find(connection: &Connection, stream: &StreamName, event_id: Uuid) -> rusqlite::Result<Option<Known>> {
    connection
        .prepare_cached("SELECT revision, position, body FROM events WHERE stream = ?1 AND event_id = ?2")?
        .query_row((stream.as_str(), event_id.as_bytes().as_slice()), |row| {
            Ok(Known {
                place: Appended {
                    revision: Revision(row.get::<_, i64>(0)?.unsigned_abs()),
                    position: Position(row.get::<_, i64>(1)?.unsigned_abs()),
                    repeated: true,
                },
                body: row.get(2)?,
            })
        })
        .optional()
}

fn execute(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A writer of which the next so many commits fail.
    fn writer_with_failing_commits(directory: &tempfile::TempDir) -> (WriterHandle, Arc<AtomicU32>) {
        let path = directory.path().join("events.log");
        let lock = WriterLock::take(&path).unwrap();
        let (mut connection, found) = store::open_writer(&path, Uuid::from_u128(1), None).unwrap();
        let failing = Arc::new(AtomicU32::new(0));
        let left = Arc::clone(&failing);
        let fail = move || {
            let one_less = |left: u32| left.checked_sub(1);
            left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
        };
        connection.commit_hook(Some(fail)).unwrap();
        let (writer, _) = WriterHandle::start(connection, lock, found.head).unwrap();
        (writer, failing)
    }

    async fn append(writer: &WriterHandle, number: u128) -> Answer {
        let envelope = Envelope {
            event_id: Uuid::from_u128(number),
            writer: event_log::Writer::new("request").unwrap(),
            body: number.to_be_bytes().to_vec().into(),
        };
        let stream = format!("thing-{number}").parse().unwrap();
        writer.append(stream, Expected::NoStream, envelope).await
    }

    #[tokio::test]
    async fn a_failed_commit_that_can_be_settled_is_definite() {
        let directory = tempfile::tempdir().unwrap();
        let (writer, failing) = writer_with_failing_commits(&directory);
        failing.store(1, Ordering::Relaxed);
        assert!(matches!(append(&writer, 1).await, Err(AppendError::Unavailable(_))));
        let place = append(&writer, 2).await.unwrap();
        assert_eq!((place.position, place.repeated), (Position(1), false));
        let place = append(&writer, 1).await.unwrap();
        assert_eq!((place.position, place.repeated), (Position(2), false));
    }

    #[tokio::test]
    async fn a_failed_commit_stays_in_doubt_until_a_commit_succeeds() {
        let directory = tempfile::tempdir().unwrap();
        let (writer, failing) = writer_with_failing_commits(&directory);
        failing.store(1_000, Ordering::Relaxed);
        for _ in 0..3 {
            assert!(matches!(append(&writer, 1).await, Err(AppendError::Unknown(_))));
            // Of this one it is certain: its commit was never tried.
            assert!(matches!(append(&writer, 2).await, Err(AppendError::Unavailable(_))));
        }
        failing.store(0, Ordering::Relaxed);
        for number in [1, 2] {
            assert!(append(&writer, number).await.is_ok_and(|place| !place.repeated));
            assert!(append(&writer, number).await.is_ok_and(|place| place.repeated));
        }
    }
}

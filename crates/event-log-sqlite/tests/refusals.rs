//! What an SQLite log refuses to be opened on, and what it is while another process has it.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use event_log::{
    AppendError, Envelope, EventLog, Expected, LogError, Position, Revision, StreamName, Writer,
};
use event_log_sqlite::{OpenOptions, SqliteLog};
use futures::{StreamExt, TryStreamExt};
use std::path::{Path, PathBuf};
use uuid::Uuid;

fn open(path: &Path) -> Result<SqliteLog, LogError> {
    SqliteLog::open(path, &OpenOptions::new(Uuid::from_u128(7)))
}

async fn append(log: &SqliteLog, number: u64) -> Result<Position, AppendError> {
    let envelope = Envelope {
        event_id: Uuid::from_u128(u128::from(number) + 1),
        writer: Writer::new("request").unwrap(),
        body: format!("event {number}").into(),
    };
    let expected = Expected::after(number.checked_sub(1).map(Revision));
    let place = log.append(&"thing-1".parse().unwrap(), expected, envelope).await?;
    Ok(place.position)
}

/// A closed log of five events, changed behind its back.
async fn changed_by(directory: &tempfile::TempDir, sql: &str) -> PathBuf {
    let path = directory.path().join("events.log");
    let log = open(&path).unwrap();
    for number in 0..5 {
        append(&log, number).await.unwrap();
    }
    drop(log);
    rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    path
}

fn assert_unsafe(path: &Path, because: &str) {
    let refused = open(path).expect_err("refused");
    assert!(matches!(&refused, LogError::Unsafe(reason) if reason.contains(because)), "{refused}");
}

fn assert_corrupt(path: &Path, because: &str) {
    let refused = open(path).expect_err("refused");
    assert!(matches!(&refused, LogError::Corrupt(reason) if reason.contains(because)), "{refused}");
}

#[tokio::test]
async fn a_second_writer_is_refused_until_the_first_has_closed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.log");
    let first = open(&path).unwrap();
    assert_unsafe(&path, "another writer");
    append(&first, 0).await.unwrap();
    first.close().await;
    assert!(matches!(append(&first, 1).await, Err(AppendError::Unavailable(_))));
    let second = open(&path).unwrap();
    append(&second, 1).await.unwrap();
    drop(second);
    assert_eq!(open(&path).unwrap().head().await, Ok(Position(2)));
}

#[tokio::test]
async fn a_log_of_another_format_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = changed_by(&directory, "UPDATE meta SET format = 3").await;
    assert_unsafe(&path, "format 3");
    assert!(matches!(SqliteLog::open_read_only(&path), Err(LogError::Unsafe(_))));
}

#[tokio::test]
async fn a_file_of_format_1_works_and_takes_an_id_once_in_all_streams() {
    const FORMAT_1: &str = "
        ALTER TABLE events RENAME TO newer;
        CREATE TABLE events (
            position INTEGER PRIMARY KEY,
            stream TEXT NOT NULL,
            revision INTEGER NOT NULL,
            event_id BLOB NOT NULL UNIQUE,
            writer TEXT NOT NULL,
            body BLOB NOT NULL,
            UNIQUE (stream, revision)
        ) STRICT;
        INSERT INTO events SELECT position, stream, revision, event_id, writer, body FROM newer;
        DROP TABLE newer;
        UPDATE meta SET format = 1;
    ";
    let directory = tempfile::tempdir().unwrap();
    let path = changed_by(&directory, FORMAT_1).await;
    let log = open(&path).unwrap();
    assert_eq!(append(&log, 3).await, Ok(Position(4)), "a repeat");
    assert_eq!(append(&log, 5).await, Ok(Position(6)));
    let elsewhere = "thing-2".parse().unwrap();
    for (id, answer) in [(1, Err(AppendError::IdTaken)), (99, Ok(Position(7)))] {
        let envelope = Envelope {
            event_id: Uuid::from_u128(id),
            writer: Writer::new("request").unwrap(),
            body: "elsewhere".into(),
        };
        let appended = log.append(&elsewhere, Expected::NoStream, envelope).await;
        assert_eq!(appended.map(|place| place.position), answer, "{id}");
    }
    drop(log);
    let events: Vec<_> =
        SqliteLog::open_read_only(&path).unwrap().read_all(Position::START).try_collect().await.unwrap();
    assert_eq!(events.len(), 7);
}

#[test]
fn a_file_that_is_no_log_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    for (name, sql) in [("tables.db", "CREATE TABLE events (x)"), ("other.db", "PRAGMA application_id = 42")]
    {
        let path = directory.path().join(name);
        rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        let before = std::fs::read(&path).unwrap();
        assert_unsafe(&path, "not a log");
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
    let text = directory.path().join("notes.txt");
    std::fs::write(&text, "no database at all, but long enough to look into ".repeat(100)).unwrap();
    assert_corrupt(&text, "not a database");
    assert!(matches!(open(directory.path()), Err(LogError::Unavailable(_))));
    assert!(matches!(open(&directory.path().join("no/such/place")), Err(LogError::Unavailable(_))));
}

#[tokio::test]
async fn a_log_that_lost_events_is_refused() {
    for (sql, because) in [
        ("DELETE FROM events WHERE position = 4", "event 4 is missing"),
        ("DELETE FROM events WHERE position = 1", "event 1 is missing"),
        ("UPDATE events SET stream = 'no stream' WHERE position = 5", "a stored event"),
        ("UPDATE events SET event_id = x'00' WHERE position = 5", "a stored event"),
        ("DELETE FROM meta", "identity"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = changed_by(&directory, sql).await;
        assert_corrupt(&path, because);
    }
}

#[tokio::test]
async fn a_read_only_log_follows_another_writer_and_takes_no_appends() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.log");
    assert!(matches!(SqliteLog::open_read_only(&path), Err(LogError::Unavailable(_))));
    let writer = open(&path).unwrap();
    append(&writer, 0).await.unwrap();

    let reader = SqliteLog::open_read_only(&path).unwrap();
    assert_eq!(reader.id().await, writer.id().await);
    assert!(matches!(append(&reader, 1).await, Err(AppendError::Unavailable(_))));
    let mut seen = reader.subscribe(Position::START);
    for number in 1..5 {
        let event = seen.next().await.unwrap().unwrap();
        assert_eq!(event.revision, Revision(number - 1));
        let position = append(&writer, number).await.unwrap();
        assert_eq!(reader.head().await, Ok(position));
    }
    drop(writer);
    let all: Vec<_> = reader.read_all(Position::START).try_collect().await.unwrap();
    assert_eq!(all.len(), 5);
}

#[tokio::test]
async fn closing_answers_every_append_one_way_or_the_other() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.log");
    let log = open(&path).unwrap();
    let streams = (0..100_u128).map(|number| {
        let envelope = Envelope {
            event_id: Uuid::from_u128(number + 1),
            writer: Writer::new("request").unwrap(),
            body: "x".into(),
        };
        let stream: StreamName = format!("thing-{number}").parse().unwrap();
        let log = &log;
        async move { log.append(&stream, Expected::NoStream, envelope).await }
    });
    let (before, ((), ()), after) = futures::join!(
        futures::future::join_all(streams.clone().take(50)),
        futures::future::join(log.close(), log.close()),
        futures::future::join_all(streams.skip(50)),
    );
    assert!(before.iter().all(Result::is_ok), "handed over before: written");
    let refused = |answer: &Result<_, _>| matches!(answer, Err(AppendError::Unavailable(_)));
    assert!(after.iter().all(refused), "handed over afterwards: refused");
    assert_eq!(open(&path).unwrap().head().await, Ok(Position(50)));
}

#[tokio::test]
async fn a_subscription_ends_with_an_error_when_the_log_is_closed() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(&directory.path().join("events.log")).unwrap();
    append(&log, 0).await.unwrap();
    let mut subscription = log.subscribe(Position::START);
    assert!(subscription.next().await.unwrap().is_ok());
    log.close().await;
    assert!(matches!(subscription.next().await, Some(Err(LogError::Unavailable(_)))));
    assert!(subscription.next().await.is_none());
}

//! A full disk: appends say that they were not written, reads go on, and nothing acknowledged is lost.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![expect(clippy::disallowed_methods, reason = "tests spawn what they talk to")]

use event_log::{
    AppendError, Appended, Envelope, EventLog, Expected, Position, Revision, StreamName, Writer,
};
use event_log_sqlite::{OpenOptions, SqliteLog};
use futures::TryStreamExt;
use std::sync::Arc;
use uuid::Uuid;

/// Room for the tables and some hundred events.
const BYTES_MAX: u64 = 1024 * 1024;

fn stream(number: u64) -> StreamName {
    StreamName::new("full", &number.to_string()).unwrap()
}

fn event(task: u64, number: u64) -> Envelope {
    Envelope {
        event_id: Uuid::from_u64_pair(task + 1, number),
        writer: Writer::new("request").unwrap(),
        body: number.to_be_bytes().repeat(256).into(),
    }
}

/// Appends until the log says no; returns what was acknowledged, and the event that was refused.
async fn fill(log: Arc<SqliteLog>, task: u64) -> (Vec<(Appended, Envelope)>, Envelope) {
    let mut acknowledged = Vec::new();
    for number in 0..100_000_u64 {
        let expected = Expected::after(number.checked_sub(1).map(Revision));
        match log.append(&stream(task), expected, event(task, number)).await {
            Ok(place) => acknowledged.push((place, event(task, number))),
            Err(AppendError::Unavailable(_)) => return (acknowledged, event(task, number)),
            Err(other) => panic!("a full disk is definite: {other}"),
        }
    }
    panic!("the disk was never full");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_unavailable_and_loses_nothing_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.log");
    let small = OpenOptions { bytes_max: Some(BYTES_MAX), ..OpenOptions::new(Uuid::from_u128(1)) };
    let log = Arc::new(SqliteLog::open(&path, &small).unwrap());
    let tasks: Vec<_> = (0..4).map(|task| tokio::spawn(fill(Arc::clone(&log), task))).collect();
    let (mut acknowledged, mut refused) = (Vec::new(), Vec::new());
    for task in tasks {
        let (written, last) = task.await.unwrap();
        refused.push((Revision(written.len() as u64), last));
        acknowledged.extend(written);
    }
    acknowledged.sort_by_key(|(place, _)| place.position);
    assert!(acknowledged.len() > 100);

    // Full, and still readable; a repeat of what is there is still answered.
    let stored: Vec<_> = log.read_all(Position::START).try_collect().await.unwrap();
    assert_eq!(stored.len(), acknowledged.len(), "what was refused left no trace");
    for (event, (place, envelope)) in stored.iter().zip(&acknowledged) {
        assert_eq!((event.position, event.revision), (place.position, place.revision));
        assert!(event.envelope == *envelope);
    }
    let repeat = log.append(&stream(0), Expected::NoStream, event(0, 0)).await;
    assert!(repeat.unwrap().repeated);
    log.close().await;

    // With room again, the refused ones find their places.
    let log = SqliteLog::open(&path, &OpenOptions::new(Uuid::nil())).unwrap();
    let again: Vec<_> = log.read_all(Position::START).try_collect().await.unwrap();
    assert!(again == stored);
    for ((revision, envelope), task) in refused.into_iter().zip(0..) {
        let expected = Expected::after(revision.0.checked_sub(1).map(Revision));
        let place = log.append(&stream(task), expected, envelope).await.unwrap();
        assert_eq!((place.revision, place.repeated), (revision, false));
    }
}

//! `kill -9` in the middle of a storm of appends, again and again on one growing log: every acknowledged event is there
//! afterwards, byte for byte, in its place, and revisions and positions are dense.
//!
//! `DAYPASS_KILLS` (200) and `DAYPASS_SEED` (1) say how often and which storm.
#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(clippy::disallowed_methods, reason = "tests spawn what they talk to")]

use event_log::{
    AppendError, Envelope, EventLog, Expected, LogError, Position, Recorded, Revision, StreamName, Writer,
};
use event_log_sqlite::{OpenOptions, SqliteLog};
use futures::TryStreamExt;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use uuid::Uuid;

/// Tells this test binary that it is the child: the path of the log.
const CHILD_PATH: &str = "DAYPASS_STORM_PATH";
/// Which storm it makes; its event ids begin with it.
const CHILD_ROUND: &str = "DAYPASS_STORM_ROUND";

/// Tasks that append in the child, each to a stream of its own and to one that they share.
const TASKS: u64 = 4;
/// At most so many acknowledged appends are read before the kill.
const ACKNOWLEDGED_MAX: u64 = 150;

/// Where an event is: its stream, its revision.
type Place = (String, u64);

#[tokio::test]
async fn no_acknowledged_event_is_lost_by_kill_9() {
    let kills = from_env("DAYPASS_KILLS", 200);
    let mut random = from_env("DAYPASS_SEED", 1);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.log");
    let mut known = Known::default();
    let mut acknowledged_total = 0;
    for round in 0..kills {
        let mut child = storm(&path, round);
        let until = next(&mut random) % ACKNOWLEDGED_MAX;
        let acknowledged = kill_after(&mut child, until);
        known.catch_up(&path).await;
        for (id, place) in &acknowledged {
            assert_eq!(known.places.get(id), Some(place), "round {round}: {id} was acknowledged");
        }
        acknowledged_total += acknowledged.len() as u64;
    }
    assert!(acknowledged_total >= kills, "{acknowledged_total} is no storm");
    // What earlier rounds saw is still the same after all the others.
    let mut again = Known::default();
    again.catch_up(&path).await;
    assert!(again.places == known.places);
}

#[tokio::test]
async fn while_a_process_serves_a_log_another_may_read_it_but_not_write_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.log");
    let mut child = storm(&path, 0);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let (first, place) = lines.find_map(|line| acknowledgement(&line)).unwrap();
    let refused = SqliteLog::open(&path, &OpenOptions::new(Uuid::nil()));
    assert!(matches!(refused, Err(LogError::Unsafe(_))), "{refused:?}");
    let reader = SqliteLog::open_read_only(&path).unwrap();
    let stream: StreamName = place.0.parse().unwrap();
    let events: Vec<_> = reader.read_stream(&stream, None).try_collect().await.unwrap();
    assert!(events.iter().any(|event| event.envelope.event_id == first));
    child.kill().unwrap();
    child.wait().unwrap();
    // The lock has ended with the process, without being given back.
    SqliteLog::open(&path, &OpenOptions::new(Uuid::nil())).unwrap();
}

/// Nothing by itself: what the tests above start as a process of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_of_the_storm() {
    let Ok(path) = std::env::var(CHILD_PATH) else {
        return;
    };
    let round = from_env(CHILD_ROUND, 0);
    let log = Arc::new(SqliteLog::open(path, &OpenOptions::new(Uuid::from_u128(1))).unwrap());
    let tasks: Vec<_> =
        (0..TASKS).map(|task| tokio::spawn(append_for_ever(Arc::clone(&log), round, task))).collect();
    for task in tasks {
        task.await.unwrap();
    }
}

async fn append_for_ever(log: Arc<SqliteLog>, round: u64, task: u64) {
    let own = StreamName::new("storm", &task.to_string()).unwrap();
    let shared = StreamName::new("storm", "shared").unwrap();
    let mut last = BTreeMap::new();
    for number in 0_u64.. {
        let stream = if number % 3 == 0 { &shared } else { &own };
        let event_id = Uuid::from_u64_pair(round, task << 32 | number);
        let revision = loop {
            let expected = Expected::after(last.get(stream).copied());
            let envelope = Envelope {
                event_id,
                writer: Writer::new("request").unwrap(),
                body: body_of(event_id).into(),
            };
            match log.append(stream, expected, envelope).await {
                Ok(place) => break place.revision,
                Err(AppendError::Conflict { actual }) => last.insert(stream.clone(), actual.unwrap()),
                // The parent sees that the storm is over.
                Err(_) => return,
            };
        };
        last.insert(stream.clone(), revision);
        // One write for a line: whole, or not there. The first line may follow something of the test harness.
        let line = format!("\nack {stream} {} {event_id}\n", revision.0);
        std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
    }
}

/// Different lengths, every byte from the id.
fn body_of(id: Uuid) -> Vec<u8> {
    let (round, number) = id.as_u64_pair();
    let repeats = 1 + (round ^ number) % 40;
    id.as_bytes().repeat(usize::try_from(repeats).unwrap())
}

fn storm(path: &Path, round: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_of_the_storm", "--nocapture"])
        .env(CHILD_PATH, path)
        .env(CHILD_ROUND, round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Reads so many acknowledgements, kills, and reads what the child had still said.
fn kill_after(child: &mut Child, until: u64) -> Vec<(Uuid, Place)> {
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut acknowledged = Vec::new();
    let mut line = String::new();
    let mut is_alive = true;
    loop {
        if is_alive && acknowledged.len() as u64 >= until {
            child.kill().unwrap(); // SIGKILL
            is_alive = false;
        }
        line.clear();
        if output.read_line(&mut line).unwrap() == 0 {
            break;
        }
        if line.ends_with('\n') {
            acknowledged.extend(acknowledgement(line.trim_end()));
        }
    }
    assert!(!is_alive, "the child ended by itself");
    child.wait().unwrap();
    acknowledged
}

fn acknowledgement(line: &str) -> Option<(Uuid, Place)> {
    let mut words = line.strip_prefix("ack ")?.split(' ');
    let (stream, revision, id) = (words.next()?, words.next()?, words.next()?);
    let place = (stream.to_owned(), revision.parse().ok()?);
    Some((id.parse().ok()?, place))
}

/// Every event that was ever seen in the log.
#[derive(Default)]
struct Known {
    places: BTreeMap<Uuid, Place>,
    lengths: BTreeMap<StreamName, u64>,
    head: u64,
}

impl Known {
    /// Opens the log as after any crash, and looks at what is new.
    async fn catch_up(&mut self, path: &Path) {
        let log = SqliteLog::open(path, &OpenOptions::new(Uuid::from_u128(1))).unwrap();
        let new: Vec<Recorded> = log.read_all(Position(self.head)).try_collect().await.unwrap();
        for event in new {
            let id = event.envelope.event_id;
            self.head += 1;
            assert_eq!(event.position, Position(self.head), "positions are dense");
            let length = self.lengths.entry(event.stream.clone()).or_insert(0);
            assert_eq!(event.revision, Revision(*length), "revisions are dense in {}", event.stream);
            *length += 1;
            assert!(event.envelope.body == body_of(id), "every byte of {id}");
            let place = (event.stream.to_string(), event.revision.0);
            assert_eq!(self.places.insert(id, place), None, "{id} is there once");
        }
        log.close().await;
    }
}

fn from_env(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// A small generator; only its being the same every time matters.
fn next(random: &mut u64) -> u64 {
    *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *random >> 33
}

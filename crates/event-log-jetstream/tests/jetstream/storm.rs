//! Clients and server are killed in the middle of appends; what was acknowledged is there.

use crate::given::{all, assert_whole, config, open, server, stream};
use event_log::{AppendError, Appended, Envelope, EventLog, Expected, Recorded, Writer};
use event_log_jetstream::JetStreamLog;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use uuid::Uuid;

/// In a client's process: its number, and by the other names the server and the file for what was acknowledged to it.
const CLIENT: &str = "DAYPASS_STORM_CLIENT";
const SERVER: &str = "DAYPASS_STORM_SERVER";
const ACKS: &str = "DAYPASS_STORM_ACKS";
/// Clients alive at a time, each with a task per stream.
const CLIENTS: usize = 2;
const STREAMS: usize = 4;
/// Acknowledgements between two kills, at least.
const PROGRESS: usize = 40;

/// A client's process, killed when dropped.
struct Client(Child);

impl Client {
    fn start(number: u32, url: &str, acks: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "storm::a_client_in_the_storm", "--nocapture"])
            .env(CLIENT, number.to_string())
            .env(SERVER, url)
            .env(ACKS, acks)
            .stdout(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_clients_and_server_loses_no_acknowledged_event() {
    let kills: u32 = std::env::var("DAYPASS_KILLS").map_or(50, |kills| kills.parse().unwrap());
    let mut server = server().await;
    let folder = tempfile::tempdir().unwrap();
    let (url, acks) = (server.url(), folder.path().join("acks"));
    drop(open(&url).await);
    std::fs::File::create(&acks).unwrap();
    let mut numbers = 1..;
    let mut start = || Client::start(numbers.next().unwrap(), &url, &acks);
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| start()).collect();
    let (mut scramble, mut server_kills) = (1_u64, 0);
    for _ in 0..kills {
        progress(&acks).await;
        scramble = scramble.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Up to 16 ms: somewhere in the middle of whatever is going on.
        tokio::time::sleep(Duration::from_micros(scramble >> 50)).await;
        let victim = usize::try_from(scramble >> 32).unwrap() % (CLIENTS + 1);
        if victim < CLIENTS {
            drop(clients.swap_remove(victim));
            clients.push(start());
        } else {
            server_kills += 1;
            server.restart().await.unwrap();
        }
    }
    progress(&acks).await;
    drop(clients);
    assert!(kills < 20 || (5..kills - 5).contains(&server_kills), "a mix: {server_kills} of {kills}");
    check(&all(&open(&url).await).await, &acks);
}

/// Waits until more appends were acknowledged.
async fn progress(acks: &Path) {
    let size = || std::fs::metadata(acks).unwrap().len();
    let enough = size() + u64::try_from(PROGRESS * ack(&Uuid::nil(), &stream("s-0"), 0, 0).len()).unwrap();
    let waited = tokio::time::timeout(Duration::from_mins(1), async {
        while size() < enough {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    waited.await.expect("nobody appends any more");
}

/// Every acknowledged event is there, where it was said to be; every revision is there, once.
fn check(events: &[Recorded], acks: &Path) {
    assert_whole(events);
    let by_id: BTreeMap<_, _> = events.iter().map(|event| (event.envelope.event_id, event)).collect();
    assert_eq!(by_id.len(), events.len(), "an event is there once");
    let text = std::fs::read_to_string(acks).unwrap();
    let mut acknowledged = 0;
    for line in text.lines().filter(|line| line.ends_with('.')) {
        let id = line.split(' ').next().unwrap().parse().unwrap();
        let event = by_id.get(&id).unwrap_or_else(|| panic!("acknowledged and lost: {line}"));
        assert_eq!(line, ack(&id, &event.stream, event.revision.0, event.position.0).trim_end());
        assert_eq!(event.envelope.body, body(id));
        acknowledged += 1;
    }
    assert!(acknowledged > PROGRESS && acknowledged <= events.len());
}

/// A line that is cut short by a kill lacks its full stop.
fn ack(id: &Uuid, stream: &event_log::StreamName, revision: u64, position: u64) -> String {
    format!("{id} {stream} {revision:>8} {position:>8} .\n")
}

fn body(id: Uuid) -> bytes::Bytes {
    id.to_string().repeat(8).into()
}

/// Does nothing as a test of its own; in a client's process it appends until it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_in_the_storm() {
    let Ok(number) = std::env::var(CLIENT) else { return };
    let (number, url) = (number.parse::<u128>().unwrap(), std::env::var(SERVER).unwrap());
    let log = loop {
        // The server may be down at this moment.
        match JetStreamLog::open(config(&url)).await {
            Ok(log) => break log,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    let tasks = (0..STREAMS).map(|task| tokio::spawn(append_for_ever(log.clone(), number, task)));
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

async fn append_for_ever(log: JetStreamLog, client: u128, task: usize) {
    let mut acks = std::fs::OpenOptions::new().append(true).open(std::env::var(ACKS).unwrap()).unwrap();
    let target = stream(&format!("s-{task}"));
    let (mut expected, mut number) = (Expected::NoStream, 0_u128);
    loop {
        number += 1;
        let event_id = Uuid::from_u128((client << 64) | (u128::try_from(task).unwrap() << 56) | number);
        let envelope = Envelope { event_id, writer: Writer::new("request").unwrap(), body: body(event_id) };
        let Appended { revision, position, .. } = loop {
            match log.append(&target, expected, envelope.clone()).await {
                Ok(place) => break place,
                Err(AppendError::Conflict { actual }) => expected = Expected::after(actual),
                Err(AppendError::Unknown(_) | AppendError::Unavailable(_)) => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Err(other @ (AppendError::IdTaken | AppendError::TooLarge { .. })) => panic!("{other}"),
            }
        };
        // One call, so that lines of several clients do not mix.
        acks.write_all(ack(&event_id, &target, revision.0, position.0).as_bytes()).unwrap();
        expected = Expected::Exact(revision);
    }
}

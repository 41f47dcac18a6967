//! A log that is copied to another engine, and comes back to an empty server.

use crate::given::{ID, config, event, in_time, open};
use backup::{BackupError, Restored, Restorer};
use domain::ports::{Clock, Entropy};
use domain::{Actor, ActorKind, LogId, Person, Timestamp};
use event_log::memory::MemoryLog;
use event_log::{Envelope, EventLog, Expected, Position, Revision, StreamName};
use event_log_kurrentdb::{KurrentDbConfig, KurrentDbLog};
use futures::TryStreamExt;
use journal::Fact;
use kurrentdb_double::{Double, Fault};
use lifecycle::log::LogEvent;
use std::sync::Arc;
use uuid::Uuid;

/// The identities of the backup and of the new log.
const BACKUP: Uuid = Uuid::from_u128(0x2d);
const NEW: Uuid = Uuid::from_u128(0x3d);

struct Zeros;

impl Entropy for Zeros {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

/// It is always the same time.
struct Epoch;

impl Clock for Epoch {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

/// A log with two streams, their events in turn.
async fn with_events(server: &Double) -> KurrentDbLog {
    let log = open(server).await;
    for (number, name) in (0_u64..).zip(["request-1", "request-2", "request-1", "request-2", "request-1"]) {
        let before = (number / 2).checked_sub(1).map(Revision);
        log.append(&name.parse().unwrap(), Expected::after(before), event(number.into())).await.unwrap();
    }
    log
}

/// The new log, on a server that has nothing.
async fn new(server: &Double) -> Arc<dyn EventLog> {
    Arc::new(KurrentDbLog::open(KurrentDbConfig { new_id: NEW, ..config(server) }).await.unwrap())
}

async fn restore(
    backup: &dyn EventLog,
    target: &Arc<dyn EventLog>,
    resume: bool,
) -> Result<Restored, BackupError> {
    let person = Person::new("daypass:program", "restore").unwrap();
    let restorer = Restorer {
        actor: Actor { person, kind: ActorKind::Workload, client_id: None, auth_time: None, acr: None },
        clock: Arc::new(Epoch),
        entropy: Arc::new(Zeros),
    };
    backup::restore(backup, target, restorer, resume).await
}

/// What is the same of an event in every engine, in the log's order.
async fn events_of(log: &dyn EventLog) -> Vec<(StreamName, Revision, Envelope)> {
    let events = log.read_all(Position::START);
    events.map_ok(|event| (event.stream, event.revision, event.envelope)).try_collect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_is_copied_and_restored_to_an_empty_server_with_another_id_and_says_so() {
    in_time(async {
        let lost = Double::start().unwrap();
        let log = with_events(&lost).await;
        let backup = MemoryLog::with_id(BACKUP);
        assert_eq!(backup::copy(&log, &backup, &Zeros).await.unwrap().new, 5);
        assert_eq!(backup::copy(&log, &backup, &Zeros).await.unwrap().new, 0, "they are there");

        let server = Double::start().unwrap();
        server.append_for("orders-1", "order-placed", b"{}");
        let target = new(&server).await;
        let restored = restore(&backup, &target, false).await.unwrap();
        assert_eq!(restored.id, LogId::from_uuid(NEW));
        assert_ne!(target.id().await, log.id().await);
        let mut events = events_of(target.as_ref()).await;
        let (name, _, added) = events.pop().unwrap();
        assert_eq!(events, events_of(&log).await);
        assert_eq!(name.to_string(), "log-main");
        let said = LogEvent::Restored { backup: LogId::from_uuid(BACKUP), events: 5 };
        assert_eq!(journal::decode(&added.body).unwrap().fact, Fact::Log(said));
        // The target is what it is to whoever opens it now.
        let opened = KurrentDbLog::open_existing(config(&server)).await.unwrap();
        assert_eq!(opened.id().await, Ok(NEW));
    })
    .await;
}

/// The database that was put back from the server's own backup has its id and its events: it is no new log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_holds_events_is_no_target_of_a_restore() {
    in_time(async {
        let server = Double::start().unwrap();
        let log = with_events(&server).await;
        assert_eq!(log.id().await, Ok(ID));
        let backup = MemoryLog::with_id(BACKUP);
        backup::copy(&log, &backup, &Zeros).await.unwrap();
        let events = server.len();
        let target = new(&server).await;
        let refused = restore(&backup, &target, false).await.unwrap_err().to_string();
        assert!(refused.contains("the target has events"), "{refused}");
        assert_eq!(server.len(), events);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_whose_answer_was_lost_goes_on_when_that_is_said() {
    in_time(async {
        let lost = Double::start().unwrap();
        let log = with_events(&lost).await;
        let server = Double::start().unwrap();
        let target = new(&server).await;
        server.fail_next([Fault::AnswerLost]);
        let cut_short = restore(&log, &target, false).await.unwrap_err().to_string();
        assert!(cut_short.contains("request-1 at revision 0"), "{cut_short}");
        assert!(restore(&log, &target, false).await.is_err(), "it has events now");
        let restored = restore(&log, &target, true).await.unwrap();
        assert_eq!(restored.copied.map(|copied| (copied.all, copied.new)), Some((5, 4)));
        assert_eq!(restore(&log, &target, true).await.unwrap().copied, None, "nothing was left to do");
        assert_eq!(events_of(target.as_ref()).await.len(), 6);
    })
    .await;
}

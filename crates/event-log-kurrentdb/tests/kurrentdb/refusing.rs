//! Servers and settings that a log is not opened on.

use crate::given::{config, in_time, open};
use event_log::{EventLog, LogError};
use event_log_kurrentdb::{KurrentDbConfig, KurrentDbLog};
use kurrentdb_double::Double;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_proof_that_nodes_flush_the_operator_has_to_say_so() {
    in_time(async {
        let server = Double::start().unwrap();
        let unproved = KurrentDbConfig { operator_asserts_flush_to_disk: false, ..config(&server) };
        let refused = KurrentDbLog::open(unproved).await.err();
        assert!(
            matches!(&refused, Some(LogError::Unsafe(why)) if why.contains("flush to disk")),
            "{refused:?}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_string_that_is_none_is_not_repeated() {
    let server = Double::start().unwrap();
    let wrong = KurrentDbConfig { connection: "http://user:canary@host".into(), ..config(&server) };
    let refused = KurrentDbLog::open(wrong).await.err().unwrap();
    assert!(!refused.to_string().contains("canary"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_not_there_is_not_made_by_who_reads() {
    in_time(async {
        let server = Double::start().unwrap();
        let events = server.len();
        let refused = KurrentDbLog::open_existing(config(&server)).await.err();
        assert!(
            matches!(&refused, Some(LogError::Unavailable(why)) if why.contains("no log is there")),
            "{refused:?}"
        );
        assert_eq!(server.len(), events);
        let made = open(&server).await;
        let read = KurrentDbLog::open_existing(config(&server)).await.unwrap();
        assert_eq!(read.id().await, made.id().await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_tell_the_places_of_a_streams_events_is_refused() {
    in_time(async {
        let server = Double::start().unwrap();
        server.be_older_than_22_6();
        let refused = KurrentDbLog::open(config(&server)).await.err();
        assert!(matches!(&refused, Some(LogError::Unsafe(why)) if why.contains("22.6")), "{refused:?}");
    })
    .await;
}

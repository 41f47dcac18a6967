//! Appends where KurrentDB's own rules are weaker than the port's.

use crate::given::{event, in_time, open, put};
use event_log::{AppendError, Envelope, EventLog, Expected, Revision};
use kurrentdb_double::{Double, Fault};

/// The server would write it again: only what is next to the expected revision is a repeat to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_id_under_a_newer_revision_is_not_written_again() {
    in_time(async {
        let server = Double::start().unwrap();
        let log = open(&server).await;
        let stream = "request-1".parse().unwrap();
        let first = log.append(&stream, Expected::NoStream, event(0)).await.unwrap();
        log.append(&stream, Expected::Exact(Revision(0)), event(1)).await.unwrap();
        let events = server.len();
        let again = log.append(&stream, Expected::Exact(Revision(1)), event(0)).await.unwrap();
        assert_eq!((again.revision, again.position, again.repeated), (first.revision, first.position, true));
        assert_eq!(server.len(), events);
    })
    .await;
}

/// The server compares ids alone, and answers with success.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_body_under_the_id_of_a_first_event_is_refused() {
    in_time(async {
        let server = Double::start().unwrap();
        let log = open(&server).await;
        let stream = "request-1".parse().unwrap();
        log.append(&stream, Expected::NoStream, event(0)).await.unwrap();
        let other = Envelope { body: "another".into(), ..event(0) };
        assert_eq!(log.append(&stream, Expected::NoStream, other).await, Err(AppendError::IdTaken));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_unknown_and_a_refusal_is_not() {
    in_time(async {
        let server = Double::start().unwrap();
        let log = open(&server).await;
        let stream = "request-1".parse().unwrap();
        server.fail_next([Fault::AnswerLost]);
        let lost = log.append(&stream, Expected::NoStream, event(0)).await;
        assert!(matches!(lost, Err(AppendError::Unknown(_))), "{lost:?}");
        let retried = log.append(&stream, Expected::NoStream, event(0)).await.unwrap();
        assert_eq!((retried.revision, retried.repeated), (Revision(0), true));

        server.fail_next([Fault::Refused]);
        let next = Expected::Exact(Revision(0));
        let refused = log.append(&stream, next, event(1)).await;
        assert!(matches!(refused, Err(AppendError::Unavailable(_))), "{refused:?}");
        assert!(!log.append(&stream, next, event(1)).await.unwrap().repeated, "nothing was written");
    })
    .await;
}

/// The client would wait for it: it leaves it to the server to keep to the deadline, which such a one does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stands_still_is_not_waited_for() {
    in_time(async {
        let server = Double::start().unwrap();
        let log = open(&server).await;
        let stream = "request-1".parse().unwrap();
        server.fail_next([Fault::Frozen]);
        let lost = log.append(&stream, Expected::NoStream, event(0)).await;
        assert!(matches!(lost, Err(AppendError::Unknown(_))), "{lost:?}");
        let retried = put(&log, &stream, Expected::NoStream, event(0)).await;
        assert_eq!((retried.revision, retried.repeated), (Revision(0), true));
    })
    .await;
}

//! The whole log among the events of others.

use crate::given::{event, in_time, open, until};
use event_log::{EventLog, Expected, LogError, Position};
use futures::{StreamExt, TryStreamExt};
use kurrentdb_double::Double;

/// More of others' events than the server looks through between two checkpoints.
const OTHERS: usize = 2_500;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_others_and_of_the_system_are_passed_over() {
    in_time(async {
        let server = Double::start().unwrap();
        let log = open(&server).await;
        server.append_for("orders-1", "order-placed", b"{}");
        server.append_for("$projections-x", "$>", b"{}");
        server.append_for("daypass-identity-2", "daypass.request", b"{}");
        log.append(&"request-1".parse().unwrap(), Expected::NoStream, event(0)).await.unwrap();
        server.append_for("orders-1", "daypass.request", b"{}");
        let all: Vec<_> = log.read_all(Position::START).try_collect().await.unwrap();
        assert_eq!(all.len(), 1);
        assert_eq!(log.head().await.unwrap(), all[0].position, "the head is ours, not theirs");
        let followed: Vec<_> = log.subscribe(Position::START).take(1).try_collect().await.unwrap();
        assert_eq!(followed, all);
    })
    .await;
}

/// A subscription that breaks off behind many events of others begins where the server's checkpoint said, not at our last event.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checkpoints_advance_past_the_events_of_others() {
    in_time(async {
        let server = Double::start().unwrap();
        let log = open(&server).await;
        let ours = log.append(&"request-1".parse().unwrap(), Expected::NoStream, event(0)).await.unwrap();
        for _ in 0..OTHERS {
            server.append_for("orders-1", "order-placed", b"{}");
        }
        let mut events = log.subscribe(Position::START);
        assert_eq!(events.next().await.unwrap().unwrap().position, ours.position);
        // Nothing of ours follows: only the checkpoints tell that the others were passed.
        let second = tokio::spawn(async move { events.next().await });
        let passed =
            until(|| server.checkpoints().pop().filter(|checkpoint| *checkpoint == server.head())).await;
        assert!(server.checkpoints().len() > 2, "on the way, too");
        server.drop_subscriptions();
        let begun = until(|| server.subscribed_at().get(1).copied()).await;
        assert_eq!(begun, Some(passed));
        let next = log.append(&"request-2".parse().unwrap(), Expected::NoStream, event(1)).await.unwrap();
        assert_eq!(second.await.unwrap().unwrap().unwrap().position, next.position);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_is_none_of_ours_holds_up_its_own_stream_alone() {
    in_time(async {
        let server = Double::start().unwrap();
        let log = open(&server).await;
        server.append_for("daypass.request-poison", "somebody-else", b"x");
        server.append_for("daypass.NO NAME", "daypass.request", b"x");
        log.append(&"request-good".parse().unwrap(), Expected::NoStream, event(1)).await.unwrap();
        let all: Vec<_> = log.read_all(Position::START).try_collect().await.unwrap();
        let names: Vec<String> = all.iter().map(|event| event.stream.to_string()).collect();
        assert_eq!(
            names,
            ["request-poison".to_owned(), format!("stray-{}", all[1].position.0), "request-good".to_owned()]
        );
        let poisoned: Result<Vec<_>, LogError> =
            log.read_stream(&"request-poison".parse().unwrap(), None).try_collect().await;
        assert!(matches!(poisoned, Err(LogError::Corrupt(_))), "{poisoned:?}");
        for event in &all {
            assert_eq!(log.event_at(event.position).await.unwrap().as_ref(), Some(event));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_where_no_event_begins_is_no_place_of_this_log() {
    in_time(async {
        let server = Double::start().unwrap();
        let log = open(&server).await;
        let ours = log.append(&"request-1".parse().unwrap(), Expected::NoStream, event(0)).await.unwrap();
        let beside = Position(ours.position.0 - 1);
        assert_eq!(log.event_at(beside).await, Ok(None));
        let read: Result<Vec<_>, LogError> = log.read_all(beside).try_collect().await;
        assert!(matches!(read, Err(LogError::Corrupt(_))), "{read:?}");
        let followed = log.subscribe(beside).next().await;
        assert!(matches!(followed, Some(Err(LogError::Corrupt(_)))), "{followed:?}");
    })
    .await;
}

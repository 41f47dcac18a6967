//! Where the log ends, behind very many events of others.

use crate::given::{event, in_time, open, until};
use event_log::{EventLog, Expected, Position, Revision};
use futures::StreamExt;
use kurrentdb_double::Double;
use std::time::Duration;

/// More of others' events than the server looks through between two checkpoints.
const OTHERS: usize = 2_500;

fn write_for_others(server: &Double, count: usize) {
    for _ in 0..count {
        server.append_for("orders-1", "order-placed", b"{}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_others_are_looked_through_once_for_the_head() {
    in_time(async {
        let server = Double::start().unwrap();
        let log = open(&server).await;
        let ours = log.append(&"request-1".parse().unwrap(), Expected::NoStream, event(0)).await.unwrap();
        write_for_others(&server, OTHERS);
        assert_eq!(log.head().await, Ok(ours.position));
        assert!(server.passed_over() >= OTHERS, "who does not know has to look");
        for more in 0..3 {
            write_for_others(&server, more);
            let before = server.passed_over();
            assert_eq!(log.head().await, Ok(ours.position));
            let passed = server.passed_over() - before;
            assert!(passed <= more + 1, "{passed} passed over, for {more} that are new");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_without_events_is_looked_for_once() {
    in_time(async {
        let server = Double::start().unwrap();
        let log = open(&server).await;
        write_for_others(&server, OTHERS);
        assert_eq!(log.head().await, Ok(Position::START));
        let before = server.passed_over();
        write_for_others(&server, 1);
        assert_eq!(log.head().await, Ok(Position::START));
        assert!(server.passed_over() - before <= 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_of_another_process_are_in_the_head_at_once() {
    in_time(async {
        let server = Double::start().unwrap();
        let (log, another) = (open(&server).await, open(&server).await);
        let stream = "request-1".parse().unwrap();
        let mut last = None;
        for number in 0..4 {
            let appended = another.append(&stream, Expected::after(last), event(number)).await.unwrap();
            last = Some(appended.revision);
            if number > 1 {
                // Ours is not the last event of the server.
                write_for_others(&server, 40);
            }
            let before = server.passed_over();
            assert_eq!(log.head().await, Ok(appended.position));
            assert!(server.passed_over() - before <= 2 * 41, "forwards, and backwards");
            write_for_others(&server, 40);
            assert_eq!(log.head().await, Ok(appended.position));
        }
        assert_eq!(last, Some(Revision(3)));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_never_goes_back_and_has_what_was_acknowledged_while_others_write() {
    in_time(async {
        let server = Double::start().unwrap();
        let (log, another) = (open(&server).await, open(&server).await);
        let stream = "request-1".parse().unwrap();
        let (acknowledged, seen) = tokio::sync::watch::channel(Position::START);
        let writer = async {
            let mut last = None;
            for number in 0..20 {
                let appended = another.append(&stream, Expected::after(last), event(number)).await.unwrap();
                last = Some(appended.revision);
                acknowledged.send_replace(appended.position);
                write_for_others(&server, 7);
            }
            drop(acknowledged);
        };
        let reader = async {
            let mut before = Position::START;
            while seen.has_changed().is_ok() {
                let acknowledged = *seen.borrow();
                let head = log.head().await.unwrap();
                assert!(head >= acknowledged, "{head:?} lacks {acknowledged:?}");
                assert!(head >= before, "{head:?} is before {before:?}");
                before = head;
            }
        };
        tokio::join!(writer, reader);
        assert_eq!(log.head().await, another.head().await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_subscription_was_told_to_have_passed_the_head_does_not_look_through() {
    in_time(async {
        let server = Double::start().unwrap();
        let log = open(&server).await;
        let ours = log.append(&"request-1".parse().unwrap(), Expected::NoStream, event(0)).await.unwrap();
        write_for_others(&server, OTHERS);
        let mut events = log.subscribe(ours.position);
        let follower = tokio::spawn(async move { events.next().await });
        let passed =
            until(|| server.checkpoints().pop().filter(|checkpoint| *checkpoint == server.head())).await;
        // It has heard of the checkpoint when it begins again there.
        server.drop_subscriptions();
        assert_eq!(until(|| server.subscribed_at().get(1).copied()).await, Some(passed));
        assert_eq!(log.head().await, Ok(ours.position));
        assert!(server.passed_over() <= 1, "{} passed over", server.passed_over());
        follower.abort();
    })
    .await;
}

/// Readiness gives the log a few seconds, and then asks again: each look goes on where the one before was given up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_that_is_given_up_leaves_behind_how_far_it_came() {
    in_time(async {
        let server = Double::start().unwrap();
        let ours = {
            let before = open(&server).await;
            before.append(&"request-1".parse().unwrap(), Expected::NoStream, event(0)).await.unwrap()
        };
        write_for_others(&server, 2 * OTHERS);
        // Two seconds and a half for all of them.
        server.look_slowly(Duration::from_millis(100));
        for has_read_model in [true, false] {
            // A process that starts.
            let log = open(&server).await;
            if has_read_model {
                assert!(log.event_at(ours.position).await.unwrap().is_some());
            }
            let head = loop {
                if let Ok(head) = tokio::time::timeout(Duration::from_secs(2), log.head()).await {
                    break head;
                }
            };
            assert_eq!(head, Ok(ours.position));
        }
    })
    .await;
}

//! What outlives a client: the log's identity, its events, and events whose answer was lost.

use super::Fixture;
use super::given::{
    Log, all_after, assert_whole, event, fill, fill_together, in_time, put, stream, stream_after, try_put,
};
use crate::{AppendError, Appended, Expected, Position, Revision};
use std::sync::Arc;
use std::time::Duration;

/// A log that is opened again has its id, its events and its places, and goes on from there.
pub async fn a_reopened_log_is_the_same_log(fixture: &dyn Fixture) {
    in_time(async {
        let log = fixture.open().await;
        let target = stream("kept-1");
        fill_together(&log, &["kept-2", "kept-3"].map(stream), 1_000, 20).await;
        let places = fill(&log, &target, None, 0..20).await;
        let (id, head) = (log.id().await, log.head().await.expect("a head"));
        let events = all_after(&log, Position::START).await;
        drop(log);

        let log = fixture.reopen().await;
        assert_eq!((log.id().await, log.head().await), (id, Ok(head)));
        assert_eq!(all_after(&log, Position::START).await, events);
        for (place, number) in places.iter().zip(0..) {
            let expected = Expected::after(place.revision.0.checked_sub(1).map(Revision));
            let repeat = put(&log, &target, expected, &event(number)).await;
            assert_eq!(repeat, Appended { repeated: true, ..*place });
        }
        let stale = try_put(&log, &target, Expected::NoStream, &event(100)).await;
        let actual = Some(Revision(19));
        assert_eq!(stale, Err(AppendError::Conflict { actual }));
        let next = put(&log, &target, Expected::after(actual), &event(100)).await;
        assert_eq!(next.revision, Revision(20));
        assert!(next.position > head);
        drop(log);

        let again = all_after(&fixture.reopen().await, Position::START).await;
        assert_eq!(again.get(..events.len()), Some(events.as_slice()));
        assert_eq!(again.len(), events.len() + 1);
    })
    .await;
}

/// Where several clients may append at once: they race for revisions, and each sees at once what the other was told is
/// written. Without effect for an engine with one writer.
pub async fn several_clients_share_one_log(fixture: &dyn Fixture) {
    if !fixture.takes_several_clients() {
        return;
    }
    in_time(async {
        let clients = [fixture.open().await, fixture.reopen().await, fixture.reopen().await];
        let tasks = clients.clone().into_iter().zip(0..).map(|(log, client)| {
            tokio::spawn(async move { take_turns(&log, client * 1_000..client * 1_000 + 30).await })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.expect("a client failed");
        }
        let [first, others @ ..] = &clients;
        let all = all_after(first, Position::START).await;
        assert_eq!(all.len(), 90);
        assert_whole(&all);
        for other in others {
            assert_eq!(other.id().await, first.id().await);
            assert_eq!(all_after(other, Position::START).await, all);
        }
    })
    .await;
}

async fn take_turns(log: &Log, numbers: std::ops::Range<u64>) {
    let target = stream("shared-1");
    for number in numbers {
        loop {
            let last = stream_after(log, &target, None).await.last().map(|event| event.revision);
            match try_put(log, &target, Expected::after(last), &event(number)).await {
                Ok(_) => break,
                Err(AppendError::Conflict { actual }) => {
                    assert!(actual > last, "a conflict is with something newer: {actual:?} after {last:?}");
                }
                Err(other) => panic!("neither won nor lost: {other}"),
            }
        }
    }
}

/// Callers that go away before the answer, and append the same event again until they get one: in the end each event is
/// there once, in place.
pub async fn a_lost_answer_is_retried_into_one_event(fixture: &dyn Fixture) {
    /// Events per stream; every one is given up on after another moment.
    const EVENTS: u64 = 60;
    in_time(async {
        let log = fixture.open().await;
        let tasks = ["lost-1", "lost-2", "lost-3"].into_iter().zip(0..).map(|(name, task)| {
            let (log, target) = (Arc::clone(&log), stream(name));
            tokio::spawn(async move {
                for number in 0..EVENTS {
                    let expected = Expected::after(number.checked_sub(1).map(Revision));
                    let envelope = event(task * EVENTS + number);
                    let patience = Duration::from_micros(number * 13 % 400);
                    // Whether this one gets through is not known, and must not matter.
                    drop(
                        tokio::time::timeout(patience, log.append(&target, expected, envelope.clone())).await,
                    );
                    let place = put(&log, &target, expected, &envelope).await;
                    assert_eq!(place.revision, Revision(number));
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.expect("a caller failed");
        }
        let all = all_after(&log, Position::START).await;
        assert_eq!(all.len() as u64, 3 * EVENTS);
        assert_whole(&all);
    })
    .await;
}

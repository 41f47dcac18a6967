//! What every bus must do. `make` gives a new bus, twice: as two publishers see it. For signals: [`incoming`].
#![expect(clippy::unwrap_used, clippy::panic, reason = "a suite of tests, which other crates run")]

pub mod incoming;

use crate::{EVENTS_SUBJECT, MESSAGE_BYTES_MAX, Origin, OutgoingBus, OutgoingMessage, PublishError};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

type Bus = Arc<dyn OutgoingBus>;

/// Runs all of it.
pub async fn run(make: impl AsyncFn() -> (Bus, Bus)) {
    begins_empty(make().await).await;
    keeps_messages_in_order(make().await).await;
    refuses_what_is_not_next(make().await).await;
    one_of_two_publishers_wins(make().await).await;
    takes_more_than_a_batch(make().await).await;
    takes_an_id_twice(make().await).await;
}

/// The `number`th message of a publisher's log.
pub fn message(number: u64) -> OutgoingMessage {
    OutgoingMessage {
        subject: EVENTS_SUBJECT.replace('>', "request.requested"),
        origin: Origin {
            log_id: Uuid::from_u128(1),
            position: number,
            event_id: Uuid::from_u64_pair(2, number),
        },
        body: format!("{{\"number\":{number}}}").into(),
    }
}

fn messages(numbers: std::ops::Range<u64>) -> Vec<OutgoingMessage> {
    numbers.map(message).collect()
}

async fn last(bus: &Bus) -> u64 {
    bus.extent().await.unwrap().last
}

/// Asserts that the bus holds these messages after the sequence `after`, and nothing more.
async fn assert_holds(bus: &Bus, after: u64, numbers: std::ops::Range<u64>) {
    assert_eq!(last(bus).await, after + (numbers.end - numbers.start));
    for (number, sequence) in numbers.zip(after + 1..) {
        let (expected, found) = (message(number), bus.message(sequence).await.unwrap().unwrap());
        assert_eq!(
            (found.subject, found.origin, found.body),
            (expected.subject, Some(expected.origin), expected.body)
        );
    }
}

async fn begins_empty((bus, other): (Bus, Bus)) {
    assert_eq!((last(&bus).await, last(&other).await), (0, 0));
    assert_eq!(bus.message(0).await.unwrap_or(None), None);
    assert_eq!(bus.message(1).await.unwrap(), None);
    bus.publish(0, Vec::new()).await.unwrap();
    assert_eq!(last(&bus).await, 0);
}

async fn keeps_messages_in_order((bus, other): (Bus, Bus)) {
    bus.publish(0, messages(0..5)).await.unwrap();
    bus.publish(5, messages(5..6)).await.unwrap();
    let large = OutgoingMessage { body: vec![b'x'; MESSAGE_BYTES_MAX].into(), ..message(6) };
    other.publish(6, vec![large.clone()]).await.unwrap();
    assert_eq!(bus.message(7).await.unwrap().unwrap().body, large.body);
    other.publish(7, messages(7..8)).await.unwrap();
    assert_eq!(last(&bus).await, 8);
    assert_eq!(other.extent().await.unwrap().first, 1);
    for sequence in (1..7).chain(8..9) {
        let stored = other.message(sequence).await.unwrap().unwrap();
        assert_eq!(stored.body, message(sequence - 1).body);
    }
}

async fn refuses_what_is_not_next((bus, other): (Bus, Bus)) {
    bus.publish(0, messages(0..3)).await.unwrap();
    for after in [0, 2, 4, 100] {
        let refused = other.publish(after, messages(3..6)).await;
        assert_eq!(refused, Err(PublishError::Overtaken), "after {after}");
        assert_holds(&bus, 0, 0..3).await;
    }
    let repeated = bus.publish(0, messages(0..3)).await;
    assert_eq!(repeated, Err(PublishError::Overtaken), "the same once more");
    assert_holds(&bus, 0, 0..3).await;
}

async fn one_of_two_publishers_wins((bus, other): (Bus, Bus)) {
    const ROUNDS: u64 = 20;
    const EACH: u64 = 10;
    for round in 0..ROUNDS {
        let (after, numbers) = (last(&bus).await, round * EACH..(round + 1) * EACH);
        let (first, second) = tokio::join!(
            bus.publish(after, messages(numbers.clone())),
            other.publish(after, messages(numbers))
        );
        match (first, second) {
            (Ok(()), Err(PublishError::Overtaken)) | (Err(PublishError::Overtaken), Ok(())) => {}
            // Each was overtaken by the other: what is there is still in order.
            (Err(PublishError::Overtaken), Err(PublishError::Overtaken)) => {
                let reached = last(&bus).await;
                let rest = messages(reached..(round + 1) * EACH);
                bus.publish(reached, rest).await.unwrap();
            }
            outcome => panic!("{outcome:?} in round {round}"),
        }
    }
    assert_holds(&bus, 0, 0..ROUNDS * EACH).await;
}

async fn takes_more_than_a_batch((bus, _other): (Bus, Bus)) {
    const COUNT: u64 = 5_000;
    bus.publish(0, messages(0..COUNT)).await.unwrap();
    assert_eq!(last(&bus).await, COUNT);
    for sequence in [1, COUNT / 2, COUNT] {
        let stored = bus.message(sequence).await.unwrap().unwrap();
        assert_eq!(stored.origin, Some(message(sequence - 1).origin));
    }
}

/// Two streams of a log may have an event of the same id.
async fn takes_an_id_twice((bus, _other): (Bus, Bus)) {
    /// Longer than a bus takes a repeated id for a repeated message.
    const WITHIN: Duration = Duration::from_secs(30);
    let (first, second) = (message(0), message(1));
    let origin = Origin { event_id: first.origin.event_id, ..second.origin };
    let three = [first, OutgoingMessage { origin, ..second }, message(2)];
    let all = async {
        loop {
            let there = last(&bus).await;
            let rest = three.iter().skip(usize::try_from(there).unwrap()).cloned().collect();
            if bus.publish(there, rest).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(WITHIN, all).await.unwrap();
    assert_eq!(last(&bus).await, 3);
    for (message, sequence) in three.iter().zip(1..) {
        assert_eq!(bus.message(sequence).await.unwrap().unwrap().origin.as_ref(), Some(&message.origin));
    }
}

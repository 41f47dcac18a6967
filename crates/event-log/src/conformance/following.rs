//! Subscriptions: from catching up to live, without gap or repeat, in the one order.

use super::Fixture;
use super::given::{all_after, assert_whole, event, fill_together, follow, id, in_time, put, stream};
use crate::{Envelope, Expected, Position, Revision};
use futures::StreamExt;
use std::sync::Arc;

/// The number of the event that a case appends last.
const LAST: u64 = 1_000_000;

/// A subscription may be there before the first event.
pub async fn a_subscription_to_an_empty_log_waits_for_the_first_event(fixture: &dyn Fixture) {
    in_time(async {
        let log = fixture.open().await;
        let mut subscription = log.subscribe(Position::START);
        let early = futures::poll!(subscription.next());
        assert!(early.is_pending(), "nothing to see yet: {early:?}");
        for number in 0..3_u64 {
            let expected = Expected::after(number.checked_sub(1).map(Revision));
            let place = put(&log, &stream("first-1"), expected, &event(number)).await;
            let seen = subscription.next().await.expect("it goes on").expect("an event");
            assert_eq!((seen.position, seen.envelope), (place.position, event(number)));
        }
    })
    .await;
}

/// Several subscribers, there from the beginning while writers race: all see what `read_all` tells afterwards.
pub async fn every_subscriber_sees_the_one_order(fixture: &dyn Fixture) {
    in_time(async {
        let log = fixture.open().await;
        let subscribers = (0..4).map(|_| {
            let log = Arc::clone(&log);
            tokio::spawn(async move { follow(&log, Position::START, id(LAST)).await })
        });
        let subscribers = subscribers.collect::<Vec<_>>();
        fill_together(&log, &["order-1", "order-2", "order-3", "order-4"].map(stream), 0, 60).await;
        put(&log, &stream("last-1"), Expected::NoStream, &event(LAST)).await;
        let all = all_after(&log, Position::START).await;
        assert_eq!(all.len(), 241);
        assert_whole(&all);
        for subscriber in subscribers {
            assert_eq!(subscriber.await.expect("a subscriber failed"), all);
        }
    })
    .await;
}

/// Subscribers that begin at any place while appends race see all that follows, once.
pub async fn subscribers_go_live_without_gap_or_repeat(fixture: &dyn Fixture) {
    in_time(async {
        let log = fixture.open().await;
        fill_together(&log, &["old-1", "old-2"].map(stream), 0, 100).await;
        let old = all_after(&log, Position::START).await;
        let writers = tokio::spawn({
            let log = Arc::clone(&log);
            async move {
                fill_together(&log, &["new-1", "new-2", "new-3"].map(stream), 10_000, 100).await;
                put(&log, &stream("last-1"), Expected::NoStream, &event(LAST)).await;
            }
        });
        let mut subscribers = Vec::new();
        let olds = old.iter().step_by(33).map(|event| Some(event.position));
        // `None`: wherever the head is by now.
        for begin in olds.chain([None; 10]) {
            let after = match begin {
                Some(position) => position,
                None => log.head().await.expect("a head"),
            };
            let log = Arc::clone(&log);
            let seen = tokio::spawn(async move { follow(&log, after, id(LAST)).await });
            subscribers.push((after, seen));
            tokio::task::yield_now().await;
        }
        writers.await.expect("a writer failed");
        let all = all_after(&log, Position::START).await;
        assert_eq!(all.len(), 501);
        assert_whole(&all);
        for (after, seen) in subscribers {
            let rest: Vec<_> = all.iter().filter(|event| event.position > after).cloned().collect();
            if rest.is_empty() {
                // It began after the last event, and waits for ever.
                seen.abort();
            } else {
                assert!(seen.await.expect("a subscriber failed") == rest, "after {after:?}");
            }
        }
    })
    .await;
}

/// A subscriber that stops reading delays neither writers nor other readers, and misses nothing when it goes on; one that
/// goes away is not missed.
pub async fn a_slow_reader_holds_up_nobody(fixture: &dyn Fixture) {
    in_time(async {
        let log = fixture.open().await;
        let first = put(&log, &stream("slow-0"), Expected::NoStream, &event(LAST - 1)).await;
        let mut slow = log.subscribe(Position::START);
        let mut gone = log.subscribe(Position::START);
        for reader in [&mut slow, &mut gone] {
            let seen = reader.next().await.expect("it goes on").expect("an event");
            assert_eq!(seen.position, first.position);
        }
        let writers = ["slow-1", "slow-2", "slow-3", "slow-4"].map(|name| {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                for number in 0..300_u64 {
                    let expected = Expected::after(number.checked_sub(1).map(Revision));
                    let envelope =
                        padded(u64::from(name.as_bytes().last().copied().unwrap_or(0)) * 1_000 + number);
                    put(&log, &stream(name), expected, &envelope).await;
                }
            })
        });
        for writer in writers {
            writer.await.expect("a writer failed");
        }
        drop(gone);
        put(&log, &stream("last-1"), Expected::NoStream, &event(LAST)).await;
        let all = follow(&log, first.position, id(LAST)).await;
        assert_eq!(all.len(), 1_201);
        for event in &all {
            let seen = slow.next().await.expect("it goes on").expect("an event");
            assert!(seen == *event, "the slow reader misses nothing");
        }
    })
    .await;
}

/// An event with a body large enough that a thousand of them outgrow any engine's buffers.
fn padded(number: u64) -> Envelope {
    Envelope { body: number.to_be_bytes().repeat(512).into(), ..event(number) }
}

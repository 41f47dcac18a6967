//! Reads that end: of a stream, of the whole log, of one event.

use super::Fixture;
use super::given::{all_after, assert_whole, event, fill, fill_together, in_time, put, stream, stream_after};
use crate::{Expected, Position, Revision};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// An empty log has a head, an id, and no events; reads end at once.
pub async fn an_empty_log_reads_as_empty(fixture: &dyn Fixture) {
    in_time(async {
        let log = fixture.open().await;
        assert_eq!(log.head().await, Ok(Position::START));
        assert_eq!(log.id().await, log.id().await);
        assert!(log.id().await.is_ok());
        assert_eq!(all_after(&log, Position::START).await, []);
        assert_eq!(stream_after(&log, &stream("none-1"), None).await, []);
        assert_eq!(stream_after(&log, &stream("none-1"), Some(Revision(3))).await, []);
        for position in [0, 1, 1_000] {
            assert_eq!(log.event_at(Position(position)).await, Ok(None));
        }
    })
    .await;
}

/// Once an append is answered, every read that begins later sees it.
pub async fn an_acknowledged_event_is_seen_at_once(fixture: &dyn Fixture) {
    in_time(async {
        let log = fixture.open().await;
        let target = stream("fresh-1");
        for number in 0..100_u64 {
            let last = number.checked_sub(1).map(Revision);
            let before = log.head().await.expect("a head");
            let place = put(&log, &target, Expected::after(last), &event(number)).await;
            assert!(place.position > before);
            assert_eq!(log.head().await, Ok(place.position));
            let seen = stream_after(&log, &target, last).await;
            assert_eq!(seen.len(), 1);
            assert_eq!(all_after(&log, before).await, seen);
            assert_eq!(log.event_at(place.position).await, Ok(seen.into_iter().next()));
        }
    })
    .await;
}

/// `after` leaves out the revision itself and all before; one past the end gives nothing.
pub async fn read_stream_begins_after_a_revision(fixture: &dyn Fixture) {
    in_time(async {
        let log = fixture.open().await;
        let (target, other) = (stream("read-1"), stream("read-2"));
        for number in 0..30_u64 {
            let expected = Expected::after(number.checked_sub(1).map(Revision));
            put(&log, &target, expected, &event(number)).await;
            put(&log, &other, expected, &event(1_000 + number)).await;
        }
        let whole = stream_after(&log, &target, None).await;
        assert_whole(&whole);
        assert!(whole.iter().all(|event| event.stream == target));
        assert_eq!(whole.len(), 30);
        for after in [0, 1, 14, 28, 29, 30, 1_000, u64::MAX] {
            let rest = stream_after(&log, &target, Some(Revision(after))).await;
            let left_out = usize::try_from(after).unwrap_or(usize::MAX).saturating_add(1);
            assert_eq!(rest, whole.get(left_out..).unwrap_or_default(), "after {after}");
        }
    })
    .await;
}

/// `read_all` has everything that was acknowledged before it began, and ends although appends go on.
pub async fn read_all_covers_everything_acknowledged_and_ends(fixture: &dyn Fixture) {
    in_time(async {
        let log = fixture.open().await;
        let streams = ["cover-1", "cover-2", "cover-3"].map(stream);
        fill_together(&log, &streams, 0, 40).await;
        let stop = Arc::new(AtomicBool::new(false));
        let writer = tokio::spawn({
            let (log, stop) = (Arc::clone(&log), Arc::clone(&stop));
            async move {
                let (target, mut last, mut number) = (stream("cover-4"), None, 10_000);
                while !stop.load(Ordering::Relaxed) {
                    last = fill(&log, &target, last, number..number + 1)
                        .await
                        .first()
                        .map(|place| place.revision);
                    number += 1;
                }
                number - 10_000
            }
        });
        let mut earlier = Vec::new();
        for _ in 0..10 {
            let head = log.head().await.expect("a head");
            let now = all_after(&log, Position::START).await;
            assert_whole(&now);
            assert!(now.last().is_some_and(|event| event.position >= head));
            assert_eq!(now.get(..earlier.len()), Some(earlier.as_slice()), "what was read stays");
            earlier = now;
        }
        stop.store(true, Ordering::Relaxed);
        let written = writer.await.expect("the writer failed");
        let all = all_after(&log, Position::START).await;
        assert_eq!(all.len() as u64, 120 + written);
        for (index, event) in all.iter().enumerate().step_by(17) {
            let rest = all.get(index + 1..).unwrap_or_default();
            assert_eq!(all_after(&log, event.position).await, rest);
        }
    })
    .await;
}

/// The head is the last event's position; `event_at` finds every event, and nothing beside or beyond.
pub async fn head_and_event_at_agree_with_the_order(fixture: &dyn Fixture) {
    in_time(async {
        let log = fixture.open().await;
        fill_together(&log, &["at-1", "at-2"].map(stream), 0, 25).await;
        let all = all_after(&log, Position::START).await;
        let head = log.head().await.expect("a head");
        assert_eq!(all.last().map(|event| event.position), Some(head));
        assert_eq!(log.event_at(Position::START).await, Ok(None), "nothing is before the first event");
        // Positions may be far apart, so the ones beside each event stand for all.
        for event in &all {
            for position in event.position.0.saturating_sub(1)..=event.position.0 + 2 {
                let found = log.event_at(Position(position)).await.expect("a read");
                let here = all.iter().find(|event| event.position == Position(position));
                assert_eq!(found.as_ref(), here, "at {position}");
            }
        }
    })
    .await;
}

//! What the cases are told with: names, events, and the few ways to write and read them.

use super::CASE_SECONDS_MAX;
use crate::{
    AppendError, Appended, Envelope, EventLog, Expected, Position, Recorded, Revision, StreamName, Writer,
};
use futures::{StreamExt, TryStreamExt};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

pub(super) type Log = Arc<dyn EventLog>;

/// Answers that may be lost in a row before a case gives up on the engine.
const LOST_ANSWERS_MAX: usize = 1_000;

pub(super) fn stream(name: &str) -> StreamName {
    name.parse().expect("the suite's stream names are valid")
}

pub(super) fn writer(name: &str) -> Writer {
    Writer::new(name).expect("the suite's writer names are valid")
}

pub(super) fn id(number: u64) -> Uuid {
    // Spread over all bytes, as real ids are, and never nil.
    let spread = u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    Uuid::from_u128(spread ^ 0x6461_7970_6173_7300_0000_0000_0000_0001)
}

/// The event with this number: another number is another id and another body.
pub(super) fn event(number: u64) -> Envelope {
    Envelope {
        event_id: id(number),
        writer: writer("request"),
        body: format!("the body of event {number}").into(),
    }
}

/// Appends until the answer is definite, as every caller has to.
pub(super) async fn try_put(
    log: &Log,
    stream: &StreamName,
    expected: Expected,
    envelope: &Envelope,
) -> Result<Appended, AppendError> {
    for _ in 0..LOST_ANSWERS_MAX {
        match log.append(stream, expected, envelope.clone()).await {
            Err(AppendError::Unknown(_)) => {}
            definite => return definite,
        }
    }
    panic!("no definite answer in {LOST_ANSWERS_MAX} tries");
}

pub(super) async fn put(log: &Log, stream: &StreamName, expected: Expected, envelope: &Envelope) -> Appended {
    try_put(log, stream, expected, envelope).await.expect("the append was as expected")
}

/// Appends the events with these numbers, as a new stream or after `last`.
pub(super) async fn fill(
    log: &Log,
    stream: &StreamName,
    mut last: Option<Revision>,
    numbers: Range<u64>,
) -> Vec<Appended> {
    let mut places = Vec::new();
    for number in numbers {
        let place = put(log, stream, Expected::after(last), &event(number)).await;
        last = Some(place.revision);
        places.push(place);
    }
    places
}

/// Several streams at once, `count` events each; every stream from a task of its own. Ids begin at `first`.
pub(super) async fn fill_together(log: &Log, streams: &[StreamName], first: u64, count: u64) {
    let fills = streams.iter().zip(0..).map(|(stream, n)| {
        let (log, stream) = (Arc::clone(log), stream.clone());
        let begin = first + n * count;
        tokio::spawn(async move {
            fill(&log, &stream, None, begin..begin + count).await;
        })
    });
    for fill in fills.collect::<Vec<_>>() {
        fill.await.expect("a writer failed");
    }
}

pub(super) async fn stream_after(log: &Log, stream: &StreamName, after: Option<Revision>) -> Vec<Recorded> {
    log.read_stream(stream, after).try_collect().await.expect("the stream can be read")
}

pub(super) async fn all_after(log: &Log, after: Position) -> Vec<Recorded> {
    log.read_all(after).try_collect().await.expect("the log can be read")
}

/// What a subscriber sees after a position, up to and with the event of this id.
pub(super) async fn follow(log: &Log, after: Position, last: Uuid) -> Vec<Recorded> {
    let mut subscription = log.subscribe(after);
    let mut seen = Vec::new();
    while let Some(next) = subscription.next().await {
        let event = next.expect("the subscription goes on");
        let found = event.envelope.event_id == last;
        seen.push(event);
        if found {
            return seen;
        }
    }
    panic!("the subscription ended");
}

/// Positions grow; every stream's revisions are 0, 1, 2 …; no id comes twice. For reads of a whole log.
pub(super) fn assert_whole(events: &[Recorded]) {
    let mut lengths = std::collections::BTreeMap::new();
    let mut ids = std::collections::BTreeSet::new();
    let mut last = Position::START;
    for event in events {
        assert!(event.position > last, "positions grow: {event:?} after {last:?}");
        last = event.position;
        let length = lengths.entry(event.stream.clone()).or_insert(0);
        assert_eq!(event.revision, Revision(*length), "revisions are dense: {event:?}");
        *length += 1;
        assert!(ids.insert(event.envelope.event_id), "an id came twice: {event:?}");
    }
}

/// A case that hangs has failed.
pub(super) async fn in_time<T>(case: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(CASE_SECONDS_MAX), case).await.expect("the case hangs")
}

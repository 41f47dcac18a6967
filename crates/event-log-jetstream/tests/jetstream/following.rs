//! Readers across restarts and broken connections.

use crate::given::{after, all, assert_whole, by, event, fill, in_time, open, put, server, stream, whole};
use crate::lossy::Lossy;
use async_nats::jetstream;
use event_log::{EventLog, Expected, LogError, Position, Recorded, Revision};
use event_log_jetstream::{JetStreamLog, STREAM};
use futures::{StreamExt, TryStreamExt};
use tokio::sync::mpsc;

/// Follows the log in a task of its own.
pub(crate) fn follow(log: &JetStreamLog) -> mpsc::UnboundedReceiver<Recorded> {
    let (events, seen) = mpsc::unbounded_channel();
    let mut subscription = log.subscribe(Position::START);
    tokio::spawn(async move {
        while let Some(event) = subscription.next().await {
            if events.send(event.unwrap()).is_err() {
                return;
            }
        }
    });
    seen
}

pub(crate) async fn next(seen: &mut mpsc::UnboundedReceiver<Recorded>, count: usize) -> Vec<Recorded> {
    let mut events = Vec::new();
    while events.len() < count {
        events.push(seen.recv().await.unwrap());
    }
    events
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_goes_on_after_restarts_of_the_server_without_gap_or_repeat() {
    in_time(async {
        let mut server = server().await;
        let log = open(&server.url()).await;
        let mut seen = follow(&log);
        let mut events = Vec::new();
        for round in 0..4_u64 {
            let target = stream(&format!("round-{round}"));
            let writing = fill(&log, &target, u128::from(round) * 1_000, 60);
            let restarting = async {
                events.extend(next(&mut seen, 20).await);
                server.restart().await.unwrap();
                events.extend(next(&mut seen, 40).await);
            };
            tokio::join!(writing, restarting);
        }
        assert_whole(&events);
        assert_eq!(events, all(&log).await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_goes_on_after_broken_connections_without_gap_or_repeat() {
    in_time(async {
        let server = server().await;
        let network = Lossy::before(server.address()).await;
        let (writer, reader) = (open(&server.url()).await, open(&network.url()).await);
        let mut seen = follow(&reader);
        let mut events = Vec::new();
        for round in 0..4_u64 {
            let target = stream(&format!("round-{round}"));
            let writing = fill(&writer, &target, u128::from(round) * 1_000, 300);
            let breaking = async {
                for _ in 0..3 {
                    events.extend(next(&mut seen, 100).await);
                    network.cut();
                }
            };
            tokio::join!(writing, breaking);
        }
        assert_eq!(events.len(), 1_200);
        assert_whole(&events);
    })
    .await;
}

#[tokio::test]
async fn reads_that_end_leave_no_consumer_behind() {
    in_time(async {
        let server = server().await;
        let log = open(&server.url()).await;
        fill(&log, &stream("request-1"), 0, 30).await;
        for _ in 0..50 {
            assert_eq!(all(&log).await.len(), 30);
            assert_eq!(whole(&log, &stream("request-1")).await.len(), 30);
        }
        let jetstream = jetstream::new(async_nats::connect(server.url()).await.unwrap());
        // Deletions are not waited for by the reads.
        while jetstream.get_stream(STREAM).await.unwrap().cached_info().state.consumer_count > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_long_stream_is_read_in_batches() {
    let server = server().await;
    let (log, target) = (open(&server.url()).await, stream("policy-1"));
    let mut last = None;
    for number in 0..1_203_u128 {
        let body = vec![b'x'; if number % 100 == 0 { 300_000 } else { 10 }].into();
        let envelope = event_log::Envelope { body, ..by("approval", number) };
        last = Some(put(&log, &target, Expected::after(last), &envelope).await.unwrap().revision);
    }
    for log in [&log, &open(&server.url()).await] {
        let events = whole(log, &target).await;
        assert_eq!(events.len(), 1_203);
        assert_whole(&events);
        for after in [0, 499, 500, 501, 1_201, 1_202] {
            let rest: Vec<_> = log.read_stream(&target, Some(Revision(after))).try_collect().await.unwrap();
            assert_eq!(Some(rest.as_slice()), events.get(usize::try_from(after).unwrap() + 1..));
        }
    }
}

fn revisions(events: &[Recorded]) -> Vec<u64> {
    events.iter().map(|event| event.revision.0).collect()
}

/// For a batch the server looks through all that lies between the events of a stream, and whoever asks over the same connection waits.
#[tokio::test]
async fn a_few_events_are_read_one_by_one_from_the_last_back() {
    in_time(async {
        let server = server().await;
        let (log, fresh) = (open(&server.url()).await, open(&server.url()).await);
        read_one_by_one(&log, &fresh, server.url()).await;
    })
    .await;
}

/// The first batch that anybody asks for, where `log` is written and `fresh` is read, is of a long stream.
pub(crate) async fn read_one_by_one(log: &JetStreamLog, fresh: &JetStreamLog, url: String) {
    let (few, many) = (stream("request-1"), stream("policy-1"));
    fill(log, &few, 0, 7).await;
    fill(log, &many, 100, 30).await;
    let client = async_nats::connect(url).await.unwrap();
    let mut batches = client.subscribe("$JS.API.DIRECT.GET.>").await.unwrap();
    client.flush().await.unwrap();

    assert_eq!(revisions(&whole(fresh, &few).await), (0..7).collect::<Vec<_>>());
    for number in 7..11 {
        put(log, &few, after(number - 1), &event(200 + u128::from(number))).await.unwrap();
    }
    let rest: Vec<_> = fresh.read_stream(&few, Some(Revision(6))).try_collect().await.unwrap();
    assert_eq!(revisions(&rest), (7..11).collect::<Vec<_>>());
    assert_eq!(revisions(&whole(fresh, &many).await), (0..30).collect::<Vec<_>>());
    let asked = batches.next().await.unwrap();
    let asked = String::from_utf8_lossy(&asked.payload).into_owned();
    assert!(asked.contains("policy"), "{asked}");
}

/// Where the one before it is, is told by whoever appended it; what they tell need not be so.
#[tokio::test]
async fn an_event_that_does_not_tell_where_the_one_before_it_is_or_tells_it_wrongly_hides_none() {
    in_time(async {
        let server = server().await;
        let log = open(&server.url()).await;
        let target = stream("request-1");
        fill(&log, &stream("request-0"), 0, 1).await;
        fill(&log, &target, 10, 3).await;
        let jetstream = jetstream::new(async_nats::connect(server.url()).await.unwrap());
        for (revision, place) in [(3, None), (4, Some("0")), (5, Some("1"))] {
            let mut headers = async_nats::HeaderMap::new();
            headers.insert("Daypass-Event-Id", uuid::Uuid::from_u128(20 + revision).to_string());
            headers.insert("Daypass-Revision", revision.to_string());
            if let Some(place) = place {
                headers.insert("Nats-Expected-Last-Subject-Sequence", place);
                let there =
                    if place == "0" { "daypass.log.nobody.request.none" } else { "daypass.log.*.request.0" };
                headers.insert("Nats-Expected-Last-Subject-Sequence-Subject", there);
            }
            let subject = "daypass.log.request.request.1";
            jetstream.publish_with_headers(subject, headers, "x".into()).await.unwrap().await.unwrap();
            let events = whole(&open(&server.url()).await, &target).await;
            assert_eq!(
                revisions(&events),
                (0..=u64::try_from(revision).unwrap()).collect::<Vec<_>>(),
                "{place:?}"
            );
        }
    })
    .await;
}

/// As where the servers were given an old copy while the process ran, and others have appended since.
#[tokio::test]
async fn what_follows_on_another_event_than_was_read_is_refused() {
    in_time(Box::pin(async {
        let server = server().await;
        let log = open(&server.url()).await;
        fill(&log, &stream("request-1"), 0, 2).await;
        let jetstream = jetstream::new(async_nats::connect(server.url()).await.unwrap());
        jetstream.delete_stream(STREAM).await.unwrap();
        let fresh = open(&server.url()).await;
        fill(&fresh, &stream("request-0"), 10, 1).await;
        for count in [3_u64, 4] {
            let first = if count == 3 { 0 } else { 3 };
            for number in first..count {
                let expected = Expected::after(number.checked_sub(1).map(Revision));
                let envelope = event(20 + u128::from(number));
                put(&fresh, &stream("request-1"), expected, &envelope).await.unwrap();
            }
            let rest = log.read_stream(&stream("request-1"), Some(Revision(1))).try_collect::<Vec<_>>().await;
            assert!(
                matches!(&rest, Err(LogError::Unavailable(why)) if why.contains("lost")),
                "{count}: {rest:?}"
            );
        }
    }))
    .await;
}

#[tokio::test]
async fn a_log_that_ends_before_what_was_seen_of_it_is_refused() {
    in_time(Box::pin(async {
        let server = server().await;
        let log = open(&server.url()).await;
        fill(&log, &stream("request-1"), 0, 3).await;
        let mut subscription = log.subscribe(Position(3));
        assert!(futures::poll!(subscription.next()).is_pending());
        let jetstream = jetstream::new(async_nats::connect(server.url()).await.unwrap());
        jetstream.delete_stream(STREAM).await.unwrap();
        let fresh = open(&server.url()).await;
        put(&fresh, &stream("request-1"), Expected::NoStream, &event(9)).await.unwrap();
        let head = log.head().await;
        assert!(matches!(&head, Err(LogError::Unavailable(why)) if why.contains("lost")), "{head:?}");
        let read = log.read_stream(&stream("request-1"), None).try_collect::<Vec<_>>().await;
        assert!(matches!(&read, Err(LogError::Unavailable(why)) if why.contains("lost")), "{read:?}");
        let next = subscription.next().await;
        assert!(matches!(&next, Some(Err(LogError::Corrupt(_)))), "{next:?}");
    }))
    .await;
}

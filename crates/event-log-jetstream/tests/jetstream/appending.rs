//! Appends over a network that breaks, of several writers and several clients.

use crate::given::{
    ID, after, all, assert_whole, by, event, fill, in_time, open, put, server, stream, whole,
};
use crate::lossy::{Break, Lossy};
use async_nats::HeaderMap;
use async_nats::jetstream::Context;
use async_nats::jetstream::stream::Config;
use event_log::{AppendError, Appended, Envelope, EventLog, Expected, LogError, Position, Revision};
use event_log_jetstream::stream_config;
use std::time::Duration;

#[tokio::test]
async fn a_lost_answer_is_unknown_and_its_retry_repeats_the_first() {
    in_time(async {
        let server = server().await;
        let network = Lossy::before(server.address()).await;
        let (log, target) = (open(&network.url()).await, stream("request-1"));
        fill(&log, &target, 0, 3).await;
        for revision in 2..8 {
            network.break_next(Break::Answer);
            let envelope = event(u128::from(revision) + 1);
            let lost = log.append(&target, after(revision), envelope.clone()).await;
            assert!(matches!(lost, Err(AppendError::Unknown(_))), "{lost:?}");
            assert!(network.has_broken());
            let retry = put(&log, &target, after(revision), &envelope).await.unwrap();
            let position = Position(revision + 2);
            assert_eq!(retry, Appended { revision: Revision(revision + 1), position, repeated: true });
        }
        assert_eq!(whole(&log, &target).await.len(), 9);
    })
    .await;
}

#[tokio::test]
async fn a_lost_call_is_unknown_and_its_retry_is_the_first() {
    in_time(async {
        let server = server().await;
        let network = Lossy::before(server.address()).await;
        let (log, target) = (open(&network.url()).await, stream("request-1"));
        fill(&log, &target, 0, 3).await;
        network.break_next(Break::Call);
        let lost = log.append(&target, after(2), event(3)).await;
        assert!(matches!(lost, Err(AppendError::Unknown(_))), "{lost:?}");
        let retry = put(&log, &target, after(2), &event(3)).await.unwrap();
        assert_eq!((retry.revision, retry.repeated), (Revision(3), false));
    })
    .await;
}

#[tokio::test]
async fn a_lost_append_that_others_built_upon_is_found() {
    in_time(async {
        let server = server().await;
        let network = Lossy::before(server.address()).await;
        let (log, other, target) =
            (open(&network.url()).await, open(&server.url()).await, stream("request-1"));
        fill(&other, &target, 0, 3).await;
        whole(&log, &target).await;
        network.break_next(Break::Answer);
        let lost = log.append(&target, after(2), event(3)).await;
        assert!(matches!(lost, Err(AppendError::Unknown(_))), "{lost:?}");
        for revision in 3..30 {
            put(&other, &target, after(revision), &event(u128::from(revision) + 1)).await.unwrap();
        }
        let retry = put(&log, &target, after(2), &event(3)).await.unwrap();
        assert_eq!((retry.revision, retry.repeated), (Revision(3), true));
        let lost = put(&log, &target, after(2), &event(99)).await;
        assert_eq!(lost, Err(AppendError::Conflict { actual: Some(Revision(30)) }));
    })
    .await;
}

#[tokio::test]
async fn the_expected_revision_counts_events_of_every_writer() {
    let server = server().await;
    let (log, other, target) = (open(&server.url()).await, open(&server.url()).await, stream("request-1"));
    put(&log, &target, Expected::NoStream, &by("request", 0)).await.unwrap();
    put(&other, &target, after(0), &by("approval", 1)).await.unwrap();
    // This client remembers revision 0 only, and writes under another subject.
    for expected in [Expected::NoStream, after(0)] {
        let lost = put(&log, &target, expected, &by("activation", 2)).await;
        assert_eq!(lost, Err(AppendError::Conflict { actual: Some(Revision(1)) }));
    }
    put(&log, &target, after(1), &by("activation", 2)).await.unwrap();
    let writers: Vec<_> =
        whole(&other, &target).await.into_iter().map(|event| event.envelope.writer.to_string()).collect();
    assert_eq!(writers, ["request", "approval", "activation"]);
}

#[tokio::test]
async fn an_old_id_is_found_by_a_client_that_never_saw_it() {
    let server = server().await;
    let target = stream("request-1");
    fill(&open(&server.url()).await, &target, 0, 40).await;
    for (number, expected) in [(0, after(39)), (20, after(39)), (39, after(38)), (5, Expected::NoStream)] {
        let log = open(&server.url()).await;
        let repeat = put(&log, &target, expected, &event(number)).await.unwrap();
        assert!(repeat.repeated);
        assert_eq!(u128::from(repeat.revision.0), number);
    }
    let log = open(&server.url()).await;
    let elsewhere = put(&log, &stream("request-2"), Expected::NoStream, &event(39)).await.unwrap();
    assert!(!elsewhere.repeated, "ids are compared within the stream");
    assert_eq!(whole(&log, &target).await.len(), 40);
}

/// Publishes an event's id, as the server's and as ours, where another service may write. Whether the server stored the message.
async fn use_up(jetstream: &Context, envelope: &Envelope) -> bool {
    let mut headers = HeaderMap::new();
    for name in ["Nats-Msg-Id", "Daypass-Event-Id"] {
        headers.insert(name, envelope.event_id.to_string());
    }
    headers.insert("Daypass-Revision", "0");
    let sent =
        jetstream.publish_with_headers("daypass.log.audit.duty.relay", headers, "x".into()).await.unwrap();
    !sent.await.unwrap().duplicate
}

#[tokio::test]
async fn an_id_that_somebody_else_uses_up_keeps_nobody_from_appending_it() {
    in_time(Box::pin(async {
        let server = server().await;
        let jetstream = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
        // Whatever the window, appends have no part in it.
        let window = Duration::from_hours(1);
        jetstream.create_stream(Config { duplicate_window: window, ..stream_config(1, ID) }).await.unwrap();
        let network = Lossy::before(server.address()).await;
        let (log, target) = (open(&network.url()).await, stream("request-1"));
        fill(&log, &target, 0, 1).await;

        assert!(use_up(&jetstream, &event(1)).await);
        assert!(!use_up(&jetstream, &event(1)).await, "the server takes it for a repeat");
        let written = log.append(&target, after(0), event(1)).await;
        let first = Appended { revision: Revision(1), position: Position(3), repeated: false };
        assert_eq!(written, Ok(first));

        network.break_next(Break::Answer);
        let lost = log.append(&target, after(1), event(2)).await;
        assert!(matches!(lost, Err(AppendError::Unknown(_))), "{lost:?}");
        assert!(use_up(&jetstream, &event(2)).await, "nothing told the server of this id");
        let retry = put(&log, &target, after(1), &event(2)).await;
        assert_eq!(retry, Ok(Appended { revision: Revision(2), position: Position(4), repeated: true }));
        let forged = Envelope { body: "something else".into(), ..event(2) };
        assert_eq!(put(&log, &target, after(2), &forged).await, Err(AppendError::IdTaken));
    }))
    .await;
}

/// The server lets whoever may write to a stream write to it in their own name alone. But in that, anything.
#[tokio::test]
async fn the_same_event_by_another_writer_acknowledges_nothing() {
    in_time(Box::pin(async {
        let server = server().await;
        let (log, target) = (open(&server.url()).await, stream("request-1"));
        fill(&log, &target, 0, 1).await;
        let jetstream = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
        let mine = by("approval", 1);
        let mut headers = HeaderMap::new();
        headers.insert("Daypass-Event-Id", mine.event_id.to_string());
        headers.insert("Daypass-Revision", "1");
        let subject = "daypass.log.request.request.1";
        let sent = jetstream.publish_with_headers(subject, headers, mine.body.clone()).await.unwrap();
        sent.await.unwrap();
        for expected in [after(0), after(1)] {
            assert_eq!(put(&log, &target, expected, &mine).await, Err(AppendError::IdTaken), "{expected:?}");
        }
        let repeat = put(&log, &target, after(0), &by("request", 1)).await.unwrap();
        assert_eq!((repeat.revision, repeat.repeated), (Revision(1), true), "to who wrote it, it is one");
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_clients_that_race_one_wins_each_revision() {
    in_time(async {
        let server = server().await;
        let clients = (0..2_u128).map(|client| {
            let url = server.url();
            tokio::spawn(async move {
                let (log, target) = (open(&url).await, stream("race-1"));
                let (mut won, mut number) = (Vec::new(), client * 1_000);
                for round in 0..200_u64 {
                    let expected = Expected::after(round.checked_sub(1).map(Revision));
                    number += 1;
                    if put(&log, &target, expected, &event(number)).await.is_ok() {
                        won.push(round);
                    }
                }
                won
            })
        });
        let mut won = Vec::new();
        for client in clients.collect::<Vec<_>>() {
            won.extend(client.await.unwrap());
        }
        won.sort_unstable();
        assert_eq!(won, (0..200).collect::<Vec<_>>());
        assert_whole(&all(&open(&server.url()).await).await);
    })
    .await;
}

#[tokio::test]
async fn without_a_server_nothing_is_written_and_that_is_said() {
    in_time(async {
        let mut server = server().await;
        let (log, target) = (open(&server.url()).await, stream("request-1"));
        fill(&log, &target, 0, 2).await;
        server.kill();
        // While the loss is noticed, an answer may be missing; from then on it is certain.
        loop {
            match log.append(&target, after(1), event(2)).await {
                Err(AppendError::Unknown(_)) => {}
                answer => break assert!(matches!(answer, Err(AppendError::Unavailable(_))), "{answer:?}"),
            }
        }
        assert!(matches!(log.head().await, Err(LogError::Unavailable(_))));
        server.restart().await.unwrap();
        let written = put(&log, &target, after(1), &event(2)).await.unwrap();
        assert_eq!(written, Appended { revision: Revision(2), position: Position(3), repeated: false });
    })
    .await;
}

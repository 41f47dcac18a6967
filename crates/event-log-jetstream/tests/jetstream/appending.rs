//! Appends over a network that breaks, of several writers and several clients.

use crate::given::{after, all, assert_whole, by, event, fill, in_time, open, put, server, stream, whole};
use crate::lossy::{Break, Lossy};
use event_log::{AppendError, Appended, EventLog, Expected, LogError, Position, Revision};

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
    let elsewhere = put(&log, &stream("request-2"), Expected::NoStream, &event(39)).await;
    assert_eq!(elsewhere, Err(AppendError::IdTaken), "the server remembers it for a while");
    assert_eq!(whole(&log, &target).await.len(), 40);
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

//! Nodes that go away, come back, and lead in turn: where the client would stay with what is gone, or give up for ever.

use crate::given::{event, in_time, open, put};
use event_log::{EventLog, Expected, Position, Revision};
use futures::{StreamExt, TryStreamExt};
use kurrentdb_double::Double;

/// The client's task ends with the first search that finds no node; everything after that would fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_comes_back_is_found_again() {
    in_time(async {
        let mut server = Double::start().unwrap();
        let log = open(&server).await;
        let stream = "request-1".parse().unwrap();
        let first = put(&log, &stream, Expected::NoStream, event(0)).await;
        server.stop(0).await.unwrap();
        let next = Expected::Exact(Revision(0));
        // Until another client has taken the place of the one that was connected, and found nothing.
        while !log.head().await.unwrap_err().to_string().contains("gRPC connection error") {}
        for _ in 0..3 {
            assert!(log.append(&stream, next, event(1)).await.is_err());
            assert!(log.head().await.is_err());
            assert!(log.event_at(first.position).await.is_err());
            assert!(log.read_stream(&stream, None).try_collect::<Vec<_>>().await.is_err());
            assert!(log.read_all(Position::START).try_collect::<Vec<_>>().await.is_err());
        }
        server.start_again(0).unwrap();
        assert_eq!(put(&log, &stream, next, event(1)).await.revision, Revision(1));
    })
    .await;
}

/// Told that its node is unavailable, the client takes the same node again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_died_is_not_waited_for() {
    in_time(async {
        let mut server = Double::start_nodes(3).unwrap();
        let log = open(&server).await;
        let stream = "request-1".parse().unwrap();
        let mut last = put(&log, &stream, Expected::NoStream, event(0)).await.revision;
        for leader in [1, 2] {
            server.lead(leader).unwrap();
            server.stop(leader - 1).await.unwrap();
            let placed = put(&log, &stream, Expected::Exact(last), event(last.next().0.into())).await;
            assert_eq!(placed.revision, last.next());
            last = placed.revision;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_leads_no_more_names_the_one_that_does() {
    in_time(async {
        let server = Double::start_nodes(2).unwrap();
        let log = open(&server).await;
        let stream = "request-1".parse().unwrap();
        let mut last = None;
        for number in 0..6_u64 {
            server.lead(usize::try_from(number % 2).unwrap()).unwrap();
            last = Some(put(&log, &stream, Expected::after(last), event(number.into())).await.revision);
        }
        assert_eq!(last, Some(Revision(5)));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_survives_its_nodes_without_gap_or_repeat() {
    in_time(async {
        let mut server = Double::start_nodes(2).unwrap();
        let log = open(&server).await;
        let follower = {
            let log = log.clone();
            tokio::spawn(async move { log.subscribe(Position::START).take(30).try_collect::<Vec<_>>().await })
        };
        for number in 0..30 {
            match number {
                5 => server.drop_subscriptions(),
                10 => {
                    server.lead(1).unwrap();
                    server.stop(0).await.unwrap();
                }
                20 => {
                    server.stop(1).await.unwrap();
                    server.start_again(0).unwrap();
                    server.lead(0).unwrap();
                }
                _ => {}
            }
            let target = format!("request-{number}").parse().unwrap();
            put(&log, &target, Expected::NoStream, event(number)).await;
        }
        let seen = follower.await.unwrap().unwrap();
        let all: Vec<_> = log.read_all(Position::START).try_collect().await.unwrap();
        assert_eq!(seen, all);
    })
    .await;
}

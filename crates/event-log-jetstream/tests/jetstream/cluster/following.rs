//! Readers across changes of leaders, of the stream's and of the cluster's.

use super::{cluster, open, open_at, step_down};
use crate::following::{follow, next, read_one_by_one};
use crate::given::{all, assert_whole, fill, in_time, stream, whole};
use event_log::{EventLog, LogError, Position};
use event_log_jetstream::STREAM;
use futures::TryStreamExt;
use test_servers::nats_cluster::NatsCluster;

/// Waits until the others have elected one.
async fn until_replaced(cluster: &NatsCluster, leader: u8) {
    while cluster.stream_leader(STREAM).await.unwrap() == leader {
        tokio::task::yield_now().await;
    }
}

/// What befalls the cluster in a round.
async fn change(cluster: &mut NatsCluster, round: u64) {
    let (stream_leader, meta_leader) =
        (cluster.stream_leader(STREAM).await.unwrap(), cluster.meta_leader().await.unwrap());
    match round {
        0 | 1 => step_down(cluster, stream_leader).await,
        2 => {
            cluster.kill(meta_leader);
            cluster.restart(meta_leader).unwrap();
        }
        _ => {
            cluster.kill(stream_leader);
            until_replaced(cluster, stream_leader).await;
            cluster.restart(stream_leader).unwrap();
        }
    }
}

#[tokio::test]
async fn a_few_events_are_read_one_by_one_also_where_a_majority_stores_them() {
    let cluster = cluster().await;
    in_time(async {
        let (log, fresh) = (open(&cluster).await, open_at(&cluster, 1).await);
        read_one_by_one(&log, &fresh, cluster.url(0)).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_on_every_server_go_on_through_changes_of_leaders_without_gap_or_repeat() {
    let mut cluster = cluster().await;
    in_time(async {
        let log = open(&cluster).await;
        let mut followers = Vec::new();
        for node in 0..3 {
            followers.push((follow(&open_at(&cluster, node).await), Vec::new()));
        }
        for round in 0..4_u64 {
            let target = stream(&format!("round-{round}"));
            let writing = fill(&log, &target, u128::from(round) * 1_000, 120);
            let changing = async {
                for (seen, events) in &mut followers {
                    events.extend(next(seen, 30).await);
                }
                change(&mut cluster, round).await;
                for (seen, events) in &mut followers {
                    events.extend(next(seen, 90).await);
                }
            };
            tokio::join!(writing, changing);
            cluster.until_healthy().await.unwrap();
            assert_eq!(whole(&log, &target).await.len(), 120);
        }
        let events = all(&log).await;
        assert_eq!(events.len(), 480);
        assert_whole(&events);
        for (_, seen) in followers {
            assert_eq!(seen, events);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_lost_its_disk_has_everything_again_from_the_others() {
    let mut cluster = cluster().await;
    in_time(async {
        let log = open(&cluster).await;
        fill(&log, &stream("request-1"), 0, 100).await;
        let (lost, other) =
            (cluster.stream_leader(STREAM).await.unwrap(), cluster.meta_leader().await.unwrap());
        cluster.lose_disk(lost).unwrap();
        until_replaced(&cluster, lost).await;
        cluster.restart(lost).unwrap();
        cluster.until_healthy().await.unwrap();
        // With another one down, the one that was empty is needed.
        let down = if other == lost { (lost + 1) % 3 } else { other };
        let again = open_at(&cluster, lost).await;
        cluster.kill(down);
        fill(&again, &stream("request-2"), 1_000, 1).await;
        let events = loop {
            // One of two that are left may be electing.
            match again.read_all(Position::START).try_collect::<Vec<_>>().await {
                Ok(events) => break events,
                Err(error) => assert!(matches!(error, LogError::Unavailable(_)), "{error}"),
            }
        };
        assert_eq!(events.len(), 101);
        assert_whole(&events);
    })
    .await;
}

//! A cluster of three real nats-servers, and what can be done to it.

use std::time::Duration;
use test_servers::nats::NatsOptions;
use test_servers::nats_cluster::NatsCluster;
use tokio::time::sleep;

const POLL: Duration = Duration::from_millis(50);

#[tokio::test]
async fn a_cluster_goes_on_with_one_node_killed_paused_or_cut_off() {
    let mut cluster = NatsCluster::start(NatsOptions::default()).await.unwrap();
    for trouble in 0..3 {
        let leader = cluster.meta_leader().await.unwrap();
        match trouble {
            0 => cluster.kill(leader),
            1 => cluster.pause(leader).unwrap(),
            _ => cluster.cut_off(leader).unwrap(),
        }
        assert_eq!(cluster.monitoring(leader, "healthz").await, None);
        while cluster.meta_leader().await.unwrap() == leader {
            sleep(POLL).await;
        }
        match trouble {
            0 => cluster.restart(leader).unwrap(),
            1 => cluster.resume(leader).unwrap(),
            _ => cluster.join(leader).unwrap(),
        }
        cluster.until_healthy().await.unwrap();
    }
}

#[tokio::test]
async fn a_parted_node_is_reached_by_clients_alone() {
    let cluster = NatsCluster::start(NatsOptions::default()).await.unwrap();
    cluster.part(2).unwrap();
    while cluster.monitoring(2, "healthz").await.is_some_and(|health| health["status"] == "ok") {
        sleep(POLL).await;
    }
    assert!(cluster.monitoring(2, "healthz").await.is_some(), "it answers, and knows of no leader");
    cluster.join(2).unwrap();
    while cluster.monitoring(2, "healthz").await.is_none_or(|health| health["status"] != "ok") {
        sleep(POLL).await;
    }
}

//! One server or one setting that is not as it must be, and the whole cluster is refused.

use super::{cluster, open, opened, three};
use crate::given::{ID, in_time};
use crate::refusing::refusal;
use async_nats::jetstream::stream::Config;
use event_log::{EventLog, LogError};
use event_log_jetstream::{JetStreamConfig, JetStreamLog, stream_config};
use serde_json::json;
use std::time::Duration;
use test_servers::nats::NatsOptions;
use test_servers::nats_cluster::NatsCluster;
use uuid::Uuid;
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

fn unavailable(opened: Result<JetStreamLog, LogError>) -> String {
    match opened.err() {
        Some(LogError::Unavailable(why)) => why,
        other => panic!("not told as unavailable: {other:?}"),
    }
}

#[tokio::test]
async fn one_server_of_three_that_syncs_late_is_enough_for_a_refusal() {
    let late = NatsOptions { sync_always: false, ..NatsOptions::default() };
    let cluster =
        NatsCluster::start_mixed([NatsOptions::default(), NatsOptions::default(), late]).await.unwrap();
    for operator_asserts_sync_always in [false, true] {
        let config = JetStreamConfig { operator_asserts_sync_always, ..three(&cluster) };
        let why = refusal(JetStreamLog::open(config).await);
        assert!(why.contains("always on every server"), "{why}");
    }
    let two = cluster.monitoring_urls().into_iter().take(2).collect();
    let why = refusal(JetStreamLog::open(JetStreamConfig { monitoring_urls: two, ..three(&cluster) }).await);
    assert!(why.contains("seen on 2 of 3"), "{why}");
}

/// Monitoring of a server that says it is of this version.
async fn of_version(version: &str) -> MockServer {
    let server = MockServer::start().await;
    let about = json!({ "server_id": "OLD", "version": version });
    let jetstream = json!({ "config": { "sync_always": true }, "meta_cluster": { "cluster_size": 3 } });
    for (at, body) in [("/varz", about), ("/jsz", jetstream)] {
        Mock::given(path(at))
            .respond_with(ResponseTemplate::new(200).set_body_json(body))
            .mount(&server)
            .await;
    }
    server
}

#[tokio::test]
async fn one_old_server_of_three_is_enough_for_a_refusal() {
    let cluster = cluster().await;
    let old = of_version("2.12.5").await;
    let monitoring_urls = vec![cluster.monitoring_url(0), cluster.monitoring_url(1), old.uri()];
    let config = JetStreamConfig { monitoring_urls, operator_asserts_sync_always: true, ..three(&cluster) };
    let why = refusal(JetStreamLog::open(config).await);
    assert!(why.contains("2.12.6 at least (is \"2.12.5\")"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_cannot_be_asked_is_waited_for_unless_it_is_down() {
    in_time(async {
        let mute = NatsOptions { monitoring: false, ..NatsOptions::default() };
        let mut cluster =
            NatsCluster::start_mixed([NatsOptions::default(), NatsOptions::default(), mute]).await.unwrap();
        let why = unavailable(JetStreamLog::open(three(&cluster)).await);
        assert!(why.contains("seen on 2 of 3"), "{why}");
        let asserted = JetStreamConfig { operator_asserts_sync_always: true, ..three(&cluster) };
        JetStreamLog::open(asserted).await.unwrap();
        cluster.kill(2);
        // A few seconds until the others are sure that it is away; then it acknowledges nothing, and need not be seen.
        let log = loop {
            match JetStreamLog::open(three(&cluster)).await {
                Ok(log) => break log,
                Err(LogError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(100)).await,
                Err(error) => panic!("{error}"),
            }
        };
        log.look_again().await.unwrap();
        cluster.restart(2).unwrap();
        while !matches!(log.look_again().await, Err(LogError::Unavailable(_))) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_stream_on_one_server_of_the_cluster_is_refused_and_left_alone() {
    let cluster = cluster().await;
    let jetstream = async_nats::jetstream::new(async_nats::connect(cluster.urls()).await.unwrap());
    jetstream.create_stream(stream_config(1, ID)).await.unwrap();
    let why = refusal(JetStreamLog::open(three(&cluster)).await);
    assert!(why.contains("num_replicas must be at least 3"), "{why}");
    let stream = jetstream.get_stream(event_log_jetstream::STREAM).await.unwrap();
    assert_eq!(stream.cached_info().config.num_replicas, 1);
}

#[tokio::test]
async fn of_several_creators_on_a_cluster_one_wins() {
    let cluster = cluster().await;
    let cluster = &cluster;
    let clients = (0..6_u128).map(|n| {
        let config = move || JetStreamConfig { new_id: Uuid::from_u128(100 + n), ..three(cluster) };
        async move { opened(config).await.id().await.unwrap() }
    });
    let ids = futures::future::join_all(clients).await;
    let first = ids.first().copied().unwrap();
    assert!(ids.iter().all(|id| *id == first), "{ids:?}");
    assert_eq!(open(cluster).await.id().await, Ok(first));
}

/// What is not safe about a log, as soon as it can be seen: a stream that is moved has no leader for a moment.
async fn unsafe_now(log: &JetStreamLog) -> String {
    in_time(async {
        loop {
            match log.look_again().await {
                Err(LogError::Unsafe(why)) => return why,
                Err(LogError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(50)).await,
                other => panic!("not unsafe: {other:?}"),
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_loosen_while_the_log_is_in_use_is_seen() {
    let cluster = cluster().await;
    let log = open(&cluster).await;
    assert_eq!(log.look_again().await, Ok(()));
    let jetstream = async_nats::jetstream::new(async_nats::connect(cluster.urls()).await.unwrap());
    let settings = || stream_config(3, ID);
    let forgetful = Config { max_age: Duration::from_hours(1), ..settings() };
    for (loosened, setting) in [(forgetful, "max_age"), (stream_config(1, ID), "num_replicas")] {
        jetstream.update_stream(loosened).await.unwrap();
        let looked = unsafe_now(&log).await;
        assert!(looked.contains(setting), "{looked}");
        jetstream.update_stream(settings()).await.unwrap();
        in_time(async {
            while let Err(error) = log.look_again().await {
                assert!(matches!(error, LogError::Unavailable(_)), "{setting} is as it was: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
    }
    let other = Config { metadata: stream_config(3, Uuid::from_u128(9)).metadata, ..settings() };
    jetstream.update_stream(other).await.unwrap();
    let looked = unsafe_now(&log).await;
    assert!(looked.contains("another log"), "{looked}");
}

//! The log on a real cluster of three. Needs root: its network is made of namespaces.

mod conformance;
mod following;
mod refusing;
mod replaced;
mod storm;

use crate::given::{ID, in_time};
use event_log::LogError;
use event_log_jetstream::{JetStreamConfig, JetStreamLog, STREAM};
use nats_connection::{Connection, Credentials};
use std::ops::{Deref, DerefMut};
use std::time::Duration;
use test_servers::nats::NatsOptions;
use test_servers::nats_cluster::NatsCluster;
use tokio::sync::{RwLock, RwLockReadGuard};

/// A storm needs the machine for itself: elections go by the clock.
static QUIET: RwLock<()> = RwLock::const_new(());

/// A cluster beside which no storm blows.
struct Quiet {
    cluster: NatsCluster,
    _quiet: RwLockReadGuard<'static, ()>,
}

impl Deref for Quiet {
    type Target = NatsCluster;
    fn deref(&self) -> &NatsCluster {
        &self.cluster
    }
}

impl DerefMut for Quiet {
    fn deref_mut(&mut self) -> &mut NatsCluster {
        &mut self.cluster
    }
}

async fn cluster() -> Quiet {
    let quiet = QUIET.read().await;
    Quiet { cluster: start().await, _quiet: quiet }
}

async fn start() -> NatsCluster {
    NatsCluster::start(NatsOptions::default()).await.unwrap()
}

fn to(servers: Vec<String>) -> Connection {
    Connection { servers, credentials: Credentials::None, tls: None }
}

/// A log as it is meant to be used: on three servers, all of which are looked at.
fn three(cluster: &NatsCluster) -> JetStreamConfig {
    JetStreamConfig {
        connection: to(cluster.urls()),
        replicas: 3,
        dev: false,
        operator_asserts_sync_always: false,
        monitoring_urls: cluster.monitoring_urls(),
        new_id: ID,
    }
}

async fn open(cluster: &NatsCluster) -> JetStreamLog {
    opened(|| three(cluster)).await
}

/// The log, as soon as it can be had: a cluster has no room for a stream before it has heard of all its servers, and does not answer
/// everyone of those who would create it at once.
async fn opened(config: impl Fn() -> JetStreamConfig) -> JetStreamLog {
    let opened = async {
        loop {
            match JetStreamLog::open(config()).await {
                Ok(log) => return log,
                Err(LogError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(50)).await,
                Err(refused) => panic!("{refused}"),
            }
        }
    };
    in_time(Box::pin(opened)).await
}

/// A client that knows one server only, and believes of the others what it is told: they may be down.
async fn open_at(cluster: &NatsCluster, node: u8) -> JetStreamLog {
    let connection = to(vec![cluster.url(node)]);
    let monitoring_urls = vec![cluster.monitoring_url(node)];
    let config =
        JetStreamConfig { connection, monitoring_urls, operator_asserts_sync_always: true, ..three(cluster) };
    JetStreamLog::open(config).await.unwrap()
}

/// Asks until the cluster does it: while it has no leader, nobody can be deposed.
async fn step_down(cluster: &NatsCluster, node: u8) {
    let client = async_nats::connect(cluster.url(node)).await.unwrap();
    let call = format!("$JS.API.STREAM.LEADER.STEPDOWN.{STREAM}");
    in_time(async {
        loop {
            let answer = client.request(call.clone(), "".into()).await.unwrap();
            let answer: serde_json::Value = serde_json::from_slice(&answer.payload).unwrap();
            match answer.pointer("/error/err_code").and_then(serde_json::Value::as_u64) {
                None => return assert!(answer.get("error").is_none(), "{answer}"),
                // JetStream system temporarily unavailable.
                Some(10_008) => tokio::time::sleep(Duration::from_millis(50)).await,
                Some(_) => panic!("{answer}"),
            }
        }
    })
    .await;
}

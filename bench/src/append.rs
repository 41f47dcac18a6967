//! What the engine adds: appends beside acknowledged publishing alone, on one NATS server or on a cluster of three, which
//! replicates and syncs each before it is acknowledged.

use crate::{Failed, Measured, engine, logs, publish, say};
use event_log_jetstream::{JetStreamConfig, JetStreamLog};
use std::sync::Arc;
use std::time::Duration;
use test_servers::nats::{NatsOptions, NatsServer};
use test_servers::nats_cluster::NatsCluster;

/// Of `callers`, and of one; `cluster`: on three servers of this machine, which needs root for their network.
pub(crate) async fn run(callers: usize, within: Duration, cluster: bool) -> Result<(), Failed> {
    if cluster {
        let cluster = NatsCluster::start(NatsOptions::default()).await?;
        let config = logs::config(cluster.urls(), cluster.monitoring_urls(), 3);
        measure(&cluster.urls(), config, callers, within).await
    } else {
        let server = NatsServer::start(NatsOptions::default()).await?;
        let config = logs::config(vec![server.url()], Vec::new(), 1);
        measure(&[server.url()], config, callers, within).await
    }
}

async fn measure(
    servers: &[String],
    config: JetStreamConfig,
    callers: usize,
    within: Duration,
) -> Result<(), Failed> {
    let replicas = config.replicas;
    let log = Arc::new(JetStreamLog::open(config).await?);
    for (series, callers) in [(1, callers), (2, 1)] {
        let alone = publish::run(servers, replicas, callers, within).await?;
        alone.say(&format!("raw acknowledged publishing, {callers} at a time"));
        let appends = engine::run(log.clone(), callers, within, series).await?;
        appends.say(&format!("appends, {callers} at a time"));
        say(&share(&appends, &alone));
    }
    Ok(())
}

fn share(appends: &Measured, alone: &Measured) -> String {
    format!("{:.2} of publishing alone", appends.per_second / alone.per_second)
}

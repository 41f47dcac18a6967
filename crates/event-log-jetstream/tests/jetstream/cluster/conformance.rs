//! The contract of the port, kept by three replicas.

use super::{Quiet, cluster, open};
use event_log::EventLog;
use event_log::conformance::{self, Fixture};
use event_log_jetstream::STREAM;
use std::sync::Arc;

struct ThreeServers(Quiet);

#[async_trait::async_trait]
impl Fixture for ThreeServers {
    async fn open(&self) -> Arc<dyn EventLog> {
        let client = async_nats::connect(self.0.urls()).await.unwrap();
        drop(async_nats::jetstream::new(client).delete_stream(STREAM).await);
        self.reopen().await
    }

    async fn reopen(&self) -> Arc<dyn EventLog> {
        Arc::new(open(&self.0).await)
    }

    fn takes_several_clients(&self) -> bool {
        true
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_servers_keep_the_contract() {
    let servers = ThreeServers(cluster().await);
    for case in conformance::cases() {
        (case.run)(&servers).await;
    }
}

//! The contract of the port.

use crate::given::{open, server};
use event_log::EventLog;
use event_log::conformance::Fixture;
use event_log_jetstream::STREAM;
use std::sync::Arc;
use test_servers::nats::NatsServer;

struct OneServer(NatsServer);

#[async_trait::async_trait]
impl Fixture for OneServer {
    async fn open(&self) -> Arc<dyn EventLog> {
        // Nothing but the account's permissions stands against this; see the crate's docs.
        let client = async_nats::connect(self.0.url()).await.unwrap();
        drop(async_nats::jetstream::new(client).delete_stream(STREAM).await);
        self.reopen().await
    }

    async fn reopen(&self) -> Arc<dyn EventLog> {
        Arc::new(open(&self.0.url()).await)
    }

    fn takes_several_clients(&self) -> bool {
        true
    }
}

event_log::conformance_tests!(OneServer(server().await));

//! The suite that every bus passes.
#![expect(clippy::unwrap_used, reason = "tests")]

use messaging::OutgoingBus;
use messaging::conformance;
use messaging::memory::MemoryBus;
use messaging::nats::{NatsBus, NatsBusOptions};
use nats_connection::Connection;
use std::sync::Arc;
use test_servers::nats::{NatsOptions, NatsServer};

#[tokio::test]
async fn a_bus_in_memory() {
    conformance::run(async || {
        let bus = MemoryBus::new();
        (Arc::new(bus.clone()) as Arc<dyn OutgoingBus>, Arc::new(bus) as Arc<dyn OutgoingBus>)
    })
    .await;
}

#[tokio::test]
async fn a_bus_on_nats() {
    let server = NatsServer::start(NatsOptions::default()).await.unwrap();
    conformance::run(async || {
        let client = async_nats::connect(server.url()).await.unwrap();
        let _ = async_nats::jetstream::new(client).delete_stream(messaging::EVENTS_STREAM).await;
        (connect(&server).await, connect(&server).await)
    })
    .await;
}

/// A publisher on the server, once it is connected.
async fn connect(server: &NatsServer) -> Arc<dyn OutgoingBus> {
    let bus = NatsBus::connect(&Connection::to(server.url()), NatsBusOptions { replicas: 1 }).await.unwrap();
    while bus.extent().await.is_err() {
        tokio::task::yield_now().await;
    }
    Arc::new(bus)
}

//! Health at an address of its own: in plain text, for an orchestrator's probes, which have no certificate.
//!
//! INVARIANT: nothing but `grpc.health.v1` is there: no service, no reflection. It says the same as the server's own.

use super::{ServeError, bounded, incoming, listen};
use crate::config::Limits;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

/// Probes at a time; more wait.
const CONNECTIONS_MAX: usize = 64;
/// Probes that wait.
const BACKLOG: u32 = 64;

/// The address, taken.
#[derive(Debug)]
pub(super) struct HealthPort {
    listener: std::net::TcpListener,
    address: SocketAddr,
}

impl HealthPort {
    pub(super) fn new(address: SocketAddr) -> Result<Self, ServeError> {
        let (listener, address) = listen(address, BACKLOG)?;
        Ok(Self { listener, address })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Answers for as long as it is polled; then connections that stand are told to go. Where there is no such address, waits for ever.
pub(super) async fn serve(port: Option<&HealthPort>, reporter: &HealthReporter) -> ServeError {
    let Some(port) = port else { return std::future::pending().await };
    let listener = match port.listener.try_clone().and_then(TcpListener::from_std) {
        Ok(listener) => listener,
        Err(error) => return ServeError::Listen { address: port.address, error },
    };
    let health = HealthServer::new(HealthService::from_health_reporter(reporter.clone()));
    let probes = incoming::incoming(listener, CONNECTIONS_MAX, None);
    let served = bounded(&Limits::default(), false)
        .add_service(health)
        .serve_with_incoming_shutdown(probes, std::future::pending())
        .await;
    match served {
        Ok(()) => std::future::pending().await,
        Err(error) => error.into(),
    }
}

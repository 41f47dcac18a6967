//! One node: its port, and a runtime of its own, so that its connections end with it, as those of a process that is killed.

use crate::server::{Served, Shared};
use crate::wire::client::gossip::gossip_server::GossipServer;
use crate::wire::client::server_features::server_features_server::ServerFeaturesServer;
use crate::wire::client::streams::streams_server::StreamsServer;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

/// How long tasks have to notice that their node is gone.
const GONE_WITHIN: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) port: u16,
    running: Option<Runtime>,
}

impl Node {
    /// On a free loopback port.
    pub(crate) fn start(shared: &Shared) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let running = Some(run(listener, Served { shared: shared.clone(), port })?);
        Ok(Self { port, running })
    }

    /// Ends it, and every connection to it.
    pub(crate) async fn stop(&mut self) {
        if let Some(runtime) = self.running.take() {
            let ended = tokio::task::spawn_blocking(move || runtime.shutdown_timeout(GONE_WITHIN));
            drop(ended.await);
        }
    }

    /// On the same port.
    pub(crate) fn start_again(&mut self, shared: &Shared) -> io::Result<()> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port))?;
        self.running = Some(run(listener, Served { shared: shared.clone(), port: self.port })?);
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(runtime) = self.running.take() {
            runtime.shutdown_background();
        }
    }
}

fn run(listener: TcpListener, served: Served) -> io::Result<Runtime> {
    listener.set_nonblocking(true)?;
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.spawn(async move {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let services = Server::builder()
            .add_service(StreamsServer::new(served.clone()))
            .add_service(GossipServer::new(served.clone()))
            .add_service(ServerFeaturesServer::new(served));
        let connections = TcpIncoming::from(listener).with_nodelay(Some(true));
        services.serve_with_incoming(connections).await.map_err(io::Error::other)
    });
    Ok(runtime)
}

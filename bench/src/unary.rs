//! The limit of any gRPC call here: the smallest unary call, over loopback, with nothing behind it.

use crate::{Failed, Measured, hammer};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

pub(crate) async fn run(callers: usize, within: Duration) -> Result<Measured, Failed> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (_reporter, service) = tonic_health::server::health_reporter();
    let server = tokio::spawn(
        tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );
    let channels = crate::daypass::channels(&format!("http://{address}"), callers).await?;
    let measured = hammer(callers, within, |caller, _| {
        let channel = channels.get(caller % channels.len()).cloned();
        async move {
            let channel = channel.ok_or("no channel")?;
            HealthClient::new(channel).check(HealthCheckRequest::default()).await?;
            Ok(())
        }
    })
    .await;
    server.abort();
    measured
}

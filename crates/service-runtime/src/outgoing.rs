//! Calls to neighbours: with a token of our own, what is left of the caller's time, and the trace.

use crate::config::NeighbourConfig;
use crate::token_source::TokenSource;
use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response, header};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tonic::body::Body;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Service};

/// A way to a neighbour, over the network or inside of the process. The transport of a generated client.
pub type Connection = BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>;

/// A connection is tried for so long.
const CONNECT_DURATION_MAX: Duration = Duration::from_secs(5);
/// An idle connection is probed after so long, so that a neighbour that went away silently is noticed.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);

/// Why there is no way to a neighbour.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address or the TLS settings are wrong.
    #[error("the neighbour's address is not usable: {0}")]
    Address(#[from] tonic::transport::Error),
    /// The file with the CA cannot be read.
    #[error("the neighbour's CA cannot be read: {0}")]
    Ca(std::io::Error),
}

/// The way to a neighbour. Connects when first used, and again whenever needed. Without `tokens`, calls carry none.
pub fn connect(
    neighbour: &NeighbourConfig,
    tokens: Option<Arc<TokenSource>>,
) -> Result<Connection, ConnectError> {
    let mut endpoint = Endpoint::from_shared(neighbour.address.clone())?
        .connect_timeout(CONNECT_DURATION_MAX)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_while_idle(true);
    if neighbour.address.starts_with("https:") {
        let tls = match &neighbour.ca_file {
            Some(file) => {
                let ca = std::fs::read(file).map_err(ConnectError::Ca)?;
                ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca))
            }
            None => ClientTlsConfig::new().with_native_roots(),
        };
        endpoint = endpoint.tls_config(tls)?;
    }
    Ok(Connection::new(Outgoing { channel: endpoint.connect_lazy(), tokens }))
}

#[derive(Clone)]
struct Outgoing {
    channel: Channel,
    tokens: Option<Arc<TokenSource>>,
}

impl Service<Request<Body>> for Outgoing {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.channel.poll_ready(context).map_err(BoxError::from)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        crate::deadline::propagate(request.headers_mut());
        crate::trace::propagate(request.headers_mut());
        let clone = self.channel.clone();
        let mut channel = std::mem::replace(&mut self.channel, clone);
        let tokens = self.tokens.clone();
        Box::pin(async move {
            if let Some(tokens) = tokens {
                let token = tokens.token().await?;
                let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose()))?;
                value.set_sensitive(true);
                request.headers_mut().insert(header::AUTHORIZATION, value);
            }
            Ok(channel.call(request).await?)
        })
    }
}

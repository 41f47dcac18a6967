//! Calls to neighbours: as ourselves, by a token or a certificate; with what is left of the caller's time, and the trace; to one
//! replica after the other.

mod replicas;

use crate::config::{ClientCertificateConfig, NeighbourConfig};
use crate::tls::TlsError;
use crate::token_source::TokenSource;
use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response, header};
use replicas::Replicas;
use std::sync::Arc;
use std::task::{Context, Poll};
use tonic::body::Body;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Service};

pub(crate) use replicas::check_url;

/// A way to a neighbour, over the network or inside of the process. The transport of a generated client. A call that fails is not
/// made again here: who knows that it may be makes it again, and meets another replica. One that ends with `UNAUTHENTICATED` is the last
/// with its token.
pub type Connection = BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>;

/// Why there is no way to a neighbour.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Not a URL.
    #[error("the neighbour's address is not usable: {0}")]
    Address(String),
    /// Its CA, or our certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Who we are for a neighbour.
#[derive(Clone, Default)]
pub struct Ourselves {
    /// Goes with every call, if there is one.
    pub tokens: Option<Arc<TokenSource>>,
    /// Shown on every connection of `https`, if there is one.
    pub certificate: Option<ClientCertificateConfig>,
}

/// The way to a neighbour. Connects when first used, and again whenever needed.
pub fn connect(neighbour: &NeighbourConfig, ourselves: Ourselves) -> Result<Connection, ConnectError> {
    let replicas = Replicas::new(neighbour, ourselves.certificate.as_ref())?;
    Ok(Connection::new(Outgoing { replicas: Arc::new(replicas), tokens: ourselves.tokens }))
}

#[derive(Clone)]
struct Outgoing {
    replicas: Arc<Replicas>,
    tokens: Option<Arc<TokenSource>>,
}

impl Service<Request<Body>> for Outgoing {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // Which replica it will be is known only when the call is made.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        crate::deadline::propagate(request.headers_mut());
        crate::trace::propagate(request.headers_mut());
        let Self { replicas, tokens } = self.clone();
        Box::pin(async move {
            let Some(tokens) = tokens else { return replicas.call(request).await };
            let token = tokens.token().await?;
            let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose()))?;
            value.set_sensitive(true);
            request.headers_mut().insert(header::AUTHORIZATION, value);
            let answer = replicas.call(request).await?;
            if ended_with(&answer, tonic::Code::Unauthenticated) {
                tokens.refused(&token).await;
            }
            Ok(answer)
        })
    }
}

/// Whether a call ended so at once: an answer without a body says how it ended in its headers.
fn ended_with(answer: &Response<Body>, code: tonic::Code) -> bool {
    let code = i32::from(code).to_string();
    answer.headers().get("grpc-status").is_some_and(|told| told.as_bytes() == code.as_bytes())
}

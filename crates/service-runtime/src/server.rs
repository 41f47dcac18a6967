//! The server around a service's routes: TLS, limits, gRPC-Web, health, reflection, drain; and before there are any, `waiting`.
//! `health`: the same health once more, at an address of its own.

mod health;
mod incoming;
mod waiting;
mod web;

pub(crate) use incoming::OtherEnd;
pub use waiting::WaitsFor;

use crate::auth::Gate;
use crate::config::{Limits, ServerConfig};
use crate::deadline::DeadlineLayer;
use crate::tls::TlsError;
use crate::tls::server::Acceptor;
use health::HealthPort;
use http::Request;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tower_http::classify::GrpcFailureClass;
use tower_http::trace::TraceLayer;
use tracing::Span;

/// HTTP/2 frames: the protocol's own default, and its minimum.
const FRAME_BYTES_MAX: u32 = 16 * 1024;
/// Streams that a client may reset before they are served (rapid reset, CVE-2023-44487); then the connection ends.
const PENDING_RESETS_MAX: usize = 20;
/// Resets that we may send because of a client's errors; then the connection ends.
const LOCAL_RESETS_MAX: usize = 100;

/// Why a server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken, or not ours.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        error: std::io::Error,
    },
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The connections.
    #[error("the server failed: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// The descriptors are not readable.
    #[error("reflection is not possible: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// Some calls were not done in time; they were cut off.
    #[error("calls were still being served {0:?} after the end was asked for")]
    DrainTimedOut(Duration),
}

/// Says which services can be used; asked by load balancers through `grpc.health.v1.Health`.
#[derive(Clone, Debug)]
pub struct Readiness {
    reporter: HealthReporter,
    services: Vec<&'static str>,
}

impl Readiness {
    /// The readiness of `services`, by their full names. Nothing is ready yet.
    pub async fn new(services: impl IntoIterator<Item = &'static str>) -> Self {
        let readiness =
            Self { reporter: HealthReporter::new(), services: services.into_iter().chain([""]).collect() };
        readiness.set(false).await;
        readiness
    }

    /// All services can be used, or none can: while reading history, and while draining.
    pub async fn set(&self, ready: bool) {
        let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
        for service in &self.services {
            self.reporter.set_service_status(service, status).await;
        }
    }
}

/// What is served: routes, who may use them, whether they are ready.
#[derive(Debug)]
pub struct Server {
    /// The services.
    pub routes: Routes,
    /// What every call passes.
    pub gate: Gate,
    /// Told to whoever asks for health.
    pub readiness: Readiness,
}

/// A server that has its address, and does not answer yet. Connections wait in the backlog.
#[derive(Debug)]
pub struct Bound {
    config: ServerConfig,
    listener: std::net::TcpListener,
    address: SocketAddr,
    tls: Option<Arc<Acceptor>>,
    health: Option<HealthPort>,
}

/// Takes an address.
fn listen(address: SocketAddr, backlog: u32) -> Result<(std::net::TcpListener, SocketAddr), ServeError> {
    let listen = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(backlog)?;
        let address = listener.local_addr()?;
        Ok((listener.into_std()?, address))
    };
    listen().map_err(|error| ServeError::Listen { address, error })
}

impl Bound {
    /// Takes the addresses, and reads the files of TLS.
    pub fn new(config: ServerConfig) -> Result<Self, ServeError> {
        let acceptor = |tls| Acceptor::new(tls, config.web.is_some()).map(Arc::new);
        let tls = config.tls.as_ref().map(acceptor).transpose()?;
        let (listener, address) = listen(config.listen, config.limits.backlog)?;
        let health = config.health_listen.map(HealthPort::new).transpose()?;
        Ok(Self { config, listener, address, tls, health })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it tells health alone, if it does.
    pub fn health_address(&self) -> Option<SocketAddr> {
        self.health.as_ref().map(HealthPort::address)
    }

    /// Serves until `shutdown`, then lets calls finish for a while. Streams are told to end by their services, which have the
    /// same token.
    pub async fn serve(self, server: Server, shutdown: CancellationToken) -> Result<(), ServeError> {
        let Server { routes, gate, readiness } = server;
        let Self { config, listener, address, tls, health } = self;
        let listener =
            TcpListener::from_std(listener).map_err(|error| ServeError::Listen { address, error })?;
        let limits = config.limits;
        let mut routes = routes.add_service(tonic_health::pb::health_server::HealthServer::new(
            tonic_health::server::HealthService::from_health_reporter(readiness.reporter.clone()),
        ));
        if config.reflection {
            routes = routes.add_service(reflection().build_v1()?).add_service(reflection().build_v1alpha()?);
        }
        let trace = TraceLayer::new_for_grpc()
            .make_span_with(span)
            .on_request(())
            .on_response(())
            .on_body_chunk(())
            .on_eos(())
            .on_failure(|class: GrpcFailureClass, latency: Duration, _span: &Span| {
                tracing::debug!(?class, ?latency, "call failed");
            });
        let stack = bounded(&limits, config.web.is_some())
            .layer(trace)
            .layer(tower::util::option_layer(config.web.as_ref().map(web::cors)))
            .layer(tower::util::option_layer(config.web.is_some().then(tonic_web::GrpcWebLayer::new)))
            .layer(DeadlineLayer::new(limits.call_duration_max))
            .layer(gate.with_reflection(config.reflection))
            .add_routes(routes);

        tracing::info!(%address, "listening");
        let asked_to_end = {
            let (shutdown, readiness) = (shutdown.clone(), readiness.clone());
            async move {
                shutdown.cancelled().await;
                readiness.set(false).await;
            }
        };
        let until_ended = stack.serve_with_incoming_shutdown(
            incoming::incoming(listener, limits.connections_max, tls),
            asked_to_end,
        );
        let cut_off = async {
            shutdown.cancelled().await;
            tokio::time::sleep(limits.drain_duration_max).await;
        };
        tokio::select! {
            biased;
            ended = until_ended => Ok(ended?),
            error = health::serve(health.as_ref(), &readiness.reporter) => Err(error),
            () = cut_off => Err(ServeError::DrainTimedOut(limits.drain_duration_max)),
        }
    }
}

/// A server that puts up with so much of one connection. HTTP/1 is for gRPC-Web.
fn bounded(limits: &Limits, http1: bool) -> tonic::transport::Server {
    tonic::transport::Server::builder()
        .accept_http1(http1)
        .max_concurrent_streams(limits.streams_per_connection_max)
        .concurrency_limit_per_connection(limits.calls_per_connection_max)
        .load_shed(true)
        .max_frame_size(FRAME_BYTES_MAX)
        .http2_max_header_list_size(limits.header_list_bytes_max)
        .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS_MAX))
        .http2_max_local_error_reset_streams(Some(LOCAL_RESETS_MAX))
        .http2_keepalive_interval(Some(limits.keep_alive_interval))
        .http2_keepalive_timeout(Some(limits.keep_alive_interval))
}

/// Reflection lists what is registered, and nothing else: health's descriptors must be as well.
fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(api::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

/// The span of a call. Its name is one of ours, however odd the path that was asked for.
fn span<B>(request: &Request<B>) -> Span {
    let method = api::method(request.uri().path());
    let span = tracing::info_span!(
        "call",
        otel.kind = "server",
        rpc.system = "grpc",
        rpc.service = method.map_or("other", |method| method.service),
        rpc.method = method.map_or("other", |method| method.name),
    );
    crate::trace::adopt(&span, request.headers());
    span
}

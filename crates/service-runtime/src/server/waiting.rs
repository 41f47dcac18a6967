//! A server of a process that cannot do its work yet: it is there, says that it is not ready, and turns calls away with the reason.

use super::{Bound, ServeError, bounded, health, incoming};
use crate::status;
use futures::future::BoxFuture;
use http::{Request, Response};
use std::convert::Infallible;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};
use tower::{Layer, Service};

/// Callers are told to try again after so long.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// Those who ask for health have so long to take their answer, before the process does its work.
const DRAIN_DURATION_MAX: Duration = Duration::from_millis(500);

/// What a process waits for, in words. Shown to callers: it names no secret.
#[derive(Clone, Debug, Default)]
pub struct WaitsFor(Arc<RwLock<String>>);

impl WaitsFor {
    /// From now on, it is this.
    pub fn set(&self, what: impl Into<String>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = what.into();
    }

    fn get(&self) -> String {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Bound {
    /// Answers until `ready` is: health is `NOT_SERVING`, everything else `UNAVAILABLE`. Connections that come when it is over wait
    /// for [`Bound::serve`].
    pub async fn wait<T>(
        &self,
        ready: impl Future<Output = T>,
        waits_for: &WaitsFor,
    ) -> Result<T, ServeError> {
        let reporter = HealthReporter::new();
        for service in api::METHODS.iter().map(|method| method.service).chain([""]) {
            reporter.set_service_status(service, ServingStatus::NotServing).await;
        }
        let listener = self.listener.try_clone().and_then(TcpListener::from_std);
        let listener = listener.map_err(|error| ServeError::Listen { address: self.address, error })?;
        let ended = CancellationToken::new();
        let health = HealthServer::new(HealthService::from_health_reporter(reporter.clone()));
        let serving = bounded(&self.config.limits, false)
            .layer(NotYet(waits_for.clone()))
            .add_service(health)
            .serve_with_incoming_shutdown(
                incoming::incoming(listener, self.config.limits.connections_max, self.tls.clone()),
                ended.clone().cancelled_owned(),
            );
        tokio::pin!(serving);
        let outcome = tokio::select! {
            biased;
            outcome = ready => outcome,
            error = health::serve(self.health.as_ref(), &reporter) => return Err(error),
            served = &mut serving => {
                served?;
                return Err(ServeError::DrainTimedOut(Duration::ZERO));
            }
        };
        ended.cancel();
        let _ = tokio::time::timeout(DRAIN_DURATION_MAX, serving).await;
        Ok(outcome)
    }
}

/// Lets those through who ask for health.
#[derive(Clone)]
struct NotYet(WaitsFor);

impl<S> Layer<S> for NotYet {
    type Service = TurnedAway<S>;
    fn layer(&self, inner: S) -> TurnedAway<S> {
        TurnedAway { inner, waits_for: self.0.clone() }
    }
}

#[derive(Clone)]
struct TurnedAway<S> {
    inner: S,
    waits_for: WaitsFor,
}

impl<S> Service<Request<Body>> for TurnedAway<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if crate::auth::is_health(request.uri().path()) {
            return Box::pin(self.inner.call(request));
        }
        let status = status::unavailable("NOT_READY", self.waits_for.get(), RETRY_AFTER);
        Box::pin(async { Ok(status.into_http()) })
    }
}

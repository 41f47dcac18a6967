//! The gate: who calls, and whether such a caller may call this method at all. Deny by default.
//!
//! INVARIANT: one call has one verified identity: that of its token, or, if it has none, that of the certificate at the other end.
//!
//! INVARIANT: a certificate makes a caller only of Daypass's own services, which are workloads: what only humans may do, no
//! certificate may.
//!
//! INVARIANT: a [`Call`] in a request's extensions was put there by this gate; what came over the network cannot bring one along,
//! because extensions do not travel.

use crate::in_process::Trusted;
use crate::roles::{DirectoryGroups, Held, Roles};
use crate::server::OtherEnd;
use crate::tls::Peer;
use crate::trace::TraceParent;
use crate::{body, status};
use domain::ports::SharedClock;
use futures::future::BoxFuture;
use http::{HeaderMap, Request, Response, header};
use identity::{AuthError, Authenticator, Caller};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

/// Recognises callers by their bearer tokens.
#[async_trait::async_trait]
pub trait Authenticate: Send + Sync + 'static {
    /// The caller that `bearer` proves.
    async fn authenticate(&self, bearer: &str) -> Result<Caller, AuthError>;
}

#[async_trait::async_trait]
impl Authenticate for Authenticator {
    async fn authenticate(&self, bearer: &str) -> Result<Caller, AuthError> {
        Self::authenticate(self, bearer).await
    }
}

/// Who calls, as the gate found. Services read it with [`call`].
#[derive(Clone, Debug)]
pub struct Call {
    /// The verified identity.
    pub caller: Caller,
    /// Its roles.
    pub roles: Held,
    /// The W3C trace context of the call, for the events that it causes.
    pub trace_parent: Option<TraceParent>,
}

impl Call {
    /// The trace context, as events keep it.
    pub fn trace(&self) -> Option<String> {
        self.trace_parent.as_ref().map(|trace| trace.as_str().to_owned())
    }
}

/// Who makes this call. A request that did not come through the gate has nobody, and is refused.
pub fn call<T>(request: &tonic::Request<T>) -> Result<&Call, Status> {
    request.extensions().get::<Call>().ok_or_else(|| status::unauthenticated("TOKEN_MISSING", "nobody calls"))
}

/// What the gate knows.
#[derive(Clone)]
pub struct Gate {
    authenticate: Arc<dyn Authenticate>,
    directory: Option<Arc<dyn DirectoryGroups>>,
    roles: Arc<Roles>,
    clock: SharedClock,
    reflection: bool,
}

impl Gate {
    /// A gate that recognises callers with `authenticate` and knows their roles. Reflection is closed.
    pub fn new(authenticate: Arc<dyn Authenticate>, roles: Roles, clock: SharedClock) -> Self {
        Self { authenticate, directory: None, roles: Arc::new(roles), clock, reflection: false }
    }

    /// Also asks `directory` for groups that tokens do not tell.
    #[must_use]
    pub fn with_directory(mut self, directory: Arc<dyn DirectoryGroups>) -> Self {
        self.directory = Some(directory);
        self
    }

    /// Lets everyone ask which services there are.
    #[must_use]
    pub fn with_reflection(mut self, open: bool) -> Self {
        self.reflection = open;
        self
    }

    /// `None`: the method is open to everyone, and learns nothing about the caller.
    async fn admit(
        &self,
        path: &str,
        headers: &HeaderMap,
        trusted: Option<Trusted>,
        peer: Option<Peer>,
    ) -> Result<Option<Call>, Status> {
        let Some(method) = api::method(path) else {
            if is_health(path) || (self.reflection && is_reflection(path)) {
                return Ok(None);
            }
            return Err(status::unimplemented("there is no such method"));
        };
        let (caller, roles) = if let Some(Trusted(caller)) = trusted {
            (caller, Held { service: true, ..Held::default() })
        } else if let Some(peer) = peer.filter(|_| !headers.contains_key(header::AUTHORIZATION)) {
            self.by_certificate(&peer)?
        } else {
            let known = self.authenticate.authenticate(bearer(headers)?).await;
            let caller = known.map_err(|error| refused(&error))?;
            let roles = self.roles.held_by(&caller, self.directory.as_deref());
            (caller, roles)
        };
        if !roles.may(caller.actor.kind, method.access) {
            let wanted = method.access.iter().map(api::Access::as_str_name).collect::<Vec<_>>().join(", ");
            return Err(status::permission_denied(
                "ACCESS_DENIED",
                "this caller may not call this method",
                &[("method", method.path), ("access", &wanted)],
            ));
        }
        Ok(Some(Call { caller, roles, trace_parent: TraceParent::current(headers) }))
    }

    /// The service that `peer` is.
    fn by_certificate(&self, peer: &Peer) -> Result<(Caller, Held), Status> {
        let caller = peer.caller().ok().filter(|caller| self.roles.held_by(caller, None).service);
        let unknown =
            || status::unauthenticated("CERTIFICATE_UNKNOWN", "no service has this certificate's SPIFFE id");
        let caller = caller.ok_or_else(unknown)?;
        if caller.expires_at <= self.clock.now() {
            return Err(status::unauthenticated(
                "CERTIFICATE_EXPIRED",
                "connect again with a new certificate",
            ));
        }
        Ok((caller, Held { service: true, ..Held::default() }))
    }

    /// When the token, or the certificate, of `call` runs out.
    fn end_of(&self, call: &Call) -> Instant {
        let left = call.caller.expires_at.duration_since(self.clock.now());
        // A token for longer than a day is looked at again after a day.
        Instant::now() + Duration::try_from(left).unwrap_or(Duration::ZERO).min(Duration::from_hours(24))
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").field("roles", &self.roles).finish_non_exhaustive()
    }
}

pub(crate) fn is_health(path: &str) -> bool {
    path.starts_with("/grpc.health.v1.Health/")
}

fn is_reflection(path: &str) -> bool {
    path.starts_with("/grpc.reflection.v1.ServerReflection/")
        || path.starts_with("/grpc.reflection.v1alpha.ServerReflection/")
}

/// The token of the one `authorization` header.
fn bearer(headers: &HeaderMap) -> Result<&str, Status> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let missing = || status::unauthenticated("TOKEN_MISSING", "a bearer token is needed");
    let value = values.next().ok_or_else(missing)?;
    if values.next().is_some() {
        return Err(status::unauthenticated("TOKEN_AMBIGUOUS", "one call has one token"));
    }
    let (scheme, token) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(missing)?;
    if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() { Ok(token) } else { Err(missing()) }
}

fn refused(error: &AuthError) -> Status {
    match error.retry_after() {
        Some(retry_after) => {
            let retry_after = Duration::try_from(retry_after).unwrap_or(Duration::from_secs(1));
            status::unavailable(error.reason(), error.to_string(), retry_after)
        }
        None => status::unauthenticated(error.reason(), error.to_string()),
    }
}

fn expired() -> Status {
    status::unauthenticated("TOKEN_EXPIRED", "the token has expired")
}

impl<S> Layer<S> for Gate {
    type Service = Gated<S>;
    fn layer(&self, inner: S) -> Gated<S> {
        Gated { inner, gate: self.clone() }
    }
}

/// A service behind the gate.
#[derive(Clone, Debug)]
pub struct Gated<S> {
    inner: S,
    gate: Gate,
}

impl<S> Service<Request<Body>> for Gated<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        // The one that is ready serves this call; a clone waits for the next.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let gate = self.gate.clone();
        Box::pin(async move {
            let trusted = request.extensions_mut().remove::<Trusted>();
            let peer = request.extensions_mut().remove::<OtherEnd>().and_then(|OtherEnd(peer)| peer);
            // Whatever it was, it did not come from this gate.
            request.extensions_mut().remove::<Call>();
            let path = request.uri().path().to_owned();
            let call = match gate.admit(&path, request.headers(), trusted, peer).await {
                Ok(call) => call,
                Err(status) => {
                    tracing::debug!(%path, code = ?status.code(), "call refused at the gate");
                    return Ok(status.into_http());
                }
            };
            let end = call.as_ref().map(|call| gate.end_of(call));
            // The token is the gate's business; behind it, it can only leak.
            request.headers_mut().remove(header::AUTHORIZATION);
            if let Some(call) = call {
                request.extensions_mut().insert(call);
            }
            let answer = inner.call(request).await?;
            Ok(match end {
                Some(end) => answer.map(|inner| body::until(inner, end, expired)),
                None => answer,
            })
        })
    }
}

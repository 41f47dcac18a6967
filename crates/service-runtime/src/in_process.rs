//! Calling a service without a socket: from tests and simulations, and between the services of one process.
//!
//! INVARIANT: a call from inside of the process passes the same gate and the same access table. It differs in one thing: it
//! need not prove by a token that it is a service, because only code of this process can make it.

use crate::auth::Gate;
use crate::deadline::DeadlineLayer;
use crate::outgoing::Connection;
use domain::{Actor, ActorKind, Invalid, Issuer, Person, Subject, Timestamp};
use futures::future::BoxFuture;
use http::{Request, Response};
use identity::Caller;
use std::convert::Infallible;
use std::task::{Context, Poll};
use std::time::Duration;
use tonic::body::Body;
use tonic::service::Routes;
use tower::{BoxError, Layer, Service, ServiceExt as _};

/// Who calls from inside of the process. Private to this crate: nobody else can make one, and extensions do not travel.
#[derive(Clone)]
pub(crate) struct Trusted(pub(crate) Caller);

/// Routes behind deadlines and the gate: everything that the network meets, without the network. A generated client takes it
/// as its transport; tests call it with tokens.
#[derive(Clone, Debug)]
pub struct Guarded {
    inner: crate::deadline::Deadline<crate::auth::Gated<Routes>>,
}

impl Guarded {
    /// `routes` behind `gate`.
    pub fn new(routes: Routes, gate: &Gate, call_duration_max: Duration) -> Self {
        Self { inner: DeadlineLayer::new(call_duration_max).layer(gate.layer(routes.prepare())) }
    }
}

impl Service<Request<Body>> for Guarded {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.inner.call(request)
    }
}

/// The way from one service to another in the same process.
#[derive(Clone)]
pub struct InProcess {
    to: Guarded,
    caller: Caller,
}

impl InProcess {
    /// Calls `to` as the service of this name.
    pub fn new(to: Guarded, service: &str) -> Result<Self, Invalid> {
        let person = Person { issuer: Issuer::new("daypass:in-process")?, subject: Subject::new(service)? };
        let actor = Actor { person, kind: ActorKind::Workload, client_id: None, auth_time: None, acr: None };
        // Nothing expires while the process lives.
        let caller = Caller { actor, groups: None, directory_id: None, expires_at: Timestamp::MAX };
        Ok(Self { to, caller })
    }

    /// The same as a [`Connection`], as it is to a neighbour in another process.
    pub fn connection(self) -> Connection {
        Connection::new(self.map_err(BoxError::from))
    }
}

impl Service<Request<Body>> for InProcess {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.to.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        request.extensions_mut().insert(Trusted(self.caller.clone()));
        crate::deadline::propagate(request.headers_mut());
        crate::trace::propagate(request.headers_mut());
        self.to.call(request)
    }
}

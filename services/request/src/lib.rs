//! Requests are raised, taken back and looked at here; and the organisation is told, as far as Daypass knows it.
//!
//! - `ask`: an ask as values; `requester`: who is to hold the access; `raise`: everything that raising rests on, put before
//!   the decider; `deciders`: whether there are people who could agree.
//! - `viewer`: who is looking, and what they may know of; `filter`: which requests; `watch`: requests as they change.
//! - `entitlements`: what someone may ask for; `timeline`: the story of a request, for people.
//! - `signal`: what is told from outside, believed, recorded and followed; `process`: taking it from the bus, and what of it was
//!   left to do; `meters`: what operators can watch of it.
//! - `grpc`: one verb each; `directory`: `DirectoryService`; `status`: the refusals that are this service's own.
//!
//! INVARIANT: rules are `policy`'s, decisions `lifecycle`'s; here facts are gathered for them. Works without sockets, threads and
//! tasks of its own.

mod answer;
mod ask;
mod deciders;
mod directory;
mod entitlements;
mod filter;
mod grpc;
mod meters;
mod process;
mod raise;
mod requester;
mod signal;
mod status;
mod timeline;
mod viewer;
mod watch;

pub use signal::{SourceError, Sources};

use api::request::v1::directory_service_server::DirectoryServiceServer;
use api::request::v1::request_service_server::RequestServiceServer;
use api::request::v1::signal_service_server::SignalServiceServer;
use command::Commander;
use directory::DirectoryService;
use journal::Service;
use messaging::IncomingBus;
use opentelemetry::metrics::Meter;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use views::Views;

/// The service. Clones share everything.
#[derive(Clone, Debug)]
pub struct RequestService {
    views: Views,
    commander: Commander,
    served: raise::Served,
    pending_max: usize,
    sources: Sources,
    meter: Meter,
}

/// How many requests one person may have pending, unless a deployment says otherwise: far more than anybody waits for, and few
/// enough that one runaway program does not bury what others ask for.
pub const PENDING_PER_PERSON_MAX: usize = 100;

impl RequestService {
    /// A service over what is seen. Does nothing until it is called.
    pub fn new(views: Views) -> Self {
        let commander = Commander::new(Arc::clone(&views.log), Service::Request, Arc::clone(&views.clock));
        Self {
            views,
            commander,
            served: raise::Served::default(),
            pending_max: PENDING_PER_PERSON_MAX,
            sources: Sources::default(),
            meter: opentelemetry::global::meter("daypass"),
        }
    }

    /// The same, where roles can also be given through Account Access Manager, or not.
    #[must_use]
    pub fn with_account_access(self, account_access: bool) -> Self {
        Self { served: raise::Served { account_access }, ..self }
    }

    /// The same, with another bound on how many requests one person may have pending; `usize::MAX`: none, and none are counted.
    #[must_use]
    pub fn with_pending_max(self, pending_max: usize) -> Self {
        Self { pending_max, ..self }
    }

    /// The same, believing these outside; without, nobody is.
    #[must_use]
    pub fn with_sources(self, sources: Sources) -> Self {
        Self { sources, ..self }
    }

    /// The same, measuring by another meter than the one of the process.
    #[must_use]
    pub fn with_meter(self, meter: Meter) -> Self {
        Self { meter, ..self }
    }

    /// Does what is left to do of signals, until `shutdown`. May be dropped anywhere, and may run in several replicas at once.
    pub async fn run(&self, shutdown: CancellationToken) {
        process::raise_for_person::run(self, &shutdown).await;
    }

    /// Takes signals from `bus`, until `shutdown`. May be dropped anywhere, and may run in several replicas at once.
    pub async fn take_signals(&self, bus: Arc<dyn IncomingBus>, shutdown: CancellationToken) {
        process::take_signals::run(self, bus.as_ref(), &shutdown).await;
    }

    /// The gRPC services of this crate, alone.
    pub fn routes(&self) -> Routes {
        let mut routes = Routes::default();
        self.add_to(&mut routes);
        routes
    }

    /// Adds the gRPC services of this crate to others.
    pub fn add_to(&self, routes: &mut Routes) {
        *routes = std::mem::take(routes)
            .add_service(RequestServiceServer::new(self.clone()))
            .add_service(DirectoryServiceServer::new(DirectoryService::new(self.views.clone())))
            .add_service(SignalServiceServer::new(self.clone()));
    }
}

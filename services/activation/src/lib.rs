//! Activation: access begins, is used, and ends.
//!
//! - [`Ports`]: the parts of AWS that it changes; [`Settings`]: every bound that this service keeps, with its reason.
//! - `agenda`: what is due when, from the read model of requests, the soonest first; `process/reconcile`: the loop that does it;
//!   `process/duty`: which of several replicas does; `traffic`: what AWS takes, a second and at a time.
//! - `lifetime`: one request: ended at its end, activated and closed where it is about credentials.
//! - `eligibility`: requester, approvers and policy, looked at again before access is given.
//! - `assignment`: one assignment in Identity Center, made to agree with what requests need: need, ledger, call, observation.
//! - `sweep`: what no request asks for, found and, where it is ours, removed; `sweep/left`: what of that is not removed;
//!   `sweep/standing`: what others made and is gone; `sweep/unknown`: what a restored log did not know;
//!   `process/sweep`: the loop that looks.
//! - `restored`: a log that was restored from a backup: AWS is looked through before anything is granted.
//! - `denial`: live sessions of requests that ended early, denied in their account; `process/deny`: the loop that does it.
//! - `process/heed`: signals from outside that end requests.
//! - `meters`: what is counted and measured for operators.
//! - `session`: how credentials are named, tagged and bound; `role_limits`: for how long roles may be had; `grpc`: one verb each.
//!
//! INVARIANT: what is true is in the log; everything in memory can be lost at any await and is found again. No call that
//! changes AWS is made without an attempt in the log that intends it, and no credentials leave without an event that says so.
//! Deliberately absent: sockets, threads, engines, and every rule about who may have what.

mod agenda;
mod assignment;
mod core;
mod denial;
mod eligibility;
mod fault;
mod grpc;
mod lifetime;
mod meters;
mod ports;
mod process;
mod restored;
mod role_limits;
mod session;
mod settings;
mod status;
mod sweep;
mod traffic;

pub use ports::Ports;
pub use settings::{Missing, Settings};

use crate::core::Core;
use api::activation::v1::activation_service_server::ActivationServiceServer;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use views::Views;

/// The service. Clones share everything.
#[derive(Clone)]
pub struct ActivationService {
    core: Arc<Core>,
}

impl ActivationService {
    /// A service over what is seen (`views`) and the parts of AWS that it changes. Does nothing yet.
    pub fn new(views: Views, ports: Ports, settings: Settings) -> Self {
        Self { core: Arc::new(Core::new(views, ports, settings)) }
    }

    /// The gRPC service.
    pub fn server(&self) -> ActivationServiceServer<Self> {
        ActivationServiceServer::new(self.clone())
    }

    /// Adds the gRPC service to `routes`.
    pub fn add_to(&self, routes: &mut tonic::service::Routes) {
        *routes = std::mem::take(routes).add_service(self.server());
    }

    /// The gRPC service, as routes.
    pub fn routes(&self) -> tonic::service::Routes {
        tonic::service::Routes::new(self.server())
    }

    /// Keeps AWS as the log says until `shutdown`. May be dropped anywhere: the next run goes on from the log.
    pub async fn run(&self, shutdown: CancellationToken) {
        tokio::join!(
            Box::pin(process::reconcile::run(&self.core, &shutdown)),
            Box::pin(process::deny::run(&self.core, &shutdown)),
            Box::pin(process::heed::run(&self.core, &shutdown)),
            Box::pin(process::sweep::run(&self.core, &shutdown)),
        );
    }

    /// How many ended requests have something left in AWS, and how many assignments that nobody needs are, for longer than
    /// [`Settings::removal_late_after`], as far as this process knows. Zero is healthy.
    pub fn overdue(&self) -> usize {
        let (now, late_after) = (self.core.now(), self.core.settings.removal_late_after);
        let of_requests = self.core.agenda.overdue(now, late_after).len();
        of_requests.saturating_add(self.core.agenda.left_for(now, late_after).len())
    }
}

impl std::fmt::Debug for ActivationService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ActivationService").field("settings", &self.core.settings).finish_non_exhaustive()
    }
}

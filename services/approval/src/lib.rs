//! Approval: who may do what, and the decisions on what was asked for.
//!
//! - `current`: what the policy says now of a request that was raised earlier; the check before every decision.
//! - `evidence`: who the people of a decision are, and their groups, as they are known at that moment.
//! - `decision`: one person's yes or no, carried out; `waiting`: what waits for whom, for lists and watches, with what the policy `said`.
//! - `process/pending`: what nobody has to decide: expiry, approval by rule, the end of requests whose rule is gone.
//! - `policies`: the policy's own story, for reading and for seeding.
//! - `grpc`: one verb each; `status`: the service's own refusals.
//!
//! INVARIANT: a decision rests on policy, directory and groups as they are at that decision, fetched anew for each try;
//! what cannot be proved is refused, and nothing is written. The rules themselves are `lifecycle`'s and `policy`'s.
//! Deliberately absent: sockets, threads, engines, AWS.

mod core;
mod current;
mod decision;
mod evidence;
mod grpc;
mod policies;
mod process;
mod said;
mod status;
mod waiting;

pub use crate::policies::seed::{SeedError, Seeded};

use crate::core::Core;
use api::approval::v1::approval_service_server::ApprovalServiceServer;
use api::approval::v1::policy_service_server::PolicyServiceServer;
use domain::Actor;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use views::Views;

/// The service. Clones share everything.
#[derive(Clone)]
pub struct ApprovalService {
    core: Arc<Core>,
}

impl ApprovalService {
    /// A service over what is seen (`views`). Does nothing yet.
    pub fn new(views: Views) -> Self {
        Self { core: Arc::new(Core::new(views)) }
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
            .add_service(ApprovalServiceServer::new(self.clone()))
            .add_service(PolicyServiceServer::new(self.clone()));
    }

    /// Does what nobody has to decide, until `shutdown`. May be dropped anywhere, and may run in several replicas at once.
    pub async fn run(&self, shutdown: CancellationToken) {
        process::pending::run(&self.core, &shutdown).await;
    }

    /// Applies the policy file `toml` if no policy was ever proposed or applied; otherwise says in the log that it is ignored.
    pub async fn seed(&self, toml: &str, author: Actor) -> Result<Seeded, SeedError> {
        crate::policies::seed::seed(&self.core, toml, author).await
    }
}

impl std::fmt::Debug for ApprovalService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApprovalService").finish_non_exhaustive()
    }
}

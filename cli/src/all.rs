//! All four services in one process, over one set of views.

use activation::{ActivationService, Ports};
use approval::{ApprovalService, SeedError};
use audit::{AuditService, RelaySettings};
use domain::Actor;
use futures::future::BoxFuture;
use messaging::{IncomingBus, OutgoingBus};
use request::RequestService;
use std::path::Path;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use views::Views;
use wiring::cloud::Cloud;
use wiring::{StartError, Work};

/// The bus, where there is one.
#[derive(Default)]
pub(crate) struct Bus {
    /// Where events go out to, and how.
    pub(crate) outgoing: Option<(Arc<dyn OutgoingBus>, RelaySettings)>,
    /// Where signals come in from.
    pub(crate) incoming: Option<Arc<dyn IncomingBus>>,
}

/// What a process with all services does. A policy is applied first, if none ever was. `pending_max` bounds the pending
/// requests of a person.
pub(crate) async fn work(
    views: &Views,
    cloud: &Cloud,
    folder: &Path,
    (pending_max, sources, activation): (usize, request::Sources, activation::Settings),
    bus: Bus,
    seed: Option<(&str, Actor)>,
    shutdown: &CancellationToken,
) -> Result<Work, StartError> {
    let request = RequestService::new(views.clone())
        .with_account_access(cloud.account_access.is_some())
        .with_pending_max(pending_max)
        .with_sources(sources);
    let approval = ApprovalService::new(views.clone());
    let ports = Ports::new(cloud.assignments.clone(), cloud.sts.clone())
        .with_federation(cloud.federation.clone())
        .with_session_denials(cloud.session_denials.clone());
    let ports = match &cloud.account_access {
        Some(account_access) => ports.with_account_access(Arc::clone(account_access)),
        None => ports,
    };
    let activation = ActivationService::new(views.clone(), ports, activation);
    let (audit, follower) = AuditService::open(views.clone(), Some(folder))?;
    if let Some((policy, author)) = seed {
        approval.seed(policy, author).await.map_err(|error| match error {
            SeedError::Log(why) => StartError::Unavailable(why),
            SeedError::Invalid(_) => StartError::Other(error.to_string()),
        })?;
    }
    let mut routes = Routes::default();
    request.add_to(&mut routes);
    approval.add_to(&mut routes);
    activation.add_to(&mut routes);
    audit.add_to(&mut routes);
    let (raise, decide, activate, index) =
        (shutdown.clone(), shutdown.clone(), shutdown.clone(), shutdown.clone());
    let (takes, take) = (request.clone(), shutdown.clone());
    let mut background: Vec<BoxFuture<'static, ()>> = vec![
        Box::pin(async move { request.run(raise).await }),
        Box::pin(async move { approval.run(decide).await }),
        Box::pin(async move { activation.run(activate).await }),
        Box::pin(follower.run(index.cancelled_owned())),
    ];
    if let Some(signals) = bus.incoming {
        background.push(Box::pin(async move { takes.take_signals(signals, take).await }));
    }
    if let Some((bus, settings)) = bus.outgoing {
        background.push(Box::pin(audit.relay(bus, settings).run(shutdown.clone().cancelled_owned())));
    }
    let read_models = vec![audit.events().projection().clone()];
    let services = wiring::services_of("daypass");
    Ok(Work { routes, services, read_models, background, ..Work::default() })
}

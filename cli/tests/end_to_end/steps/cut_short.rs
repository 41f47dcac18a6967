//! Audit is killed while it tells history: the part that was heard must not pass for the whole.

use crate::deployment::{Deployment, Service};
use crate::world::{PATIENCE, Transport, World};
use api::audit::v1::audit_service_client::AuditServiceClient;
use api::audit::v1::{ReplayRequest, ReplayResponse};
use futures::TryStreamExt as _;
use tokio::time::timeout;

/// How many bytes are sent ahead of whoever listens: a few events, of hundreds. So audit is in the midst of them until it is listened to.
const WINDOW: u32 = 4 << 10;

/// The whole of it.
fn everything() -> ReplayRequest {
    ReplayRequest { with_envelope: true, ..ReplayRequest::default() }
}

/// Eve hears the first event, and then that there is no more to come from a process that died; asked again, it tells all.
pub(super) async fn is_told(world: &World, deployment: &mut Deployment) {
    let place = Service::Audit.place();
    deployment.programs().get_mut(place).unwrap().until_ready().await;
    let mut audit = listener(world, deployment);
    let mut telling = audit.replay(everything()).await.unwrap().into_inner();
    let first = timeout(PATIENCE, telling.message()).await.unwrap().unwrap().unwrap();
    super::replace(deployment, place);
    let mut told = vec![first];
    let end = loop {
        match timeout(PATIENCE, telling.message()).await.unwrap() {
            Ok(Some(part)) => told.push(part),
            end => break end,
        }
    };
    assert!(end.is_err(), "{} events, and they look like all", told.len());
    assert!(told.iter().all(|part| part.complete_to.is_empty()), "it was not done");

    deployment.programs().get_mut(place).unwrap().until_ready().await;
    let mut audit = listener(world, deployment);
    let again = audit.replay(everything()).await.unwrap().into_inner();
    let whole: Vec<ReplayResponse> = timeout(PATIENCE, again.try_collect()).await.unwrap().unwrap();
    assert!(whole.last().is_some_and(|part| !part.complete_to.is_empty()));
    assert!(told.len() < whole.len() && whole.starts_with(&told), "{} of {}", told.len(), whole.len());
}

/// Eve, on a connection on which little is sent ahead.
fn listener(world: &World, deployment: &Deployment) -> AuditServiceClient<Transport> {
    let endpoint = deployment.endpoint(Service::Audit).initial_stream_window_size(WINDOW);
    AuditServiceClient::new(world.signed_in("eve", endpoint.connect_lazy()))
}

//! Asks for access.

use crate::RequestService;
use crate::raise::Naming;
use api::request::v1::{CreateRequestRequest, CreateRequestResponse};
use domain::{EventId, RequestId};
use prost::Message as _;
use tonic::{Request, Status};
use views::refusal;

pub(crate) async fn call(
    service: &RequestService,
    request: Request<CreateRequestRequest>,
) -> Result<CreateRequestResponse, Status> {
    let call = service_runtime::call(&request)?.clone();
    let message = request.into_inner();
    let ask = message.ask.as_ref().ok_or_else(|| refusal::field("ask", "must be set"))?;
    let person = &call.caller.actor.person;
    let key = &message.idempotency_key;
    let naming = Naming {
        request: RequestId::derive(person, "create", key),
        event: EventId::derive(person, "create", key),
        digest: Some(service.views.digest(person, &ask.encode_to_vec()).await?),
        batch: None,
    };
    let shown = service.raise(&call, ask, "ask", naming).await?;
    Ok(CreateRequestResponse { request: Some(shown.request), position: service.views.token(shown.position) })
}

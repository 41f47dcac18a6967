//! Asks for access.

use crate::RequestService;
use crate::call::Call;
use crate::raise::Naming;
use crate::status::Refused;
use api::request::v1::{CreateRequestRequest, CreateRequestResponse};
use domain::{EventId, RequestId};
use prost::Message as _;
use tonic::{Request, Status};
use views::refusal;

pub(crate) async fn call(
    service: &RequestService,
    request: Request<CreateRequestRequest>,
) -> Result<CreateRequestResponse, Status> {
    let call = Call::of(&request)?;
    let message = request.into_inner();
    let ask = message.ask.as_ref().ok_or_else(|| refusal::field("ask", "must be set"))?;
    let person = &call.caller.actor.person;
    let key = &message.idempotency_key;
    let naming = Naming {
        request: RequestId::derive(person, "create", key),
        event: EventId::derive(person, "create", key),
        digest: service.digest(&call, &ask.encode_to_vec())?,
        batch: None,
    };
    let shown = service.raise(&call, ask, "ask", naming).await?;
    Ok(CreateRequestResponse { request: Some(shown.request), position: service.token(shown.position) })
}

impl RequestService {
    /// The digest of a command, under a key of who gives it: the same command again has the same, another one does not.
    pub(crate) fn digest(&self, call: &Call, command: &[u8]) -> Result<[u8; 32], Status> {
        let key = self.views.keys.obtain(&call.caller.actor.person.id());
        Ok(key.map_err(|error| refusal::status(&Refused::from(error)))?.digest(command))
    }
}

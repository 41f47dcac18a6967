//! Takes a signal in, from a program that is configured to be believed.

use crate::RequestService;
use crate::signal::ingest::Telling;
use crate::signal::told::Told;
use crate::status::Refused;
use api::request::v1::{IngestSignalRequest, IngestSignalResponse};
use tonic::{Request, Status};
use views::refusal;

pub(crate) async fn call(
    service: &RequestService,
    request: Request<IngestSignalRequest>,
) -> Result<IngestSignalResponse, Status> {
    let call = service_runtime::call(&request)?.clone();
    let message = request.into_inner();
    // Somebody else's source and none are the same to a caller.
    let source = service.sources.named(&message.source).filter(|source| source.is(&call.caller));
    let source = source.ok_or_else(|| refusal::status(&Refused::SourceUnknown))?;
    let told = Told::read(&message)?;
    let telling = Telling {
        source,
        actor: call.caller.actor.clone(),
        trace: call.trace(),
        at: service.views.clock.now(),
        now: service.views.clock.latest(),
    };
    let ingested = service.ingest(&told, &telling).await.map_err(refusal::command)?;
    let raised = ingested.raised.transpose().map_err(refusal::command)?;
    Ok(IngestSignalResponse {
        signal_id: ingested.id,
        position: service.views.token(ingested.position),
        request_id: raised.map(|id| id.to_string()).unwrap_or_default(),
    })
}

//! One request, to those who may know of it.

use crate::RequestService;
use api::request::v1::{GetRequestRequest, GetRequestResponse};
use domain::RequestId;
use tonic::{Request, Status};
use views::refusal;

pub(crate) async fn call(
    service: &RequestService,
    request: Request<GetRequestRequest>,
) -> Result<GetRequestResponse, Status> {
    let call = service_runtime::call(&request)?.clone();
    let message = request.into_inner();
    let id: RequestId = message.request_id.parse().map_err(refusal::invalid("request_id"))?;
    service.views.reach(&message.wait_for_position).await?;
    let story = service.views.requests.get(&id).map_err(|error| refusal::status(&error))?;
    let story = story.ok_or_else(|| refusal::not_found("request"))?;
    if !service.viewer(&call.caller).await?.sees(&story) {
        return Err(refusal::not_found("request"));
    }
    Ok(GetRequestResponse {
        request: Some(service.views.show(&story).await),
        timeline: if message.with_timeline { service.timeline(&story).await } else { Vec::new() },
    })
}

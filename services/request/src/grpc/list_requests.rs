//! Requests, newest first.

use crate::RequestService;
use crate::filter::Filter;
use api::request::v1::{ListRequestsRequest, ListRequestsResponse};
use prost::Message as _;
use tonic::{Request, Status};
use views::page;
use views::requests::Cursor;

pub(crate) async fn call(
    service: &RequestService,
    request: Request<ListRequestsRequest>,
) -> Result<ListRequestsResponse, Status> {
    let call = service_runtime::call(&request)?.clone();
    let message = request.into_inner();
    let asked = message.filter.unwrap_or_default();
    let filter = Filter::read(&asked)?;
    let (person, encoded) = (call.caller.actor.person.id(), asked.encode_to_vec());
    let question: [&[u8]; 3] = [b"ListRequests", person.as_str().as_bytes(), &encoded];
    let before = page::place(&question, &message.page_token, |key| key.parse().ok().map(Cursor))?;
    service.views.reach(&message.wait_for_position).await?;
    let viewer = service.viewer(&call.caller).await?;
    filter.check(&viewer)?;
    let page = service.page(&viewer, &filter, before, page::size(message.page_size)).await?;
    Ok(ListRequestsResponse {
        requests: service.views.show_all(&page.stories).await,
        next_page_token: page
            .next
            .map(|next| page::token(&question, &next.0.to_string()))
            .unwrap_or_default(),
    })
}

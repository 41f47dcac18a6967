//! Requests as they stand, then every change.

use crate::RequestService;
use crate::filter::Filter;
use crate::watch;
use api::request::v1::{WatchRequestsRequest, WatchRequestsResponse};
use tonic::codegen::BoxStream;
use tonic::{Request, Status};

pub(crate) async fn call(
    service: &RequestService,
    request: Request<WatchRequestsRequest>,
) -> Result<BoxStream<WatchRequestsResponse>, Status> {
    let call = service_runtime::call(&request)?.clone();
    let message = request.into_inner();
    let filter = Filter::read(&message.filter.unwrap_or_default())?;
    service.views.reach(&message.wait_for_position).await?;
    filter.check(&service.viewer(&call.caller).await?)?;
    Ok(Box::pin(watch::watch(service.clone(), call.caller, filter)))
}

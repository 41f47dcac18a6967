//! Takes a request back.
//!
//! Rests on the request alone: neither policy nor directory need be there for someone to ask for less.

use crate::RequestService;
use crate::status::Refused;
use api::request::v1::{WithdrawRequestRequest, WithdrawRequestResponse};
use command::CommandError;
use command::aggregate::RequestAggregate;
use domain::RequestId;
use journal::{Fact, Stream};
use lifecycle::{Rejection, raise};
use policy::Settings;
use tonic::{Request, Status};
use views::refusal;

pub(crate) async fn call(
    service: &RequestService,
    request: Request<WithdrawRequestRequest>,
) -> Result<WithdrawRequestResponse, Status> {
    let call = service_runtime::call(&request)?.clone();
    let message = request.into_inner();
    let id: RequestId = message.request_id.parse().map_err(refusal::invalid("request_id"))?;
    let group_age_max = Settings::default().group_age_max;
    let who = service.views.who(&call.caller, group_age_max)?;
    let (operation, key) = (format!("withdraw:{id}"), &message.idempotency_key);
    let command = service.views.command(&call.caller, call.trace(), &operation, key, id.as_bytes()).await?;
    let outcome = service
        .commander
        .execute::<RequestAggregate, Refused>(Stream::Request(id), command, |loaded, at| {
            let request = loaded.state.as_ref().ok_or(Rejection::NotFound)?;
            Ok(Fact::Request(raise::withdraw(request, &who.acting, at)?))
        })
        .await;
    match outcome {
        Ok(outcome) => {
            let shown = service.shown(id, outcome).await?;
            let position = service.views.token(shown.position);
            Ok(WithdrawRequestResponse { request: Some(shown.request), position })
        }
        // Somebody else's: whether it is there at all is only for those who may know of it.
        Err(CommandError::Refused(Refused::Rejected(Rejection::NotEntitled | Rejection::NotFound))) => {
            let story = service.views.requests.get(&id).map_err(|error| refusal::status(&error))?;
            let viewer = service.viewer(&call.caller).await?;
            match story.filter(|story| viewer.sees(story)) {
                Some(_) => Err(refusal::status(&Rejection::NotEntitled)),
                None => Err(refusal::not_found("request")),
            }
        }
        Err(error) => Err(refusal::command(error)),
    }
}

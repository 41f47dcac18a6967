//! `Reject`.

use super::{id, key};
use crate::core::Core;
use crate::decision::{self, Word};
use api::approval::v1::{RejectRequest, RejectResponse};
use domain::RequestId;
use service_runtime::Call;
use tonic::Status;

pub(super) async fn reject(
    core: &Core,
    call: &Call,
    message: RejectRequest,
) -> Result<RejectResponse, Status> {
    let request_id: RequestId = id("request_id", &message.request_id)?;
    let key = key(&message.idempotency_key)?;
    let message = RejectRequest { idempotency_key: String::new(), ..message };
    let command = core.command(call, &format!("reject:{request_id}"), key.as_str(), &message).await?;
    let outcome = decision::decide(core, call, request_id, Word::No, command, &message.comment).await?;
    let (request, position) = core.answer(&request_id, outcome).await?;
    Ok(RejectResponse { request: Some(request), position })
}

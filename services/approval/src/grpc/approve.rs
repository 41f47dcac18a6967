//! `Approve`.

use super::{id, key};
use crate::core::Core;
use crate::decision::{self, Word};
use api::approval::v1::{ApproveRequest, ApproveResponse};
use domain::RequestId;
use service_runtime::Call;
use tonic::Status;

pub(super) async fn approve(
    core: &Core,
    call: &Call,
    message: ApproveRequest,
) -> Result<ApproveResponse, Status> {
    let request_id: RequestId = id("request_id", &message.request_id)?;
    let key = key(&message.idempotency_key)?;
    let message = ApproveRequest { idempotency_key: String::new(), ..message };
    let command = core.command(call, &format!("approve:{request_id}"), key.as_str(), &message).await?;
    let outcome = decision::decide(core, call, request_id, Word::Yes, command, &message.comment).await?;
    let (request, position) = core.answer(&request_id, outcome).await?;
    Ok(ApproveResponse { request: Some(request), position })
}

//! `daypass approve`: says yes.

use super::{Decision, Given};
use crate::client::Service;
use crate::error::Error;
use api::approval::v1::{ApproveRequest, approval_service_client::ApprovalServiceClient};

const EXAMPLES: &str = "\
Examples:
  daypass approve 7f3a9c
  daypass approve 7f3a9c --comment 'go ahead'";

/// Says yes. The request is approved once everyone has agreed who must
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) decision: Decision,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Error> {
    arguments
        .decision
        .give(
            Service::Approval,
            |Given { idempotency_key, request_id, comment }| ApproveRequest {
                idempotency_key,
                request_id,
                comment,
            },
            async |transport, request| ApprovalServiceClient::new(transport).approve(request).await,
            "daypass.approval.v1.ApproveResponse",
            |answer| answer.request.as_ref(),
        )
        .await
}

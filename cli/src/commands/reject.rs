//! `daypass reject`: says no.

use super::{Decision, Given};
use crate::client::Service;
use crate::error::Error;
use api::approval::v1::{RejectRequest, approval_service_client::ApprovalServiceClient};

const EXAMPLES: &str = "\
Examples:
  daypass reject 7f3a9c
  daypass reject 7f3a9c --comment 'not during the freeze'";

/// Says no, which is final
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
            |Given { idempotency_key, request_id, comment }| RejectRequest {
                idempotency_key,
                request_id,
                comment,
            },
            async |transport, request| ApprovalServiceClient::new(transport).reject(request).await,
            "daypass.approval.v1.RejectResponse",
            |answer| answer.request.as_ref(),
        )
        .await
}

//! `daypass revoke`: ends access now.

use super::{Decision, Given};
use crate::client::Service;
use crate::error::Error;
use api::activation::v1::{RevokeAccessRequest, activation_service_client::ActivationServiceClient};

const EXAMPLES: &str = "\
Examples:
  daypass revoke 7f3a9c
  daypass revoke 7f3a9c --comment 'laptop stolen'";

/// Ends access now: my own, or as an approver or administrator that of others
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
            Service::Activation,
            |Given { idempotency_key, request_id, comment }| RevokeAccessRequest {
                idempotency_key,
                request_id,
                comment,
            },
            async |transport, request| ActivationServiceClient::new(transport).revoke_access(request).await,
            "daypass.activation.v1.RevokeAccessResponse",
            |answer| answer.request.as_ref(),
        )
        .await
}

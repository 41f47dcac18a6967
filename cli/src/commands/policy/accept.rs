//! `daypass policy accept`: puts a proposal in force.

use super::Decision;
use crate::error::Error;
use api::approval::v1::AcceptPolicyRequest;

const EXAMPLES: &str = "\
Examples:
  daypass policy list --status proposed
  daypass policy accept 5b1e07";

/// Puts a proposal in force, which must be that of another administrator
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
            |idempotency_key, proposal_event_id| AcceptPolicyRequest { idempotency_key, proposal_event_id },
            async |mut policies, request| policies.accept_policy(request).await,
            "daypass.approval.v1.AcceptPolicyResponse",
            |answer| answer.record.as_ref(),
        )
        .await
}

//! `daypass policy discard`: gives a proposal up.

use super::Decision;
use crate::error::Error;
use api::approval::v1::DiscardPolicyRequest;

const EXAMPLES: &str = "\
Examples:
  daypass policy list --status proposed
  daypass policy discard 5b1e07";

/// Gives a proposal up, or refuses it
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
            |idempotency_key, proposal_event_id| DiscardPolicyRequest { idempotency_key, proposal_event_id },
            async |mut policies, request| policies.discard_policy(request).await,
            "daypass.approval.v1.DiscardPolicyResponse",
            |answer| answer.record.as_ref(),
        )
        .await
}

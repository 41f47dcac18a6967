//! `daypass policy discard`: gives a proposal up.

use super::{Decision, show_outcome};
use crate::arguments::Key;
use crate::client::{Client, Service};
use crate::error::Error;
use crate::lookup;
use api::approval::v1::{DiscardPolicyRequest, policy_service_client::PolicyServiceClient};

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
    let Decision { id, key, output, client } = arguments.decision;
    let client = Client::new(&client)?;
    let key = Key::or_new(key);
    let message = DiscardPolicyRequest {
        idempotency_key: key.as_str().to_owned(),
        proposal_event_id: lookup::policy_id(&client, &id).await?,
    };
    let answer = client
        .call(Service::Approval, message, async |transport, request| {
            PolicyServiceClient::new(transport)
                .max_decoding_message_size(super::POLICY_BYTES_MAX)
                .discard_policy(request)
                .await
        })
        .await
        .map_err(|error| error.of_command(&key))?;
    show_outcome(output, &key, "daypass.approval.v1.DiscardPolicyResponse", &answer, answer.record.as_ref())
}

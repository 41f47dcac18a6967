//! `daypass revoke`: ends access now.

use super::{Decision, show_outcome};
use crate::arguments::Key;
use crate::client::{Client, Service};
use crate::error::Error;
use crate::lookup;
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
    let Decision { id, comment, key, output, client } = arguments.decision;
    let client = Client::new(&client)?;
    let key = Key::or_new(key);
    let message = RevokeAccessRequest {
        idempotency_key: key.as_str().to_owned(),
        request_id: lookup::request_id(&client, &id).await?,
        comment,
    };
    let answer = client
        .call(Service::Activation, message, async |transport, request| {
            ActivationServiceClient::new(transport).revoke_access(request).await
        })
        .await
        .map_err(|error| error.of_command(&key))?;
    show_outcome(output, &key, "daypass.activation.v1.RevokeAccessResponse", &answer, answer.request.as_ref())
}

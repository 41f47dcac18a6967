//! `daypass approve`: says yes.

use super::{Decision, show_outcome};
use crate::arguments::Key;
use crate::client::{Client, Service};
use crate::error::Error;
use crate::lookup;
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
    let Decision { id, comment, key, output, client } = arguments.decision;
    let client = Client::new(&client)?;
    let key = Key::or_new(key);
    let message = ApproveRequest {
        idempotency_key: key.as_str().to_owned(),
        request_id: lookup::request_id(&client, &id).await?,
        comment,
    };
    let answer = client
        .call(Service::Approval, message, async |transport, request| {
            ApprovalServiceClient::new(transport).approve(request).await
        })
        .await
        .map_err(|error| error.of_command(&key))?;
    show_outcome(output, &key, "daypass.approval.v1.ApproveResponse", &answer, answer.request.as_ref())
}

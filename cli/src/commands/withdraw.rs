//! `daypass withdraw`: takes a request back.

use super::show_outcome;
use crate::arguments::{IdPrefix, Key};
use crate::client::{self, Client, Service};
use crate::error::Error;
use crate::lookup;
use crate::output::Format;
use api::request::v1::{WithdrawRequestRequest, request_service_client::RequestServiceClient};

const EXAMPLES: &str = "\
Examples:
  daypass withdraw 7f3a9c";

/// Takes my request back, while it waits or before its access starts. Later: daypass revoke
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The request: its id, or the beginning of it
    #[arg(value_name = "ID")]
    id: IdPrefix,
    /// Makes this the same command as an earlier one with the same key
    #[arg(long)]
    key: Option<Key>,
    #[arg(long, short, value_enum, default_value_t)]
    pub(crate) output: Format,
    #[command(flatten)]
    client: client::Arguments,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Error> {
    let client = Client::new(&arguments.client)?;
    let key = Key::or_new(arguments.key);
    let message = WithdrawRequestRequest {
        idempotency_key: key.as_str().to_owned(),
        request_id: lookup::request_id(&client, &arguments.id).await?,
    };
    let answer = client
        .command(Service::Request, &key, message, async |transport, request| {
            RequestServiceClient::new(transport).withdraw_request(request).await
        })
        .await?;
    let name = "daypass.request.v1.WithdrawRequestResponse";
    show_outcome(arguments.output, &key, name, &answer, answer.request.as_ref())
}

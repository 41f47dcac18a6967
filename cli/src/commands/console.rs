//! `daypass console`: a link that signs in to the AWS console.
//!
//! INVARIANT: standard output holds the link or nothing. Whoever has it is signed in, so it is opened by its reader alone: no
//! browser is started here, whose arguments others on the machine could read.

use crate::arguments::{IdPrefix, Key};
use crate::client::{self, Client, Service};
use crate::error::Error;
use crate::lookup;
use crate::output::{Format, json, print, text, warn};
use api::activation::v1::activation_service_client::ActivationServiceClient;
use api::activation::v1::{OpenConsoleRequest, OpenConsoleResponse};

const EXAMPLES: &str = "\
Examples:
  daypass console 7f3a9c
  daypass console 7f3a9c --destination https://eu-central-1.console.aws.amazon.com/s3/";

/// A link into the AWS console for my active access; whoever has it is signed in
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The request: its id, or the beginning of it
    #[arg(value_name = "ID")]
    id: IdPrefix,
    /// Where to arrive: a page of the AWS console; without it, its first one
    #[arg(long, value_name = "URL", default_value = "", hide_default_value = true)]
    destination: String,
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
    let id = lookup::request_id(&client, &arguments.id).await?;
    let given = arguments.key.is_some();
    let key = Key::or_new(arguments.key);
    let answer = match open(&client, &id, &arguments.destination, &key).await {
        // Our own call got through and its answer was lost: the link is gone, and another can be had.
        Err(error) if error.reason() == "ISSUED_ALREADY" && !given => {
            open(&client, &id, &arguments.destination, &Key::or_new(None)).await?
        }
        answer => answer?,
    };
    match arguments.output {
        Format::Json => {
            print(&json::text(&json::object("daypass.activation.v1.OpenConsoleResponse", &answer)?))
        }
        Format::Table => {
            if answer.sign_in_url.contains(text::is_unsafe) {
                return Err(Error::Failed("the server answered with a link that is none".to_owned()));
            }
            let (link, session) = (answer.link_expires_at, answer.session_expires_at);
            let (link, session) = (text::time(link.as_ref()), text::time(session.as_ref()));
            warn(&format!(
                "Open it before {link}; whoever has it is signed in. The session ends at {session}."
            ));
            print(&answer.sign_in_url)
        }
    }
}

async fn open(client: &Client, id: &str, destination: &str, key: &Key) -> Result<OpenConsoleResponse, Error> {
    let message = OpenConsoleRequest {
        idempotency_key: key.as_str().to_owned(),
        request_id: id.to_owned(),
        destination: destination.to_owned(),
    };
    client
        .call(Service::Activation, message, async |transport, request| {
            ActivationServiceClient::new(transport).open_console(request).await
        })
        .await
}

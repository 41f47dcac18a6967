//! `daypass request`: asks for access.

use super::show_outcome;
use crate::arguments::{IdPrefix, Key, When};
use crate::client::{self, Client, Service};
use crate::error::Error;
use crate::lookup;
use crate::output::Format;
use api::request::v1::{CreateRequestRequest, request_service_client::RequestServiceClient};
use api::types::v1::{Ask, AskedWindow};
use domain::ports::Clock as _;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  daypass request --account 111122223333 --entitlement Deployer --for 1h --because 'roll back release 42'
  daypass request --account payments --entitlement Deployer --for 30m --at 2026-11-21T02:00:00Z --because 'migration' --ticket OPS-7
  daypass request --account 111122223333 --entitlement Deployer --for 1h --because 'not done yet' --extends 7f3a9c";

/// Asks for access to one thing, for one length of time. Refused at once where no rule allows it
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The AWS account: its id or its name
    #[arg(long, value_name = "ID|NAME")]
    account: String,
    /// What to hold there: a permission set or a role, by ARN or by name
    #[arg(long, value_name = "ARN|NAME")]
    entitlement: String,
    /// For how long: 30m, 1h30m
    #[arg(long = "for", value_name = "DURATION", value_parser = crate::arguments::length)]
    pub(crate) duration: Duration,
    /// From when; without it, from the approval on
    #[arg(long, value_name = "TIME|+DURATION", allow_hyphen_values = false)]
    pub(crate) at: Option<When>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    because: String,
    /// The ticket that this is about
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    ticket: String,
    /// The rule to ask under, where several would do
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    rule: String,
    /// The request that this one extends
    #[arg(long, value_name = "ID")]
    pub(crate) extends: Option<IdPrefix>,
    /// Makes this the same command as an earlier one with the same key
    #[arg(long)]
    pub(crate) key: Option<Key>,
    #[arg(long, short, value_enum, default_value_t)]
    pub(crate) output: Format,
    #[command(flatten)]
    client: client::Arguments,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Error> {
    let client = Client::new(&arguments.client)?;
    let target = lookup::target(&client, &arguments.account, &arguments.entitlement).await?;
    let extends_request_id = match &arguments.extends {
        Some(id) => lookup::request_id(&client, id).await?,
        None => String::new(),
    };
    let start = arguments.at.map(|at| at.instant(service_runtime::clock::SystemClock.now()));
    let ask = Ask {
        target: Some(target),
        window: Some(AskedWindow {
            start: start.map(views::wire::time),
            duration: prost_types::Duration::try_from(arguments.duration).ok(),
        }),
        justification: arguments.because,
        ticket: arguments.ticket,
        rule_id: arguments.rule,
        on_behalf_of: None,
        extends_request_id,
        emergency: false,
    };
    let key = Key::or_new(arguments.key);
    let message = CreateRequestRequest { idempotency_key: key.as_str().to_owned(), ask: Some(ask) };
    let answer = client
        .command(Service::Request, &key, message, async |transport, request| {
            RequestServiceClient::new(transport).create_request(request).await
        })
        .await?;
    let name = "daypass.request.v1.CreateRequestResponse";
    show_outcome(arguments.output, &key, name, &answer, answer.request.as_ref())
}

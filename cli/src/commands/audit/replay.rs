//! `daypass audit replay`: events in the order of the log, as they come.
//!
//! INVARIANT: a replay that was cut short fails. As JSON it then is no whole array either.

use super::{Which, place, who};
use crate::arguments::IdPrefix;
use crate::client::{self, Client, Service};
use crate::commands::Freshness;
use crate::error::Error;
use crate::output::text::{details, time, visible};
use crate::output::{Format, json, print};
use api::audit::v1::audit_service_client::AuditServiceClient;
use api::audit::v1::{Event, Place, ReplayRequest};

const EXAMPLES: &str = "\
Examples:
  daypass audit replay 7f3a9c
  daypass audit replay --from 2026-11-20T00:00:00Z --to 2026-11-21T00:00:00Z
  daypass audit replay --output json | jq '.[].eventType'";

/// The story of one request, or everything between two places, in the order of the log
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The request: its id, or the beginning of it; without it, everything
    #[arg(value_name = "ID", conflicts_with = "stream")]
    request: Option<IdPrefix>,
    #[command(flatten)]
    which: Which,
    /// From there on: an instant, or a position
    #[arg(long, value_name = "TIME|POSITION", value_parser = place)]
    from: Option<Place>,
    /// Up to there
    #[arg(long, value_name = "TIME|POSITION", value_parser = place)]
    to: Option<Place>,
    #[command(flatten)]
    freshness: Freshness,
    #[arg(long, short, value_enum, default_value_t)]
    pub(crate) output: Format,
    #[command(flatten)]
    client: client::Arguments,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Error> {
    let client = Client::new(&arguments.client)?;
    let message = ReplayRequest {
        filter: Some(arguments.which.filter(&client, arguments.request.as_ref()).await?),
        from: arguments.from,
        to: arguments.to,
        with_envelope: false,
        wait_for_position: arguments.freshness.wait_for,
    };
    let mut answers = client
        .stream(Service::Audit, message, async |transport, request| {
            AuditServiceClient::new(transport).replay(request).await
        })
        .await?;
    let mut count = 0_u64;
    let mut complete = false;
    while let Some(answer) = answers.next().await? {
        if let Some(event) = &answer.event {
            show(arguments.output, event, count)?;
            count += 1;
        }
        complete = !answer.complete_to.is_empty();
    }
    if !complete {
        return Err(Error::Failed("the replay was cut short: events are missing at its end".to_owned()));
    }
    match (arguments.output, count) {
        (Format::Json, 0) => print("[]"),
        (Format::Json, _) => print("]"),
        (Format::Table, 0) => print("no events"),
        (Format::Table, _) => Ok(()),
    }
}

fn show(format: Format, event: &Event, before: u64) -> Result<(), Error> {
    match format {
        Format::Json => {
            let object = json::text(&json::object("daypass.audit.v1.Event", event)?);
            print(&format!("{}{object}", if before == 0 { "[\n" } else { "," }))
        }
        Format::Table => print(&words(event)),
    }
}

fn words(event: &Event) -> String {
    let stream = format!("{} #{}", visible(&event.stream), event.revision);
    let head = format!(
        "{}  {}  {}  {stream}",
        time(event.happened_at.as_ref()),
        visible(&event.event_type),
        who(event)
    );
    let mut lines = vec![head];
    if event.undecodable.is_empty() {
        lines.extend(details(event.payload.as_ref()).into_iter().map(|line| format!("    {line}")));
    } else {
        lines.push(format!("    cannot be decoded: {}", visible(&event.undecodable)));
    }
    lines.join("\n")
}

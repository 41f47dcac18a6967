//! `daypass audit list`: events, newest first.

use super::{Which, who};
use crate::arguments::{IdPrefix, instant};
use crate::client::{Client, Service};
use crate::commands::Listing;
use crate::error::Error;
use crate::output::table;
use crate::output::text::{details, time, visible};
use api::audit::v1::audit_service_client::AuditServiceClient;
use api::audit::v1::{Event, ListEventsRequest};
use domain::Timestamp;

const EXAMPLES: &str = "\
Examples:
  daypass audit list
  daypass audit list --account 111122223333 --from 2026-11-01T00:00:00Z
  daypass audit list --type request.approved.v1,request.rejected.v1 --output json";

/// Events, newest first
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Only those of this request
    #[arg(long, value_name = "ID", conflicts_with = "stream")]
    request: Option<IdPrefix>,
    #[command(flatten)]
    which: Which,
    /// Only what happened then or later
    #[arg(long, value_name = "TIME", value_parser = instant)]
    from: Option<Timestamp>,
    /// Only what happened before
    #[arg(long, value_name = "TIME", value_parser = instant)]
    to: Option<Timestamp>,
    #[command(flatten)]
    pub(crate) listing: Listing,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Error> {
    let client = Client::new(&arguments.listing.client)?;
    let filter = arguments.which.filter(&client, arguments.request.as_ref()).await?;
    let page = async |page_size, page_token| {
        let message = ListEventsRequest {
            filter: Some(filter.clone()),
            from: arguments.from.map(views::wire::time),
            to: arguments.to.map(views::wire::time),
            with_envelope: false,
            page_size,
            page_token,
            wait_for_position: arguments.listing.freshness.wait_for.clone(),
        };
        let answer = client
            .call(Service::Audit, message, async |transport, request| {
                AuditServiceClient::new(transport).list_events(request).await
            })
            .await?;
        Ok((answer.events, answer.next_page_token))
    };
    arguments.listing.show("daypass.audit.v1.Event", page, words).await
}

fn words(events: &[Event]) -> String {
    if events.is_empty() {
        return "no events".to_owned();
    }
    let rows = events.iter().map(|event| {
        let says = if event.undecodable.is_empty() {
            details(event.payload.as_ref()).join("; ")
        } else {
            format!("cannot be decoded: {}", visible(&event.undecodable))
        };
        let place = format!("{} #{}", visible(&event.stream), event.revision);
        [time(event.happened_at.as_ref()), visible(&event.event_type), place, who(event), says]
    });
    table::table(["time", "type", "stream", "who", "details"], rows)
}

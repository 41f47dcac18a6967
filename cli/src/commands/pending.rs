//! `daypass pending`: what waits for my decision?

use super::{Freshness, remark_more};
use crate::client::{self, Client, Service};
use crate::error::Error;
use crate::lookup::pages;
use crate::output::request::{account, entitlement, window};
use crate::output::text::{name, plan, short, time, visible};
use crate::output::{Format, json, print, table};
use api::approval::v1::approval_service_client::ApprovalServiceClient;
use api::approval::v1::{ListPendingRequest, PendingRequest};

const EXAMPLES: &str = "\
Examples:
  daypass pending
  daypass pending --output json";

/// The requests that wait for my decision, the most urgent first
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Show so many
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    limit: u16,
    #[command(flatten)]
    freshness: Freshness,
    #[arg(long, short, value_enum, default_value_t)]
    pub(crate) output: Format,
    #[command(flatten)]
    client: client::Arguments,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Error> {
    let client = Client::new(&arguments.client)?;
    let page = async |page_size, page_token| {
        let message = ListPendingRequest {
            page_size,
            page_token,
            wait_for_position: arguments.freshness.wait_for.clone(),
        };
        let answer = client
            .call(Service::Approval, message, async |transport, request| {
                ApprovalServiceClient::new(transport).list_pending(request).await
            })
            .await?;
        Ok((answer.pending, answer.next_page_token))
    };
    let (all, more) = pages(usize::from(arguments.limit), page).await?;
    remark_more(more);
    match arguments.output {
        Format::Json => print(&json::text(&json::array("daypass.approval.v1.PendingRequest", &all)?)),
        Format::Table => print(&words(&all)),
    }
}

fn words(pending: &[PendingRequest]) -> String {
    if pending.is_empty() {
        return "nothing waits for you".to_owned();
    }
    let rows = pending.iter().map(|pending| {
        let request = pending.request.clone().unwrap_or_default();
        let missing = plan(pending.missing.as_ref());
        [
            short(&request.request_id),
            name(request.requester.as_ref()),
            account(&request),
            entitlement(&request),
            window(&request),
            visible(&request.justification),
            if pending.endorsed_by_caller { format!("{missing} (you said yes)") } else { missing },
            time(request.decide_by.as_ref()),
        ]
    });
    table::table(
        ["id", "requester", "account", "entitlement", "window", "because", "missing", "decide by"],
        rows,
    )
}

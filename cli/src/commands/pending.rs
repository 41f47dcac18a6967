//! `daypass pending`: what waits for my decision?

use super::Listing;
use crate::client::{Client, Service};
use crate::error::Error;
use crate::output::request::{account, entitlement, window};
use crate::output::table;
use crate::output::text::{name, plan, short, time, visible};
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
    #[command(flatten)]
    pub(crate) listing: Listing,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Error> {
    let client = Client::new(&arguments.listing.client)?;
    let page = async |page_size, page_token| {
        let message = ListPendingRequest {
            page_size,
            page_token,
            wait_for_position: arguments.listing.freshness.wait_for.clone(),
        };
        let answer = client
            .call(Service::Approval, message, async |transport, request| {
                ApprovalServiceClient::new(transport).list_pending(request).await
            })
            .await?;
        Ok((answer.pending, answer.next_page_token))
    };
    arguments.listing.show("daypass.approval.v1.PendingRequest", page, words).await
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

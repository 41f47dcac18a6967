//! `daypass policy list`: policies and proposals.

use super::status;
use crate::client::{Client, Service};
use crate::commands::Listing;
use crate::error::Error;
use crate::output::table;
use crate::output::text::{name, short, time};
use api::approval::v1::policy_service_client::PolicyServiceClient;
use api::approval::v1::{ListPoliciesRequest, PolicyRecord, PolicyStatus};

const EXAMPLES: &str = "\
Examples:
  daypass policy list
  daypass policy list --status proposed";

/// Policies and proposals, newest first
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Only those that stand so
    #[arg(long, value_name = "STATUS", value_enum, value_delimiter = ',')]
    status: Vec<Status>,
    #[command(flatten)]
    pub(crate) listing: Listing,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Status {
    Proposed,
    Applied,
    Replaced,
    Discarded,
}

impl From<Status> for PolicyStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Proposed => Self::Proposed,
            Status::Applied => Self::Applied,
            Status::Replaced => Self::Replaced,
            Status::Discarded => Self::Discarded,
        }
    }
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Error> {
    let client = Client::new(&arguments.listing.client)?;
    let page = async |page_size, page_token| {
        let message = ListPoliciesRequest {
            statuses: arguments.status.iter().map(|status| PolicyStatus::from(*status).into()).collect(),
            page_size,
            page_token,
            wait_for_position: arguments.listing.freshness.wait_for.clone(),
        };
        let answer = client
            .call(Service::Approval, message, async |transport, request| {
                PolicyServiceClient::new(transport).list_policies(request).await
            })
            .await?;
        Ok((answer.records, answer.next_page_token))
    };
    arguments.listing.show("daypass.approval.v1.PolicyRecord", page, words).await
}

fn words(records: &[PolicyRecord]) -> String {
    if records.is_empty() {
        return "no policies".to_owned();
    }
    let rows = records.iter().map(|record| {
        [
            short(&record.proposal_event_id),
            short(&record.policy_event_id),
            status(record),
            name(record.author.as_ref()),
            name(record.accepted_by.as_ref()),
            time(record.proposed_at.as_ref()),
            time(record.applied_at.as_ref()),
        ]
    });
    table::table(["proposal", "policy", "status", "author", "accepted by", "proposed", "applied"], rows)
}

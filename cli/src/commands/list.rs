//! `daypass list`: requests.

use super::Listing;
use crate::client::{Client, Service};
use crate::error::Error;
use crate::output::request as requests;
use api::request::v1::request_service_client::RequestServiceClient;
use api::request::v1::{ListRequestsRequest, RequestFilter, RequestScope};
use api::types::v1::RequestStatus;

const EXAMPLES: &str = "\
Examples:
  daypass list
  daypass list --to-decide --status requested
  daypass list --all --account 111122223333 --status approved,ended --output json";

/// Requests, newest first
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Those that I requested or raised; the default
    #[arg(long, group = "scope")]
    mine: bool,
    /// Those that I may decide, or have decided
    #[arg(long, group = "scope")]
    to_decide: bool,
    /// All: for administrators and auditors
    #[arg(long, group = "scope")]
    all: bool,
    /// Only those that stand so
    #[arg(long, value_name = "STATUS", value_enum, value_delimiter = ',')]
    status: Vec<Status>,
    /// Only those in this account
    #[arg(long, value_name = "ID", value_parser = crate::arguments::account_id)]
    account: Option<String>,
    #[command(flatten)]
    pub(crate) listing: Listing,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Status {
    Requested,
    Rejected,
    Expired,
    Approved,
    Ended,
}

impl From<Status> for RequestStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Requested => Self::Requested,
            Status::Rejected => Self::Rejected,
            Status::Expired => Self::Expired,
            Status::Approved => Self::Approved,
            Status::Ended => Self::Ended,
        }
    }
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Error> {
    let client = Client::new(&arguments.listing.client)?;
    let scope = match (arguments.to_decide, arguments.all) {
        (true, _) => RequestScope::Decidable,
        (false, true) => RequestScope::All,
        (false, false) => RequestScope::Own,
    };
    let filter = RequestFilter {
        scope: scope.into(),
        statuses: arguments.status.iter().map(|status| RequestStatus::from(*status).into()).collect(),
        account_id: arguments.account.unwrap_or_default(),
        ..RequestFilter::default()
    };
    let page = async |page_size, page_token| {
        let message = ListRequestsRequest {
            filter: Some(filter.clone()),
            page_size,
            page_token,
            wait_for_position: arguments.listing.freshness.wait_for.clone(),
        };
        let answer = client
            .call(Service::Request, message, async |transport, request| {
                RequestServiceClient::new(transport).list_requests(request).await
            })
            .await?;
        Ok((answer.requests, answer.next_page_token))
    };
    arguments.listing.show("daypass.types.v1.Request", page, requests::list).await
}

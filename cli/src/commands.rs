//! The verbs, one file each, and what they share.

pub(crate) mod approve;
pub(crate) mod audit;
pub(crate) mod credentials;
pub(crate) mod entitlements;
pub(crate) mod list;
pub(crate) mod pending;
pub(crate) mod policy;
pub(crate) mod reject;
pub(crate) mod request;
pub(crate) mod revoke;
pub(crate) mod show;
pub(crate) mod withdraw;

use crate::arguments::{IdPrefix, Key};
use crate::client;
use crate::error::Error;
use crate::output::{Format, json, print, request as requests};
use api::types::v1::Request;

/// The command line of a decision on one request.
#[derive(Debug, clap::Args)]
pub(crate) struct Decision {
    /// The request: its id, or the beginning of it
    #[arg(value_name = "ID")]
    id: IdPrefix,
    /// Why; for those who may see the request
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    comment: String,
    /// Makes this the same command as an earlier one with the same key
    #[arg(long)]
    key: Option<Key>,
    #[arg(long, short, value_enum, default_value_t)]
    pub(crate) output: Format,
    #[command(flatten)]
    client: client::Arguments,
}

/// The option of a query that must not be older than what was just done.
#[derive(Debug, clap::Args)]
pub(crate) struct Freshness {
    /// Answer once everything up to there is known; commands print a position with --output json
    #[arg(long, value_name = "POSITION", default_value = "", hide_default_value = true)]
    wait_for: String,
}

/// Shows what came of a command: the object `answer` with the key it was sent under, or the request in words.
fn show_outcome(
    format: Format,
    key: &Key,
    name: &str,
    answer: &impl prost::Message,
    request: Option<&Request>,
) -> Result<(), Error> {
    match format {
        Format::Json => {
            print(&json::text(&json::with(json::object(name, answer)?, "idempotencyKey", key.as_str())))
        }
        Format::Table => print(&requests::sheet_of(request.unwrap_or(&Request::default()))),
    }
}

/// Remarks that a list was cut.
fn remark_more(more: bool) {
    if more {
        crate::output::warn("there is more: raise --limit");
    }
}

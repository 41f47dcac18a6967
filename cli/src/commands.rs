//! The verbs, one file each, and what they share.

pub(crate) mod approve;
pub(crate) mod assignment;
pub(crate) mod audit;
pub(crate) mod console;
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
use crate::client::{self, Client, Service, Transport};
use crate::error::Error;
use crate::lookup::{self, pages};
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

/// What a decision says.
struct Given {
    idempotency_key: String,
    request_id: String,
    comment: String,
}

impl Decision {
    /// Sends the decision as `message` by `send`, and shows the answer, a message of this `name` with the request as it is then.
    async fn give<Q: Clone, A: prost::Message>(
        self,
        service: Service,
        message: impl FnOnce(Given) -> Q,
        send: impl AsyncFn(Transport, tonic::Request<Q>) -> Result<tonic::Response<A>, tonic::Status>,
        name: &str,
        request: impl FnOnce(&A) -> Option<&Request>,
    ) -> Result<(), Error> {
        let client = Client::new(&self.client)?;
        let key = Key::or_new(self.key);
        let idempotency_key = key.as_str().to_owned();
        let request_id = lookup::request_id(&client, &self.id).await?;
        let message = message(Given { idempotency_key, request_id, comment: self.comment });
        let answer = client.command(service, &key, message, send).await?;
        show_outcome(self.output, &key, name, &answer, request(&answer))
    }
}

/// The option of a query that must not be older than what was just done.
#[derive(Debug, clap::Args)]
pub(crate) struct Freshness {
    /// Answer once everything up to there is known; commands print a position with --output json
    #[arg(long, value_name = "POSITION", default_value = "", hide_default_value = true)]
    wait_for: String,
}

/// The options of a list.
#[derive(Debug, clap::Args)]
pub(crate) struct Listing {
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

impl Listing {
    /// Fetches the list, and shows it: objects of the message `name`, or `words`. `page` asks for so many behind a token.
    async fn show<T: prost::Message>(
        &self,
        name: &str,
        page: impl AsyncFn(i32, String) -> Result<(Vec<T>, String), Error>,
        words: impl FnOnce(&[T]) -> String,
    ) -> Result<(), Error> {
        let (all, more) = pages(usize::from(self.limit), page).await?;
        show_all(self.output, name, &all, more, words)
    }
}

/// Shows a list, and remarks that it was cut.
fn show_all<T: prost::Message>(
    format: Format,
    name: &str,
    all: &[T],
    more: bool,
    words: impl FnOnce(&[T]) -> String,
) -> Result<(), Error> {
    if more {
        crate::output::warn("there is more: raise --limit");
    }
    match format {
        Format::Json => print(&json::text(&json::array(name, all)?)),
        Format::Table => print(&words(all)),
    }
}

/// Shows what came of a command about a request.
fn show_outcome(
    format: Format,
    key: &Key,
    name: &str,
    answer: &impl prost::Message,
    request: Option<&Request>,
) -> Result<(), Error> {
    outcome(format, key, name, answer, || requests::sheet_of(request.unwrap_or(&Request::default())))
}

/// Shows what came of a command: the message `answer` of this `name` with the key it was sent under, or `words`.
fn outcome(
    format: Format,
    key: &Key,
    name: &str,
    answer: &impl prost::Message,
    words: impl FnOnce() -> String,
) -> Result<(), Error> {
    match format {
        Format::Json => {
            print(&json::text(&json::with(json::object(name, answer)?, "idempotencyKey", key.as_str())))
        }
        Format::Table => print(&words()),
    }
}

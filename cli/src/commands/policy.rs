//! `daypass policy`: who may do what.

pub(crate) mod accept;
pub(crate) mod discard;
pub(crate) mod list;
pub(crate) mod propose;
pub(crate) mod show;

use crate::arguments::{IdPrefix, Key};
use crate::client::{self, Client, Service};
use crate::error::Error;
use crate::output::table::sheet;
use crate::output::text::{party, time, visible, word};
use crate::output::{Format, json, print};
use api::approval::v1::policy_service_client::PolicyServiceClient;
use api::approval::v1::{GetPolicyRequest, PolicyRecord};

/// The verbs.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// The policy in force, or another one, as a policy file
    Show(Box<show::Arguments>),
    /// Policies and proposals, newest first
    List(Box<list::Arguments>),
    /// Put a policy file forward, to replace the policy in force
    Propose(Box<propose::Arguments>),
    /// Put a proposal of another administrator in force
    Accept(Box<accept::Arguments>),
    /// Give a proposal up, or refuse it
    Discard(Box<discard::Arguments>),
}

impl Command {
    pub(crate) fn output(&self) -> Format {
        match self {
            Self::Show(arguments) => arguments.output,
            Self::List(arguments) => arguments.output,
            Self::Propose(arguments) => arguments.output,
            Self::Accept(arguments) => arguments.decision.output,
            Self::Discard(arguments) => arguments.decision.output,
        }
    }
}

pub(crate) async fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::Show(arguments) => show::run(*arguments).await,
        Command::List(arguments) => list::run(*arguments).await,
        Command::Propose(arguments) => propose::run(*arguments).await,
        Command::Accept(arguments) => accept::run(*arguments).await,
        Command::Discard(arguments) => discard::run(*arguments).await,
    }
}

/// The command line of a decision on one proposal.
#[derive(Debug, clap::Args)]
pub(crate) struct Decision {
    /// The proposal: its id, or the beginning of it
    #[arg(value_name = "ID")]
    id: IdPrefix,
    /// Makes this the same command as an earlier one with the same key
    #[arg(long)]
    key: Option<Key>,
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    client: client::Arguments,
}

/// The largest policy that is taken from a server: what a policy file may hold, and then some for how it travels.
const POLICY_BYTES_MAX: usize = 4 * policy::file::FILE_MAX;

/// One policy; the empty id is the one in force.
async fn get(client: &Client, event_id: String) -> Result<Option<PolicyRecord>, Error> {
    let message = GetPolicyRequest { event_id, wait_for_position: String::new() };
    let answer = client
        .call(Service::Approval, message, async |transport, request| {
            PolicyServiceClient::new(transport)
                .max_decoding_message_size(POLICY_BYTES_MAX)
                .get_policy(request)
                .await
        })
        .await?;
    Ok(answer.record)
}

/// Shows what came of a command.
fn show_outcome(
    format: Format,
    key: &Key,
    name: &str,
    answer: &impl prost::Message,
    record: Option<&PolicyRecord>,
) -> Result<(), Error> {
    match format {
        Format::Json => {
            print(&json::text(&json::with(json::object(name, answer)?, "idempotencyKey", key.as_str())))
        }
        Format::Table => print(&words(record.unwrap_or(&PolicyRecord::default()))),
    }
}

fn status(record: &PolicyRecord) -> String {
    word(record.status().as_str_name(), "POLICY_STATUS_")
}

fn words(record: &PolicyRecord) -> String {
    sheet([
        ("Proposal", visible(&record.proposal_event_id)),
        ("Policy", visible(&record.policy_event_id)),
        ("Replaces", visible(&record.base_event_id)),
        ("Status", status(record)),
        ("Author", party(record.author.as_ref())),
        ("Accepted by", party(record.accepted_by.as_ref())),
        ("Proposed", time(record.proposed_at.as_ref())),
        ("Applied", time(record.applied_at.as_ref())),
        ("Discarded", time(record.discarded_at.as_ref())),
        ("Source", domain::hex(&record.source_digest)),
    ])
}

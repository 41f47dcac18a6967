//! `daypass policy`: who may do what.

pub(crate) mod accept;
pub(crate) mod discard;
pub(crate) mod list;
pub(crate) mod propose;
pub(crate) mod show;

use crate::arguments::{IdPrefix, Key};
use crate::client::{self, Client, Service, Transport};
use crate::commands::outcome;
use crate::error::Error;
use crate::lookup;
use crate::output::Format;
use crate::output::table::sheet;
use crate::output::text::{party, time, visible, word};
use api::approval::v1::policy_service_client::PolicyServiceClient;
use api::approval::v1::{GetPolicyRequest, PolicyRecord};
use tonic::{Request, Response, Status};

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
            Self::List(arguments) => arguments.listing.output,
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

impl Decision {
    /// Sends the decision by `send`, and shows the answer, a message of this `name` with what became of the proposal. `message`
    /// is made of the idempotency key and the proposal's id.
    async fn give<Q: Clone, A: prost::Message>(
        self,
        message: impl FnOnce(String, String) -> Q,
        send: impl AsyncFn(PolicyServiceClient<Transport>, Request<Q>) -> Result<Response<A>, Status>,
        name: &str,
        record: impl FnOnce(&A) -> Option<&PolicyRecord>,
    ) -> Result<(), Error> {
        let client = Client::new(&self.client)?;
        let key = Key::or_new(self.key);
        let proposal = lookup::policy_id(&client, &self.id).await?;
        let message = message(key.as_str().to_owned(), proposal);
        let send = async |transport, request| send(policies(transport), request).await;
        let answer = client.command(Service::Approval, &key, message, send).await?;
        show_outcome(self.output, &key, name, &answer, record(&answer))
    }
}

/// The service, and that its policies may be large.
fn policies(transport: Transport) -> PolicyServiceClient<Transport> {
    PolicyServiceClient::new(transport).max_decoding_message_size(POLICY_BYTES_MAX)
}

/// The largest policy that is taken from a server: what a policy file may hold, and then some for how it travels.
const POLICY_BYTES_MAX: usize = 4 * policy::file::FILE_MAX;

/// One policy; the empty id is the one in force.
async fn get(client: &Client, event_id: String) -> Result<Option<PolicyRecord>, Error> {
    let message = GetPolicyRequest { event_id, wait_for_position: String::new() };
    let answer = client
        .call(Service::Approval, message, async |transport, request| {
            policies(transport).get_policy(request).await
        })
        .await?;
    Ok(answer.record)
}

/// Shows what came of a command about a policy.
fn show_outcome(
    format: Format,
    key: &Key,
    name: &str,
    answer: &impl prost::Message,
    record: Option<&PolicyRecord>,
) -> Result<(), Error> {
    outcome(format, key, name, answer, || words(record.unwrap_or(&PolicyRecord::default())))
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

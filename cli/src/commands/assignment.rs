//! `daypass assignment`: what Daypass made in AWS, and what it found there.

use super::outcome;
use crate::arguments::Key;
use crate::client::{self, Client, Service};
use crate::error::Error;
use crate::output::table::sheet;
use crate::output::text::{time, visible, word};
use crate::output::{Format, json, print};
use api::activation::v1::activation_service_client::ActivationServiceClient;
use api::activation::v1::{
    AbandonAssignmentRequest, Assignment, AssignmentKey, Attempt, GetAssignmentRequest, ReconcileRequest,
};
use api::types::v1::Target;

const SHOW: &str = "\
Example:
  daypass assignment show --principal 00000000-0000-4000-8000-0000000000a1 --account 111122223333 \\
    --arn arn:aws:sso:::permissionSet/ssoins-1111111111111111/ps-1111111111111111";
const ADOPT: &str = "\
Example:
  daypass assignment adopt --principal 00000000-0000-4000-8000-0000000000a1 --account 111122223333 \\
    --arn arn:aws:sso:::permissionSet/ssoins-1111111111111111/ps-1111111111111111";
const ABANDON: &str = "\
Example:
  daypass assignment abandon --principal 00000000-0000-4000-8000-0000000000a1 --account 111122223333 \\
    --arn arn:aws:sso:::permissionSet/ssoins-1111111111111111/ps-1111111111111111";
const RECONCILE: &str = "\
Example:
  daypass assignment reconcile";

/// The verbs.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// What the ledger of an assignment says, and what AWS answered
    #[command(after_help = SHOW)]
    Show(Box<Show>),
    /// Look at AWS now: at one assignment, or at all that there are
    #[command(after_help = RECONCILE)]
    Reconcile(Box<Reconcile>),
    /// Say that what stands there is Daypass's: it is removed when no request needs it
    #[command(after_help = ADOPT)]
    Adopt(Box<Adopt>),
    /// Give up on removing it, because its account or its user is gone; another administrator must say the same
    #[command(after_help = ABANDON)]
    Abandon(Box<Abandon>),
}

impl Command {
    pub(crate) fn output(&self) -> Format {
        match self {
            Self::Show(arguments) => arguments.common.output,
            Self::Reconcile(arguments) => arguments.common.output,
            Self::Adopt(arguments) => arguments.common.output,
            Self::Abandon(arguments) => arguments.common.output,
        }
    }
}

#[derive(Debug, clap::Args)]
struct Common {
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    client: client::Arguments,
}

/// Who holds what, where.
#[derive(Debug, clap::Args)]
struct Which {
    /// The user in Identity Center
    #[arg(long, value_name = "ID")]
    principal: String,
    /// The account
    #[arg(long, value_name = "ID", value_parser = crate::arguments::account_id)]
    account: String,
    /// The permission set or the role
    #[arg(long)]
    arn: String,
}

impl From<Which> for AssignmentKey {
    fn from(which: Which) -> Self {
        let target = Target { account_id: which.account, entitlement_arn: which.arn };
        Self { principal_id: which.principal, target: Some(target) }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Reconcile {
    /// The user in Identity Center; without it, everything is looked at
    #[arg(long, value_name = "ID", requires_all = ["account", "arn"])]
    principal: Option<String>,
    /// The account
    #[arg(long, value_name = "ID", requires = "principal", value_parser = crate::arguments::account_id)]
    account: Option<String>,
    /// The permission set or the role
    #[arg(long, requires = "principal")]
    arn: Option<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Adopt {
    #[command(flatten)]
    which: Which,
    /// Makes this the same command as an earlier one with the same key
    #[arg(long)]
    key: Option<Key>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Abandon {
    #[command(flatten)]
    which: Which,
    /// Why; for those who look back
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    comment: String,
    /// Makes this the same command as an earlier one with the same key
    #[arg(long)]
    key: Option<Key>,
    #[command(flatten)]
    common: Common,
}

pub(crate) async fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::Show(arguments) => show(*arguments).await,
        Command::Reconcile(arguments) => {
            let Reconcile { principal, account, arn, common } = *arguments;
            let which = principal.map(|principal| Which {
                principal,
                account: account.unwrap_or_default(),
                arn: arn.unwrap_or_default(),
            });
            reconcile(which.map(AssignmentKey::from), false, None, common).await
        }
        Command::Adopt(arguments) => {
            let Adopt { which, key, common } = *arguments;
            reconcile(Some(which.into()), true, key, common).await
        }
        Command::Abandon(arguments) => abandon(*arguments).await,
    }
}

async fn show(arguments: Show) -> Result<(), Error> {
    let client = Client::new(&arguments.common.client)?;
    let message =
        GetAssignmentRequest { key: Some(arguments.which.into()), ..GetAssignmentRequest::default() };
    let answer = client
        .call(Service::Activation, message, async |transport, request| {
            ActivationServiceClient::new(transport).get_assignment(request).await
        })
        .await?;
    let assignment = answer.assignment.unwrap_or_default();
    match arguments.common.output {
        Format::Json => print(&json::text(&json::object("daypass.activation.v1.Assignment", &assignment)?)),
        Format::Table => print(&words(&assignment)),
    }
}

async fn reconcile(
    which: Option<AssignmentKey>,
    adopt: bool,
    key: Option<Key>,
    common: Common,
) -> Result<(), Error> {
    let client = Client::new(&common.client)?;
    let key = Key::or_new(key);
    let message = ReconcileRequest { idempotency_key: key.as_str().to_owned(), key: which, adopt };
    let answer = client
        .command(Service::Activation, &key, message, async |transport, request| {
            ActivationServiceClient::new(transport).reconcile(request).await
        })
        .await?;
    outcome(common.output, &key, "daypass.activation.v1.ReconcileResponse", &answer, || {
        match &answer.assignment {
            Some(assignment) => words(assignment),
            None => format!("being looked at: {}", answer.assignments),
        }
    })
}

async fn abandon(arguments: Abandon) -> Result<(), Error> {
    let Abandon { which, comment, key, common } = arguments;
    let client = Client::new(&common.client)?;
    let key = Key::or_new(key);
    let message = AbandonAssignmentRequest {
        idempotency_key: key.as_str().to_owned(),
        key: Some(which.into()),
        comment,
    };
    let answer = client
        .command(Service::Activation, &key, message, async |transport, request| {
            ActivationServiceClient::new(transport).abandon_assignment(request).await
        })
        .await?;
    outcome(common.output, &key, "daypass.activation.v1.AbandonAssignmentResponse", &answer, || {
        if answer.second_person_needed {
            "another administrator must ask for the same within 7 days".to_owned()
        } else {
            words(&answer.assignment.clone().unwrap_or_default())
        }
    })
}

fn words(assignment: &Assignment) -> String {
    let key = assignment.key.clone().unwrap_or_default();
    let target = key.target.unwrap_or_default();
    sheet([
        ("User", visible(&key.principal_id)),
        ("Account", visible(&target.account_id)),
        ("Entitlement", visible(&target.entitlement_arn)),
        ("State", word(assignment.state().as_str_name(), "ASSIGNMENT_STATE_")),
        (
            "Through groups",
            assignment.standing_groups.iter().map(|group| visible(group)).collect::<Vec<_>>().join("\n"),
        ),
        ("Needed", if assignment.wanted { "yes" } else { "no" }.to_owned()),
        ("Requests", assignment.request_ids.iter().map(|id| visible(id)).collect::<Vec<_>>().join("\n")),
        ("Differed", time(assignment.drift_found_at.as_ref())),
        ("Attempts", assignment.attempts.iter().map(attempt).collect::<Vec<_>>().join("\n")),
    ])
}

fn attempt(attempt: &Attempt) -> String {
    let operation = word(attempt.operation().as_str_name(), "ASSIGNMENT_OPERATION_");
    let outcome = word(attempt.outcome().as_str_name(), "ATTEMPT_OUTCOME_");
    let said = format!("{} {operation}: {outcome}", time(attempt.attempted_at.as_ref()));
    if attempt.reason.is_empty() { said } else { format!("{said} ({})", visible(&attempt.reason)) }
}

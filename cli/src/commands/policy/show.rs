//! `daypass policy show`: one policy, as a file that `daypass policy propose` takes.

use super::get;
use crate::arguments::IdPrefix;
use crate::client::{self, Client};
use crate::error::Error;
use crate::lookup;
use crate::output::{Format, json, print, text};
use api::approval::v1::PolicyRecord;
use views::policy_wire;

const EXAMPLES: &str = "\
Examples:
  daypass policy show > policy.toml
  daypass policy show 5b1e07 --output json";

/// The policy in force, or another one, as a policy file
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// A policy or a proposal: its id, or the beginning of it; without it, the one in force
    #[arg(value_name = "ID")]
    id: Option<IdPrefix>,
    #[arg(long, short, value_enum, default_value_t)]
    pub(crate) output: Format,
    #[command(flatten)]
    client: client::Arguments,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Error> {
    let client = Client::new(&arguments.client)?;
    let id = match &arguments.id {
        Some(id) => lookup::policy_id(&client, id).await?,
        None => String::new(),
    };
    let Some(record) = get(&client, id).await? else {
        return Err(Error::Failed("no policy was ever applied".to_owned()));
    };
    match arguments.output {
        Format::Json => print(&json::text(&json::object("daypass.approval.v1.PolicyRecord", &record)?)),
        Format::Table => print(&file(&record)?),
    }
}

/// The policy as a file, with where it stands above it.
fn file(record: &PolicyRecord) -> Result<String, Error> {
    let policy = record.policy.clone().unwrap_or_default();
    let policy = policy_wire::read("policy", &policy).map_err(|wrong| {
        let wrong: Vec<String> = wrong.iter().map(|(field, why)| format!("{field}: {why}")).collect();
        Error::Failed(format!("a policy that this program does not understand: {}", wrong.join("; ")))
    })?;
    let above: Vec<String> = super::words(record).lines().map(|line| format!("# {line}")).collect();
    // Basic strings of TOML escape control characters, not what turns the direction of writing around.
    let toml: Vec<String> = policy.to_toml().lines().map(text::visible).collect();
    Ok(format!("{}\n\n{}", above.join("\n"), toml.join("\n")))
}

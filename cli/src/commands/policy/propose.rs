//! `daypass policy propose`: puts a policy file forward.

use super::{get, policies, show_outcome};
use crate::arguments::Key;
use crate::client::{self, Client, Service};
use crate::error::Error;
use crate::output::text::visible;
use crate::output::{Format, warn};
use api::approval::v1::ProposePolicyRequest;
use aws_lc_rs::digest::{SHA256, digest};
use policy::Policy;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use views::policy_wire;

const EXAMPLES: &str = "\
Examples:
  daypass policy show > policy.toml
  daypass policy propose policy.toml
  daypass policy propose policy.toml --base 5b1e0777-0000-8000-8000-000000000000";

/// Puts a policy file forward, to replace the policy in force. Where no second administrator is needed it is in force at once
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The policy file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The policy that the file was made from; refused when another is in force by now. Without it, the one in force
    #[arg(long, value_name = "ID")]
    base: Option<String>,
    /// Makes this the same command as an earlier one with the same key
    #[arg(long)]
    key: Option<Key>,
    #[arg(long, short, value_enum, default_value_t)]
    pub(crate) output: Format,
    #[command(flatten)]
    client: client::Arguments,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Error> {
    let text = read(&arguments.file)?;
    let policy = Policy::from_toml(&text).map_err(|problems| {
        let problems = problems.iter().map(|problem| format!("\n  {}", visible(&problem.to_string())));
        Error::Failed(format!("{}:{}", arguments.file.display(), problems.collect::<String>()))
    })?;
    let client = Client::new(&arguments.client)?;
    let base_event_id = match arguments.base {
        Some(base) => base,
        None => get(&client, String::new()).await?.map(|record| record.policy_event_id).unwrap_or_default(),
    };
    let key = Key::or_new(arguments.key);
    let message = ProposePolicyRequest {
        idempotency_key: key.as_str().to_owned(),
        base_event_id,
        policy: Some(policy_wire::write(&policy)),
        source_digest: digest(&SHA256, text.as_bytes()).as_ref().to_vec(),
    };
    let answer = client
        .command(Service::Approval, &key, message, async |transport, request| {
            policies(transport).propose_policy(request).await
        })
        .await?;
    answer.warnings.iter().for_each(|warning| warn(&format!("warning: {}", visible(warning))));
    let name = "daypass.approval.v1.ProposePolicyResponse";
    show_outcome(arguments.output, &key, name, &answer, answer.record.as_ref())
}

fn read(file: &Path) -> Result<String, Error> {
    let unreadable = |error| Error::Usage(format!("{}: {error}", file.display()));
    let mut text = String::new();
    // One byte more than allowed, so that what is too long is seen to be.
    let opened = std::fs::File::open(file).map_err(unreadable)?;
    opened.take(policy::file::FILE_MAX as u64 + 1).read_to_string(&mut text).map_err(unreadable)?;
    Ok(text)
}

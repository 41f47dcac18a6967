//! `daypass entitlements`: what may I ask for?

use super::{Freshness, show_all};
use crate::client::{self, Client};
use crate::error::Error;
use crate::lookup;
use crate::output::text::{duration, named, plan, provider, visible};
use crate::output::{Format, table};
use api::request::v1::Entitlement;

const EXAMPLES: &str = "\
Examples:
  daypass entitlements
  daypass entitlements --search payments
  daypass entitlements --account 111122223333 --output json";

/// What I may ask for, for how long at most, and who would have to agree
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Only what has this in the name of the account or of the entitlement
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    search: String,
    /// Only in this account
    #[arg(long, value_name = "ID", value_parser = crate::arguments::account_id)]
    account: Option<String>,
    /// Show so many
    #[arg(long, value_name = "COUNT", default_value_t = 200)]
    limit: u16,
    #[command(flatten)]
    freshness: Freshness,
    #[arg(long, short, value_enum, default_value_t)]
    pub(crate) output: Format,
    #[command(flatten)]
    client: client::Arguments,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Error> {
    let client = Client::new(&arguments.client)?;
    let account = arguments.account.unwrap_or_default();
    let position = &arguments.freshness.wait_for;
    let limit = usize::from(arguments.limit);
    let (all, more) = lookup::entitlements(&client, &account, &arguments.search, limit, position).await?;
    show_all(arguments.output, "daypass.request.v1.Entitlement", &all, more, words)
}

fn words(entitlements: &[Entitlement]) -> String {
    if entitlements.is_empty() {
        return "there is nothing that you may ask for".to_owned();
    }
    let rows = entitlements.iter().flat_map(|entitlement| {
        let target = entitlement.target.clone().unwrap_or_default();
        entitlement.options.iter().map(move |option| {
            let agree = plan(option.plan.as_ref());
            [
                visible(&target.account_id),
                visible(&entitlement.account_name),
                named(&entitlement.entitlement_name, &target.entitlement_arn),
                duration(option.duration_max.as_ref()),
                if option.decidable { agree } else { format!("{agree}: nobody can now") },
                provider(option.provider()),
                visible(&option.rule_id),
            ]
        })
    });
    table::table(["account", "name", "entitlement", "at most", "must agree", "through", "rule"], rows)
}

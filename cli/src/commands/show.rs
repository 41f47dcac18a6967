//! `daypass show`: one request and its story.

use super::Freshness;
use crate::arguments::IdPrefix;
use crate::client::{self, Client, Service};
use crate::error::Error;
use crate::lookup;
use crate::output::text::{self, details, time, visible};
use crate::output::{Format, json, print, request as requests, table};
use api::request::v1::request_service_client::RequestServiceClient;
use api::request::v1::{GetRequestRequest, GetRequestResponse, TimelineEntry};

const EXAMPLES: &str = "\
Examples:
  daypass show 7f3a9c
  daypass show 7f3a9c --output json";

/// One request, and everything that happened to it
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The request: its id, or the beginning of it
    #[arg(value_name = "ID")]
    id: IdPrefix,
    #[command(flatten)]
    freshness: Freshness,
    #[arg(long, short, value_enum, default_value_t)]
    pub(crate) output: Format,
    #[command(flatten)]
    client: client::Arguments,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Error> {
    let client = Client::new(&arguments.client)?;
    let message = GetRequestRequest {
        request_id: lookup::request_id(&client, &arguments.id).await?,
        with_timeline: true,
        wait_for_position: arguments.freshness.wait_for,
    };
    let answer = client
        .call(Service::Request, message, async |transport, request| {
            RequestServiceClient::new(transport).get_request(request).await
        })
        .await?;
    match arguments.output {
        Format::Json => print(&json::text(&json::object("daypass.request.v1.GetRequestResponse", &answer)?)),
        Format::Table => print(&words(&answer)),
    }
}

fn words(answer: &GetRequestResponse) -> String {
    let request = requests::sheet_of(&answer.request.clone().unwrap_or_default());
    let row = |entry: &TimelineEntry| {
        [
            time(entry.happened_at.as_ref()),
            event(&entry.event_type),
            text::name(entry.actor.as_ref()),
            telling(details(entry.details.as_ref())).join("\n"),
        ]
    };
    let story = table::table(["time", "what", "who", "details"], answer.timeline.iter().map(row));
    format!("{request}\n\n{story}")
}

/// What is not said above the story already. `daypass audit replay` and JSON have all of it.
fn telling(mut details: Vec<String>) -> Vec<String> {
    const SAID: [&str; 4] = ["request_id", "policy_event_id", "chain_duration", "justification"];
    details.retain(|line| {
        let path = line.split_once(": ").map_or(line.as_str(), |(path, _)| path);
        path.starts_with("window.") || !(path.contains('.') || SAID.contains(&path))
    });
    details
}

/// The words of a stored type: "request.credentials_issued.v1" is "credentials issued".
pub(super) fn event(stored_type: &str) -> String {
    let words = stored_type.split('.').nth(1).unwrap_or(stored_type);
    visible(words).replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_story_leaves_out_what_stands_above_it() {
        let lines = [
            "basis: APPROVAL_BASIS_PEOPLE",
            "comment: see a.b: c",
            "grounds.rule_id: r",
            "request_id: 1",
            "window.end: x",
        ];
        let told = telling(lines.map(ToOwned::to_owned).to_vec());
        assert_eq!(told, ["basis: APPROVAL_BASIS_PEOPLE", "comment: see a.b: c", "window.end: x"]);
    }

    #[test]
    fn stored_types_have_words() {
        assert_eq!(event("request.credentials_issued.v1"), "credentials issued");
        assert_eq!(event("odd\u{1b}"), "odd\\u{1b}");
    }
}

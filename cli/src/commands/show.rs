//! `daypass show`: one request and its story.

use super::Freshness;
use crate::arguments::IdPrefix;
use crate::client::{self, Client, Service};
use crate::error::Error;
use crate::lookup;
use crate::output::text::{self, details, time, visible};
use crate::output::{Format, json, print, request as requests, table};
use api::activation::v1::activation_service_client::ActivationServiceClient;
use api::activation::v1::{Activation, GetActivationRequest};
use api::request::v1::request_service_client::RequestServiceClient;
use api::request::v1::{GetRequestRequest, GetRequestResponse, TimelineEntry};
use api::types::v1::{AccessPhase, ClosurePhase, Request};

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
        Format::Table => {
            let progress = progress(&client, &answer.request.clone().unwrap_or_default()).await;
            print(&words(&answer, progress))
        }
    }
}

/// How far the access is, unless nothing of it is there or on its way. The story can be shown without it: what does not
/// answer says nothing.
async fn progress(client: &Client, request: &Request) -> Option<Activation> {
    if request.access_phase() == AccessPhase::Unspecified && request.closure_phase() != ClosurePhase::Closing
    {
        return None;
    }
    let message =
        GetActivationRequest { request_id: request.request_id.clone(), ..GetActivationRequest::default() };
    let answer = client
        .call(Service::Activation, message, async |transport, request| {
            ActivationServiceClient::new(transport).get_activation(request).await
        })
        .await;
    answer.ok()?.activation
}

/// "Active in about 40s, 12 ahead of you".
fn progress_words(progress: &Activation) -> String {
    let seconds = |length: &prost_types::Duration| {
        let seconds = length.seconds + i64::from(length.nanos > 0);
        text::duration(Some(&prost_types::Duration { seconds: seconds.max(1), nanos: 0 }))
    };
    let mut lines = Vec::new();
    if let Some(estimate) = &progress.estimate {
        let queue = match estimate.ahead {
            0 => String::new(),
            ahead => format!(", {ahead} ahead of you"),
        };
        let active_in = estimate.active_in.as_ref().map(seconds).unwrap_or_default();
        lines.push(format!("Active in about {active_in}{queue}"));
    }
    if !progress.obstacles.is_empty() {
        let obstacles: Vec<String> = progress.obstacles.iter().map(|code| visible(code)).collect();
        let detail = match progress.obstacle_detail.as_str() {
            "" => String::new(),
            detail => format!(" ({})", visible(detail)),
        };
        lines.push(format!("In its way: {}{detail}", obstacles.join(", ")));
    }
    if !progress.standing_groups.is_empty() {
        let groups: Vec<String> = progress.standing_groups.iter().map(|group| visible(group)).collect();
        lines.push(format!("Held through a group as well, which stays: {}", groups.join(", ")));
    }
    if let Some(until) = &progress.fenced_until {
        let until = time(Some(until));
        lines.push(format!(
            "Not there any more: watched until {until}, in case a call of unknown outcome still makes it"
        ));
    } else if progress.closing_since.is_some() {
        let past_end = progress.past_end.as_ref().map(seconds).unwrap_or_default();
        lines.push(format!("Being removed: it is left {past_end} past its end"));
    }
    lines.join("\n")
}

fn words(answer: &GetRequestResponse, progress: Option<Activation>) -> String {
    let mut request = requests::sheet_of(&answer.request.clone().unwrap_or_default());
    if let Some(words) = progress.map(|progress| progress_words(&progress)).filter(|words| !words.is_empty())
    {
        request = format!("{request}\n\n{words}");
    }
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
    fn progress_is_told_in_a_line() {
        use api::activation::v1::ActivationEstimate;
        let length = |seconds, nanos| Some(prost_types::Duration { seconds, nanos });
        let estimate = Some(ActivationEstimate { active_in: length(39, 500_000_000), ahead: 12 });
        let told = progress_words(&Activation { estimate, ..Activation::default() });
        assert_eq!(told, "Active in about 40s, 12 ahead of you");
        let estimate = Some(ActivationEstimate { active_in: length(0, 0), ahead: 0 });
        let obstacles = vec!["Throttling\u{1b}".to_owned()];
        let told = progress_words(&Activation { estimate, obstacles, ..Activation::default() });
        assert_eq!(told, "Active in about 1s\nIn its way: Throttling\\u{1b}");
        let obstacles = vec!["Unprovable".to_owned()];
        let obstacle_detail = "the directory is old\u{1b}".to_owned();
        let told = progress_words(&Activation { obstacles, obstacle_detail, ..Activation::default() });
        assert_eq!(told, "In its way: Unprovable (the directory is old\\u{1b})");
    }

    #[test]
    fn stored_types_have_words() {
        assert_eq!(event("request.credentials_issued.v1"), "credentials issued");
        assert_eq!(event("odd\u{1b}"), "odd\\u{1b}");
    }
}

//! `daypass credentials`: credentials in the form that the AWS CLI and SDKs read from a `credential_process`
//! (<https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html>).
//!
//! INVARIANT: standard output holds that one object or nothing.

use crate::arguments::{IdPrefix, Key};
use crate::client::{self, Client, Service};
use crate::error::Error;
use crate::lookup;
use crate::output::{print, text};
use api::activation::v1::activation_service_client::ActivationServiceClient;
use api::activation::v1::{IssueCredentialsRequest, IssueCredentialsResponse};
use serde_json::json;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  daypass credentials 7f3a9c
  daypass credentials 7f3a9c --print-profile --profile payments >> ~/.aws/config
  aws --profile payments sts get-caller-identity";

/// Credentials for my active access, in the form that the AWS CLI and SDKs read from a credential_process
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The request: its id, or the beginning of it
    #[arg(value_name = "ID")]
    id: IdPrefix,
    /// How long they should live: 15m to 12h; no longer than rule and window allow
    #[arg(long, value_name = "DURATION", value_parser = crate::arguments::length)]
    duration: Option<Duration>,
    /// Makes this the same command as an earlier one with the same key
    #[arg(long)]
    key: Option<Key>,
    /// Print the lines for ~/.aws/config that make the AWS CLI ask for credentials by itself
    #[arg(long)]
    print_profile: bool,
    /// The name of that profile; without it, daypass- and the beginning of the id
    #[arg(long, value_name = "NAME", requires = "print_profile", value_parser = profile_name)]
    profile: Option<String>,
    #[command(flatten)]
    client: client::Arguments,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Error> {
    let client = Client::new(&arguments.client)?;
    let request_id = lookup::request_id(&client, &arguments.id).await?;
    if arguments.print_profile {
        return print(&profile(arguments.profile.as_deref(), &request_id, &arguments.client)?);
    }
    let given = arguments.key.is_some();
    let key = Key::or_new(arguments.key);
    let answer = match issue(&client, &request_id, arguments.duration, &key).await {
        // Our own call got through and its answer was lost: no secret is stored, so these are gone, and others can be had.
        Err(error) if error.reason() == "ISSUED_ALREADY" && !given => {
            issue(&client, &request_id, arguments.duration, &Key::or_new(None)).await?
        }
        answer => answer?,
    };
    print(&process_output(&answer))
}

async fn issue(
    client: &Client,
    request_id: &str,
    duration: Option<Duration>,
    key: &Key,
) -> Result<IssueCredentialsResponse, Error> {
    let message = IssueCredentialsRequest {
        idempotency_key: key.as_str().to_owned(),
        request_id: request_id.to_owned(),
        duration: duration.and_then(|duration| prost_types::Duration::try_from(duration).ok()),
    };
    client
        .call(Service::Activation, message, async |transport, request| {
            ActivationServiceClient::new(transport).issue_credentials(request).await
        })
        .await
}

/// The end that matters is that of the window, which the session policy enforces, not that of the credentials.
fn process_output(answer: &IssueCredentialsResponse) -> String {
    let end = answer.usable_until.or(answer.expires_at);
    let object = json!({
        "Version": 1,
        "AccessKeyId": answer.access_key_id,
        "SecretAccessKey": answer.secret_access_key,
        "SessionToken": answer.session_token,
        "Expiration": text::time(end.as_ref()),
    });
    crate::output::json::text(&object)
}

fn profile(name: Option<&str>, request_id: &str, client: &client::Arguments) -> Result<String, Error> {
    let program = std::env::current_exe().map_err(|error| Error::Failed(format!("where am I? {error}")))?;
    let words = [program.display().to_string(), "credentials".to_owned(), request_id.to_owned()];
    let words = words.into_iter().chain(client.repeated());
    let line = words.map(|word| quoted(&word)).collect::<Result<Vec<_>, _>>()?.join(" ");
    let name = name.map_or_else(|| format!("daypass-{}", text::short(request_id)), ToOwned::to_owned);
    Ok(format!("[profile {name}]\ncredential_process = {line}"))
}

/// A word as the AWS CLI splits it, which is by the rules of a shell.
fn quoted(word: &str) -> Result<String, Error> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:=@+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        Ok(word.to_owned())
    } else if word.contains(['"', '\\', '$', '`', '%']) || word.contains(text::is_unsafe) {
        Err(Error::Failed(format!("{} cannot stand in ~/.aws/config", text::visible(word))))
    } else {
        Ok(format!("\"{word}\""))
    }
}

fn profile_name(text: &str) -> Result<String, &'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("must be letters, digits, '.', '_' and '-'")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_is_what_aws_documents() {
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 500_000_000 });
        let answer = IssueCredentialsResponse {
            access_key_id: "ASIA1".to_owned(),
            secret_access_key: "secret/+".to_owned(),
            session_token: "token".to_owned(),
            expires_at: at(1_795_230_000),
            usable_until: at(1_795_226_400),
            ..IssueCredentialsResponse::default()
        };
        let output: serde_json::Value = serde_json::from_str(&process_output(&answer)).unwrap();
        let expected = json!({"Version": 1, "AccessKeyId": "ASIA1", "SecretAccessKey": "secret/+",
                              "SessionToken": "token", "Expiration": "2026-11-21T02:00:00Z"});
        assert_eq!(output, expected);
    }

    #[test]
    fn words_are_quoted_where_they_must_be() {
        assert_eq!(quoted("https://daypass.example:7400").unwrap(), "https://daypass.example:7400");
        assert_eq!(quoted("/home/ada b/token").unwrap(), "\"/home/ada b/token\"");
        assert!(quoted("a\"; rm -rf ~").is_err());
        assert!(quoted("a\nb").is_err());
    }
}

//! The command line as a whole, and the values that several commands read from it.

use crate::commands::{
    approve, assignment, audit, console, credentials, entitlements, list, pending, policy, reject, request,
    revoke, show, withdraw,
};
use crate::{config_check, dev, doctor, keys, log, nats, serve, signals};
use domain::{SignedDuration, Timestamp};
use std::process::ExitCode;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  daypass entitlements
  daypass request --account 111122223333 --entitlement Deployer --for 1h --because 'roll back release 42'
  daypass pending
  daypass approve 7f3a9c
  daypass show 7f3a9c
  daypass credentials 7f3a9c --print-profile >> ~/.aws/config

Exit codes:
  0  done
  1  refused, or failed
  2  the command line is wrong
  3  not implemented
  4  not signed in: no token, or one that is not accepted
  5  the server cannot be reached, or cannot answer now";

/// Temporary access to AWS: ask for it, agree to it, use it, look back at it.
#[derive(clap::Parser)]
#[command(name = "daypass", version, after_help = EXAMPLES, max_term_width = 110)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The verbs.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Ask for access
    Request(Box<request::Arguments>),
    /// What may I ask for, for how long, and who would have to agree?
    Entitlements(Box<entitlements::Arguments>),
    /// Requests: mine, those that I may decide, or all
    List(Box<list::Arguments>),
    /// One request, and everything that happened to it
    Show(Box<show::Arguments>),
    /// The requests that wait for my decision
    Pending(Box<pending::Arguments>),
    /// Say yes to a request
    Approve(Box<approve::Arguments>),
    /// Say no to a request, which is final
    Reject(Box<reject::Arguments>),
    /// Take my request back, before its access starts
    Withdraw(Box<withdraw::Arguments>),
    /// End access now
    Revoke(Box<revoke::Arguments>),
    /// Credentials for active access, as the AWS CLI and SDKs want them (credential_process)
    Credentials(Box<credentials::Arguments>),
    /// A link into the AWS console, for active access
    Console(Box<console::Arguments>),
    /// History: for auditors
    #[command(subcommand)]
    Audit(audit::Command),
    /// Who may do what: for administrators
    #[command(subcommand)]
    Policy(policy::Command),
    /// What Daypass made in AWS, and what it found there: for administrators
    #[command(subcommand)]
    Assignment(assignment::Command),
    /// Run everything in one process on a simulated AWS, to try it
    Dev(Box<dev::Arguments>),
    /// Run everything in one process
    Serve(serve::Arguments),
    /// Look after the log
    Log(log::Arguments),
    /// Look after the key store
    Keys(keys::Arguments),
    /// Look whether a deployment is as it must be
    Doctor(doctor::Arguments),
    /// Who may do what on NATS servers, and the streams there
    Nats(nats::Arguments),
    /// Messages from the bus that were not believed
    Signals(signals::Arguments),
    /// Look after the configuration
    Config(config_check::Arguments),
}

impl Command {
    /// Does what was asked, and tells how it went.
    pub(crate) async fn run(self) -> ExitCode {
        use crate::output::{finish, with_warnings};
        match self {
            Self::Request(arguments) => finish(arguments.output, request::run(*arguments)).await,
            Self::Entitlements(arguments) => finish(arguments.output, entitlements::run(*arguments)).await,
            Self::List(arguments) => finish(arguments.listing.output, list::run(*arguments)).await,
            Self::Show(arguments) => finish(arguments.output, show::run(*arguments)).await,
            Self::Pending(arguments) => finish(arguments.listing.output, pending::run(*arguments)).await,
            Self::Approve(arguments) => finish(arguments.decision.output, approve::run(*arguments)).await,
            Self::Reject(arguments) => finish(arguments.decision.output, reject::run(*arguments)).await,
            Self::Withdraw(arguments) => finish(arguments.output, withdraw::run(*arguments)).await,
            Self::Revoke(arguments) => finish(arguments.decision.output, revoke::run(*arguments)).await,
            Self::Credentials(arguments) => {
                finish(crate::output::Format::Table, credentials::run(*arguments)).await
            }
            Self::Console(arguments) => finish(arguments.output, console::run(*arguments)).await,
            Self::Audit(command) => finish(command.output(), audit::run(command)).await,
            Self::Policy(command) => finish(command.output(), policy::run(command)).await,
            Self::Assignment(command) => finish(command.output(), assignment::run(command)).await,
            Self::Dev(arguments) => Box::pin(dev::run(*arguments)).await,
            Self::Serve(arguments) => Box::pin(serve::run(arguments)).await,
            Self::Log(arguments) => with_warnings(Box::pin(log::run(arguments))).await,
            Self::Keys(arguments) => with_warnings(Box::pin(keys::run(arguments))).await,
            Self::Doctor(arguments) => with_warnings(Box::pin(doctor::run(arguments))).await,
            Self::Nats(arguments) => with_warnings(Box::pin(nats::run(arguments))).await,
            Self::Signals(arguments) => Box::pin(signals::run(arguments)).await,
            Self::Config(arguments) => config_check::run(arguments),
        }
    }
}

/// An id, or the beginning of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdPrefix(String);

impl IdPrefix {
    /// Shorter beginnings are too likely to be typed by mistake.
    const LENGTH_MIN: usize = 6;
    const LENGTH_FULL: usize = 36;

    /// Whether nothing is missing.
    pub(crate) fn is_whole(&self) -> bool {
        self.0.len() == Self::LENGTH_FULL
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for IdPrefix {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = (Self::LENGTH_MIN..=Self::LENGTH_FULL).contains(&text.len());
        let of_a_uuid = text.char_indices().all(|(place, c)| match place {
            8 | 13 | 18 | 23 => c == '-',
            _ => c.is_ascii_hexdigit(),
        });
        if fits && of_a_uuid {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err("must be an id, or at least the first 6 characters of one")
        }
    }
}

/// The name of a command, chosen by the caller: the same name is the same command, however often it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key(String);

impl Key {
    /// The key that was given, or a new one.
    pub(crate) fn or_new(given: Option<Self>) -> Self {
        use domain::ports::Entropy as _;
        given.unwrap_or_else(|| {
            let mut bytes = [0; 16];
            service_runtime::clock::SystemEntropy.fill(&mut bytes);
            Self(domain::hex(&bytes))
        })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Key {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if (1..=128).contains(&text.len()) && !text.chars().any(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            Err("must be 1 to 128 bytes without control characters")
        }
    }
}

/// An instant: RFC 3339, or so long from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    At(Timestamp),
    FromNow(SignedDuration),
}

impl When {
    /// The instant, `now` being now.
    pub(crate) fn instant(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::FromNow(wait) => now.saturating_add(wait).unwrap_or(Timestamp::MAX),
        }
    }
}

impl std::str::FromStr for When {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = match text.strip_prefix('+') {
            Some(wait) => ::policy::duration::parse(wait).ok().map(Self::FromNow),
            None => text.parse().ok().map(Self::At),
        };
        parsed.ok_or("must look like 2026-11-21T02:00:00Z or +30m")
    }
}

/// An instant: RFC 3339.
pub(crate) fn instant(text: &str) -> Result<Timestamp, &'static str> {
    text.parse().map_err(|_| "must look like 2026-11-21T02:00:00Z")
}

/// A length of time that is not nothing: `90s`, `1h30m`.
pub(crate) fn length(text: &str) -> Result<Duration, &'static str> {
    let parsed = ::policy::duration::parse(text).ok().and_then(|length| Duration::try_from(length).ok());
    parsed.filter(|length| !length.is_zero()).ok_or("must look like 30m, 8h or 1d12h, and be more than 0")
}

/// An AWS account.
pub(crate) fn account_id(text: &str) -> Result<String, &'static str> {
    if is_account_id(text) { Ok(text.to_owned()) } else { Err("must be the 12 digits of an AWS account") }
}

/// Whether `text` is the id of an AWS account, and not a name.
pub(crate) fn is_account_id(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory as _, Parser as _};

    fn parse(line: &str) -> Result<CommandLine, clap::Error> {
        CommandLine::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn every_user_command_shows_an_example() {
        fn check(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            if command.has_subcommands() {
                command.get_subcommands().for_each(|inner| check(inner, &path));
            } else {
                let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.contains(path.trim()), "{path}");
            }
        }
        let ours = ["dev", "serve", "log", "keys", "doctor", "nats", "config", "signals"];
        let command = CommandLine::command();
        for inner in command.get_subcommands().filter(|inner| !ours.contains(&inner.get_name())) {
            check(inner, "daypass");
        }
    }

    #[test]
    fn a_request_is_read_as_typed() {
        let line = "daypass request --account 111122223333 --entitlement Deployer --for 1h30m --at +30m --because why \
                    --ticket OPS-1 --rule r1 --extends 7f3a9c --key k1 --output json";
        let Ok(CommandLine { command: Command::Request(arguments) }) = parse(line) else {
            panic!("another command")
        };
        assert_eq!(arguments.duration, Duration::from_mins(90));
        assert_eq!(arguments.at, Some(When::FromNow(SignedDuration::from_mins(30))));
        assert_eq!(arguments.key.as_ref().map(Key::as_str), Some("k1"));
        assert_eq!(arguments.extends.as_ref().map(IdPrefix::as_str), Some("7f3a9c"));
    }

    #[test]
    fn what_is_not_what_it_should_be_is_refused() {
        for line in [
            "daypass",
            "daypass show",
            "daypass show 7f3a9",
            "daypass show ../../etc/passwd",
            "daypass approve 7f3a9c --server not-a-url",
            "daypass list --mine --all",
            "daypass list --status sleeping",
            "daypass list --account 42",
            "daypass request --account 1 --entitlement d --for 0s --because x",
            "daypass request --account 1 --entitlement d --for 1 --because x",
            "daypass request --account 1 --entitlement d --for 1h --at tomorrow --because x",
            "daypass request --account 1 --entitlement d --for 1h",
            "daypass list --as ../root",
            "daypass list --token secret",
            "daypass audit export --format parquet --out x",
            "daypass credentials 7f3a9c --output table",
        ] {
            let refused = parse(line).err().map(|error| error.exit_code());
            assert_eq!(refused, Some(2), "{line}");
        }
    }

    #[test]
    fn instants_may_be_given_with_any_offset_or_from_now() {
        let now: Timestamp = "2026-11-21T01:00:00Z".parse().unwrap();
        let expected: Timestamp = "2026-11-21T02:00:00Z".parse().unwrap();
        for text in ["2026-11-21T02:00Z", "2026-11-21T02:00:00Z", "2026-11-21T03:00:00+01:00", "+1h"] {
            assert_eq!(text.parse::<When>().unwrap().instant(now), expected, "{text}");
        }
    }

    #[test]
    fn new_keys_are_always_others() {
        assert_ne!(Key::or_new(None), Key::or_new(None));
    }
}

//! Why a command was not done: words for people, an object for programs, an exit code for scripts.

use crate::output::text::visible;
use serde_json::json;
use std::error::Error as _;
use std::process::ExitCode;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// Why not.
#[derive(Debug)]
pub(crate) enum Error {
    /// What was typed means nothing.
    Usage(String),
    /// There is no token to show.
    NotSignedIn(String),
    /// Something failed on this side, or an answer cannot be relied on.
    Failed(String),
    /// A service said no.
    Refused(Box<Refusal>),
    /// The reader of our output went away. Nothing is wrong.
    NobodyReads,
}

/// What a service said, or why it could not be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The gRPC code.
    pub(crate) code: Code,
    /// The reason for programs (docs/status-codes.md); empty where there is none.
    pub(crate) reason: String,
    /// The words for people.
    pub(crate) message: String,
    /// Fields that are wrong, each with why.
    pub(crate) violations: Vec<(String, String)>,
    /// When trying again makes sense.
    pub(crate) retry_after: Option<Duration>,
    /// The key under which the command can be sent again without being done twice.
    pub(crate) key: Option<String>,
}

impl Refusal {
    /// What `status` says, which came from `address` or on the way there.
    pub(crate) fn new(status: &Status, address: &str) -> Self {
        let details = status.get_error_details();
        let violations = details.bad_request().map(|bad| bad.field_violations.as_slice()).unwrap_or_default();
        let on_the_way = status.source().is_some() && details.error_info().is_none();
        let code = status.code();
        if on_the_way && code == Code::Cancelled {
            // How tonic words a deadline that it saw pass by itself.
            return Self::too_late(address);
        }
        let (code, message) =
            if on_the_way && matches!(code, Code::Unavailable | Code::Unknown | Code::Internal) {
                (Code::Unavailable, format!("{address} cannot be reached: {}", root_cause(status)))
            } else {
                (code, status.message().to_owned())
            };
        Self {
            code,
            reason: details.error_info().map(|info| info.reason.clone()).unwrap_or_default(),
            message,
            violations: violations.iter().map(|v| (v.field.clone(), v.description.clone())).collect(),
            retry_after: details.retry_info().and_then(|info| info.retry_delay),
            key: None,
        }
    }

    /// No answer in time.
    pub(crate) fn too_late(address: &str) -> Self {
        Self {
            code: Code::DeadlineExceeded,
            reason: String::new(),
            message: format!("{address} did not answer in time"),
            violations: Vec::new(),
            retry_after: None,
            key: None,
        }
    }

    fn hint(&self) -> Option<&'static str> {
        match (self.code, self.reason.as_str()) {
            (Code::Unauthenticated, _) => Some("sign in again, or give another token: --token-file, --as"),
            (_, "NO_RULE" | "WINDOW_TOO_LONG") => {
                Some("what you may ask for, and how long: daypass entitlements")
            }
            (_, "KEY_REUSED") => Some("leave --key out, or choose another"),
            (_, "CONTENDED") => Some("try again"),
            (Code::Unimplemented, _) => Some("the server does not offer this yet"),
            _ => None,
        }
    }
}

fn root_cause(status: &Status) -> String {
    let mut cause: Option<&dyn std::error::Error> = status.source();
    let mut text = status.message().to_owned();
    while let Some(error) = cause {
        text = error.to_string();
        cause = error.source();
    }
    text
}

/// The name of a code as gRPC writes it.
pub(crate) fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

impl Error {
    /// What the process ends with; `daypass --help` lists them.
    pub(crate) fn exit_code(&self) -> ExitCode {
        let code = match self {
            Self::NobodyReads => 0,
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::NotSignedIn(_) => 4,
            Self::Refused(refusal) => match refusal.code {
                Code::Unimplemented => 3,
                Code::Unauthenticated => 4,
                Code::Unavailable | Code::DeadlineExceeded => 5,
                Code::Ok
                | Code::Cancelled
                | Code::Unknown
                | Code::InvalidArgument
                | Code::NotFound
                | Code::AlreadyExists
                | Code::PermissionDenied
                | Code::ResourceExhausted
                | Code::FailedPrecondition
                | Code::Aborted
                | Code::OutOfRange
                | Code::Internal
                | Code::DataLoss => 1,
            },
        };
        ExitCode::from(code)
    }

    /// The same, with the key under which the command can be sent again, where it is not known whether it was done.
    #[must_use]
    pub(crate) fn of_command(mut self, key: &crate::arguments::Key) -> Self {
        if let Self::Refused(refusal) = &mut self
            && matches!(refusal.code, Code::Unavailable | Code::DeadlineExceeded | Code::Aborted)
        {
            refusal.key = Some(key.as_str().to_owned());
        }
        self
    }

    /// The reason that a service gave for programs; empty where there is none.
    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::Refused(refusal) => &refusal.reason,
            Self::Usage(_) | Self::NotSignedIn(_) | Self::Failed(_) | Self::NobodyReads => "",
        }
    }

    /// The gRPC code, if a service answered.
    pub(crate) fn code(&self) -> Option<Code> {
        match self {
            Self::Refused(refusal) => Some(refusal.code),
            Self::Usage(_) | Self::NotSignedIn(_) | Self::Failed(_) | Self::NobodyReads => None,
        }
    }

    /// For people.
    pub(crate) fn words(&self) -> String {
        let refusal = match self {
            Self::Usage(message) | Self::NotSignedIn(message) | Self::Failed(message) => {
                return message.lines().map(visible).collect::<Vec<_>>().join("\n");
            }
            Self::NobodyReads => return String::new(),
            Self::Refused(refusal) => refusal,
        };
        let mut lines = Vec::new();
        if refusal.violations.is_empty() {
            let name = if refusal.reason.is_empty() { code_name(refusal.code) } else { &refusal.reason };
            lines.push(format!("{} [{}]", visible(&refusal.message), visible(name)));
        } else {
            lines.push("the server refuses these values:".to_owned());
            let violations = refusal.violations.iter();
            lines.extend(violations.map(|(field, why)| format!("  {}: {}", visible(field), visible(why))));
        }
        lines.extend(refusal.hint().map(|hint| format!("  {hint}")));
        if let Some(key) = &refusal.key {
            lines.push(format!("  to try again without doing it twice: --key {}", visible(key)));
        }
        lines.join("\n")
    }

    /// For programs.
    pub(crate) fn object(&self) -> serde_json::Value {
        let plain = |code: &str, message: &str| json!({"error": {"code": code, "message": message}});
        match self {
            Self::Usage(message) => plain("USAGE", message),
            Self::NotSignedIn(message) => plain("NOT_SIGNED_IN", message),
            Self::Failed(message) => plain("FAILED", message),
            Self::NobodyReads => serde_json::Value::Null,
            Self::Refused(refusal) => {
                let violations = refusal.violations.iter();
                json!({"error": {
                    "code": code_name(refusal.code),
                    "reason": refusal.reason,
                    "message": refusal.message,
                    "fieldViolations": violations
                        .map(|(field, why)| json!({"field": field, "description": why}))
                        .collect::<Vec<_>>(),
                    "idempotencyKey": refusal.key,
                }})
            }
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

impl From<wiring::StartError> for Error {
    fn from(error: wiring::StartError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Says what went wrong with a command that runs Daypass itself.
pub(crate) fn complain(error: &impl std::fmt::Display) -> ExitCode {
    complain_of(&Error::Failed(error.to_string()))
}

/// The same of what may be wrong with the command line as well.
pub(crate) fn complain_of(error: &Error) -> ExitCode {
    crate::output::warn(&error.words());
    error.exit_code()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::{ErrorDetails, FieldViolation};

    fn error(status: &Status) -> Error {
        Refusal::new(status, "http://127.0.0.1:1").into()
    }

    #[test]
    fn a_reason_is_shown_with_the_words() {
        let details = ErrorDetails::with_error_info("OWN_REQUEST", "daypass", []);
        let status =
            Status::with_error_details(Code::PermissionDenied, "nobody decides on their own", details);
        assert_eq!(error(&status).words(), "nobody decides on their own [OWN_REQUEST]");
        assert_eq!(error(&status).object()["error"]["reason"], "OWN_REQUEST");
    }

    #[test]
    fn every_wrong_field_is_named() {
        let details = ErrorDetails::with_bad_request(vec![
            FieldViolation::new("ask.ticket", "must be short"),
            FieldViolation::new("ask.window.duration", "must be positive"),
        ]);
        let status = Status::with_error_details(Code::InvalidArgument, "two fields", details);
        let expected = "the server refuses these values:\n  ask.ticket: must be short\n  ask.window.duration: must be positive";
        assert_eq!(error(&status).words(), expected);
    }

    #[test]
    fn what_a_server_says_cannot_drive_the_terminal() {
        let status = Status::failed_precondition("\u{1b}]0;owned\u{7}\u{202e}no\nreally");
        let words = error(&status).words();
        assert!(!words.chars().any(|c| c.is_control() || c == '\u{202e}'), "{words:?}");
    }

    #[test]
    fn exit_codes_are_those_of_the_help() {
        for (status, code) in [
            (Status::permission_denied(""), 1),
            (Status::unimplemented(""), 3),
            (Status::unauthenticated(""), 4),
            (Status::unavailable(""), 5),
            (Status::deadline_exceeded(""), 5),
        ] {
            assert_eq!(error(&status).exit_code(), ExitCode::from(code), "{status:?}");
        }
        assert_eq!(Error::Usage(String::new()).exit_code(), ExitCode::from(2));
        assert_eq!(Error::NotSignedIn(String::new()).exit_code(), ExitCode::from(4));
    }
}

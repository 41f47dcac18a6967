//! The one place where a no becomes a gRPC status: code, reason for programs, words for people, details.
//!
//! | what | code |
//! | --- | --- |
//! | a field is wrong | `INVALID_ARGUMENT`, with field violations |
//! | no, as things stand | `FAILED_PRECONDITION`, with a reason |
//! | no, to you | `PERMISSION_DENIED`; what you may not know of is `NOT_FOUND` |
//! | others kept being first | `ABORTED` |
//! | the log or a dependency is down, or its answer too old | `UNAVAILABLE`, with when to retry |
//! | history cannot be read | `DATA_LOSS`, and a page |
//!
//! `docs/status-codes.md` lists every reason; a test compares.

use crate::clock_health::ClockInDoubt;
use crate::page::ForeignPage;
use crate::place::PlaceUnknown;
use crate::policy_book::PolicyUnknown;
use crate::position::TokenError;
use crate::requests::StoryError;
use command::{CommandError, LoadError};
use domain::Invalid;
use journal::key_store::KeyStoreError;
use lifecycle::Rejection;
use policy::Denied;
use std::collections::HashMap;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// The domain of every reason.
pub const DOMAIN: &str = "daypass";

/// When a caller may try again after something was down: soon enough for a person, rare enough for a log that recovers.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A no, with its code and its reason for programs.
pub trait Refusal: std::fmt::Display {
    /// The code, and a word in capitals.
    fn reason(&self) -> (Code, &'static str);
}

/// The status of a refusal.
pub fn status(refusal: &impl Refusal) -> Status {
    let (code, reason) = refusal.reason();
    with_reason(code, reason, refusal.to_string())
}

/// A status with a reason.
pub fn with_reason(code: Code, reason: &'static str, message: impl Into<String>) -> Status {
    let mut details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new());
    if code == Code::Unavailable {
        details.set_retry_info(Some(RETRY_AFTER));
    }
    Status::with_error_details(code, message, details)
}

/// The reason in a status, where it has one.
pub fn reason_of(status: &Status) -> Option<String> {
    status.get_details_error_info().map(|info| info.reason)
}

/// A field of a request is wrong.
pub fn field(field: impl Into<String>, why: impl Into<String>) -> Status {
    let (field, why) = (field.into(), why.into());
    let message = format!("{field}: {why}");
    Status::with_error_details(
        Code::InvalidArgument,
        message,
        ErrorDetails::with_bad_request_violation(field, why),
    )
}

/// A value of a request is none; says which field.
pub fn invalid(name: &str) -> impl Fn(Invalid) -> Status {
    move |invalid| field(name, invalid.why)
}

/// What the caller may not know of, or what is not there.
pub fn not_found(what: &str) -> Status {
    with_reason(Code::NotFound, "NOT_FOUND", format!("there is no such {what}"))
}

/// The log or a dependency cannot be asked now.
pub fn unavailable(reason: &'static str, message: impl Into<String>) -> Status {
    with_reason(Code::Unavailable, reason, message)
}

impl Refusal for Rejection {
    fn reason(&self) -> (Code, &'static str) {
        use Code::{FailedPrecondition, NotFound, PermissionDenied, Unavailable};
        match self {
            Self::StartInPast => (FailedPrecondition, "START_IN_PAST"),
            Self::StartBeyondHorizon { .. } => (FailedPrecondition, "START_BEYOND_HORIZON"),
            Self::WindowTooShort { .. } => (FailedPrecondition, "WINDOW_TOO_SHORT"),
            Self::WindowTooLong { .. } => (FailedPrecondition, "WINDOW_TOO_LONG"),
            Self::WindowInvalid => (FailedPrecondition, "WINDOW_INVALID"),
            Self::NobodyCanDecide { .. } => (FailedPrecondition, "NOBODY_CAN_DECIDE"),
            Self::OwnRule => (PermissionDenied, "OWN_RULE"),
            Self::ExtendsAnother => (FailedPrecondition, "EXTENDS_ANOTHER"),
            Self::ExtendsNothing => (FailedPrecondition, "EXTENDS_NOTHING"),
            Self::ExtensionLeavesGap => (FailedPrecondition, "EXTENSION_LEAVES_GAP"),
            Self::ChainTooLong { .. } => (FailedPrecondition, "CHAIN_TOO_LONG"),
            Self::EmergencyExtendsEmergency => (FailedPrecondition, "EMERGENCY_EXTENDS_EMERGENCY"),
            Self::NotFound => (NotFound, "NOT_FOUND"),
            Self::NotPending => (FailedPrecondition, "NOT_PENDING"),
            Self::NotApproved => (FailedPrecondition, "NOT_APPROVED"),
            Self::Over => (FailedPrecondition, "OVER"),
            Self::NotOver => (FailedPrecondition, "NOT_OVER"),
            Self::AlreadyStarted => (FailedPrecondition, "ALREADY_STARTED"),
            Self::WindowNotBegun => (FailedPrecondition, "WINDOW_NOT_BEGUN"),
            Self::WindowOver => (FailedPrecondition, "WINDOW_OVER"),
            Self::WindowNotOver => (FailedPrecondition, "WINDOW_NOT_OVER"),
            Self::NotActive => (FailedPrecondition, "NOT_ACTIVE"),
            Self::AlreadyActive => (FailedPrecondition, "ALREADY_ACTIVE"),
            Self::NoCredentials => (FailedPrecondition, "NO_CREDENTIALS"),
            Self::NotAPerson => (PermissionDenied, "NOT_A_PERSON"),
            Self::OwnRequest => (PermissionDenied, "OWN_REQUEST"),
            Self::NotEntitled => (PermissionDenied, "NOT_ENTITLED"),
            Self::Unprovable(_) => (Unavailable, "UNPROVABLE"),
            Self::AlreadyEndorsed => (FailedPrecondition, "ALREADY_ENDORSED"),
            Self::ReviewOver { .. } => (FailedPrecondition, "REVIEW_OVER"),
            Self::ReviewNotOver => (FailedPrecondition, "REVIEW_NOT_OVER"),
            Self::PlanNotEmpty => (FailedPrecondition, "PLAN_NOT_EMPTY"),
            Self::NoReviewOwed => (FailedPrecondition, "NO_REVIEW_OWED"),
            Self::AlreadyClosed => (FailedPrecondition, "ALREADY_CLOSED"),
            Self::NotClosable => (FailedPrecondition, "NOT_CLOSABLE"),
            Self::AttemptOpen => (FailedPrecondition, "ATTEMPT_OPEN"),
            Self::NoSuchAttempt => (FailedPrecondition, "NO_SUCH_ATTEMPT"),
            Self::AsItShouldBe => (FailedPrecondition, "AS_IT_SHOULD_BE"),
            Self::StillNeeded => (FailedPrecondition, "STILL_NEEDED"),
            Self::NotThere => (FailedPrecondition, "NOT_THERE"),
            Self::AccountNotGone => (FailedPrecondition, "ACCOUNT_NOT_GONE"),
            Self::SecondPersonNeeded => (PermissionDenied, "SECOND_PERSON_NEEDED"),
            Self::HasLeft => (PermissionDenied, "HAS_LEFT"),
            Self::SignalNotAllowed => (PermissionDenied, "SIGNAL_NOT_ALLOWED"),
            Self::SignalStale { .. } => (FailedPrecondition, "SIGNAL_STALE"),
            Self::SignalAhead => (FailedPrecondition, "SIGNAL_AHEAD"),
            Self::SignalIncomplete { .. } => (FailedPrecondition, "SIGNAL_INCOMPLETE"),
            Self::SignalSettled => (FailedPrecondition, "SIGNAL_SETTLED"),
            Self::SignalConcernsAnother => (FailedPrecondition, "SIGNAL_CONCERNS_ANOTHER"),
            Self::Standing => (FailedPrecondition, "STANDING"),
            Self::Attended => (FailedPrecondition, "ATTENDED"),
        }
    }
}

impl Refusal for Denied {
    fn reason(&self) -> (Code, &'static str) {
        match self {
            Self::NoRule => (Code::PermissionDenied, "NO_RULE"),
            Self::DurationTooLong { .. } => (Code::FailedPrecondition, "WINDOW_TOO_LONG"),
            Self::DurationTooShort { .. } => (Code::FailedPrecondition, "WINDOW_TOO_SHORT"),
            Self::RuleDoesNotPermit(_) => (Code::PermissionDenied, "RULE_DOES_NOT_PERMIT"),
            Self::RuleVanished(_) => (Code::FailedPrecondition, "RULE_VANISHED"),
            Self::GroupsUnknown(_) => (Code::Unavailable, "UNPROVABLE"),
            Self::NobodyCanDecide => (Code::FailedPrecondition, "NOBODY_CAN_DECIDE"),
            Self::PolicyError(_) => (Code::Unavailable, "POLICY_UNUSABLE"),
        }
    }
}

impl Refusal for PolicyUnknown {
    fn reason(&self) -> (Code, &'static str) {
        match self {
            Self::NeverApplied => (Code::FailedPrecondition, "NO_POLICY"),
            Self::Log(_) => (Code::Unavailable, "LOG_UNAVAILABLE"),
            Self::Undecodable(_) => (Code::DataLoss, "HISTORY_DAMAGED"),
            Self::Unusable(_) => (Code::Unavailable, "POLICY_UNUSABLE"),
        }
    }
}

impl Refusal for PlaceUnknown {
    fn reason(&self) -> (Code, &'static str) {
        match self {
            Self::NoDirectory | Self::TooOld { .. } | Self::AgeUnknown => {
                (Code::Unavailable, "DIRECTORY_UNAVAILABLE")
            }
            Self::AnotherPartition(..) => (Code::FailedPrecondition, "ANOTHER_PARTITION"),
            Self::NoAccount => (Code::FailedPrecondition, "NO_SUCH_ACCOUNT"),
            Self::AccountInactive => (Code::FailedPrecondition, "ACCOUNT_INACTIVE"),
            Self::NoPermissionSet => (Code::FailedPrecondition, "NO_SUCH_PERMISSION_SET"),
            Self::ManagementAccount => (Code::FailedPrecondition, "MANAGEMENT_ACCOUNT"),
        }
    }
}

impl Refusal for ClockInDoubt {
    fn reason(&self) -> (Code, &'static str) {
        (Code::Unavailable, "CLOCK_IN_DOUBT")
    }
}

impl Refusal for StoryError {
    fn reason(&self) -> (Code, &'static str) {
        match self {
            Self::Read(_) => (Code::Unavailable, "READ_MODEL_UNAVAILABLE"),
            Self::Undecodable(_) | Self::Damaged => (Code::DataLoss, "HISTORY_DAMAGED"),
        }
    }
}

impl Refusal for LoadError {
    fn reason(&self) -> (Code, &'static str) {
        match self {
            Self::Unavailable(_) => (Code::Unavailable, "LOG_UNAVAILABLE"),
            Self::Corrupt(_) => (Code::DataLoss, "HISTORY_DAMAGED"),
        }
    }
}

/// A position that means nothing here is a wrong field.
pub fn position(name: &str, error: TokenError) -> Status {
    field(name, error.to_string())
}

impl From<ForeignPage> for Status {
    fn from(foreign: ForeignPage) -> Self {
        field("page_token", foreign.to_string())
    }
}

/// There is no key to be had. Why stays in the log of the service.
pub fn key_store(error: &KeyStoreError) -> Status {
    match error {
        KeyStoreError::Unavailable(_) | KeyStoreError::Unsafe(_) => {
            tracing::error!(%error, "the key store cannot be used");
            unavailable("KEY_STORE_UNAVAILABLE", "the key store is not available; nothing was done")
        }
        KeyStoreError::Unusable { .. } => {
            tracing::error!(%error, "a person's key cannot be used");
            with_reason(
                Code::FailedPrecondition,
                "KEY_UNUSABLE",
                "the key of this person cannot be used; nothing was done",
            )
        }
    }
}

/// Why a command has no outcome. Details of faults stay in the log of the service.
pub fn command<R: Refusal>(error: CommandError<R>) -> Status {
    match error {
        CommandError::Refused(rejection) => status(&rejection),
        CommandError::KeyReused => with_reason(
            Code::AlreadyExists,
            "KEY_REUSED",
            "the idempotency key was used before, for another command",
        ),
        CommandError::Contended => {
            with_reason(Code::Aborted, "CONTENDED", "others kept changing the same thing; try again")
        }
        CommandError::Unknown(why) => {
            tracing::warn!(why, "the outcome of a command is not known");
            unavailable(
                "OUTCOME_UNKNOWN",
                "it is not known whether this was done; the same call, repeated, finds out",
            )
        }
        CommandError::Unavailable(why) => {
            tracing::warn!(why, "the log is not available");
            unavailable("LOG_UNAVAILABLE", "the log is not available; nothing was done")
        }
        CommandError::Corrupt(corrupt) => {
            tracing::error!(%corrupt, "history cannot be relied on");
            with_reason(
                Code::DataLoss,
                "HISTORY_DAMAGED",
                "the history that this would rest on cannot be read",
            )
        }
        CommandError::TooLarge { bytes } => with_reason(
            Code::ResourceExhausted,
            "EVENT_TOO_LARGE",
            format!("the event would have {bytes} bytes, more than the log takes"),
        ),
        CommandError::NotOurs { type_name } => {
            tracing::error!(type_name, "a decision that this service may not write");
            with_reason(Code::Internal, "FAULT", "a fault of the service; nothing was done")
        }
    }
}

//! How services say no: one helper per case of the table in docs/status-codes.md, each with details for programs.
//!
//! INVARIANT: every refusal that a program could act on carries a `google.rpc.ErrorInfo` of domain [`DOMAIN`]. Its reason is a
//! fixed word; nothing in a status repeats a secret or free text.

use std::collections::HashMap;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

/// The domain of every `ErrorInfo.reason` here.
pub const DOMAIN: &str = "daypass";

/// Pairs for `ErrorInfo.metadata`.
pub type Metadata<'a> = &'a [(&'a str, &'a str)];

fn with_reason(code: Code, reason: &str, message: impl Into<String>, metadata: Metadata<'_>) -> Status {
    Status::with_error_details(code, message, ErrorDetails::with_error_info(reason, DOMAIN, owned(metadata)))
}

fn owned(metadata: Metadata<'_>) -> HashMap<String, String> {
    metadata.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A field is wrong in a way that its declared constraints cannot say. `field` is its path: `ask.target.account_id`.
pub fn invalid_argument(field: &str, why: impl Into<String>) -> Status {
    let why = why.into();
    let details = ErrorDetails::with_bad_request(vec![FieldViolation::new(field, why.clone())]);
    Status::with_error_details(Code::InvalidArgument, format!("{field}: {why}"), details)
}

/// Refused because of how things stand.
pub fn failed_precondition(reason: &str, message: impl Into<String>, metadata: Metadata<'_>) -> Status {
    with_reason(Code::FailedPrecondition, reason, message, metadata)
}

/// Refused because of who asks.
pub fn permission_denied(reason: &str, message: impl Into<String>, metadata: Metadata<'_>) -> Status {
    with_reason(Code::PermissionDenied, reason, message, metadata)
}

/// Nobody knows who asks.
pub fn unauthenticated(reason: &str, message: impl Into<String>) -> Status {
    with_reason(Code::Unauthenticated, reason, message, &[])
}

/// Not there, or not for this caller to know of. `what`: `request`.
pub fn not_found(what: &str) -> Status {
    with_reason(Code::NotFound, "NOT_FOUND", format!("there is no such {what}"), &[("what", what)])
}

/// Others changed the same thing again and again: asking once more may do.
pub fn aborted(message: impl Into<String>) -> Status {
    with_reason(Code::Aborted, "CONTENDED", message, &[])
}

/// Something that this rests on is down; worth another try after `retry_after`.
pub fn unavailable(reason: &str, message: impl Into<String>, retry_after: Duration) -> Status {
    let mut details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new());
    details.set_retry_info(Some(retry_after));
    Status::with_error_details(Code::Unavailable, message, details)
}

/// More than the caller may ask for at once.
pub fn resource_exhausted(reason: &str, message: impl Into<String>) -> Status {
    with_reason(Code::ResourceExhausted, reason, message, &[])
}

/// History that cannot be read. Whoever makes this also logs an error, which pages.
pub fn data_loss(reason: &str, message: impl Into<String>) -> Status {
    with_reason(Code::DataLoss, reason, message, &[])
}

/// Declared, and not served yet.
pub fn unimplemented(message: impl Into<String>) -> Status {
    with_reason(Code::Unimplemented, "UNIMPLEMENTED", message, &[])
}

/// The caller's time ran out.
pub fn deadline_exceeded() -> Status {
    with_reason(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", "the deadline of the call has passed", &[])
}

/// The reason that a status carries, for tests and clients.
pub fn reason(status: &Status) -> Option<String> {
    status.get_details_error_info().map(|info| info.reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_tells_programs_why() {
        let status = failed_precondition("ALREADY_DECIDED", "it is decided", &[("status", "APPROVED")]);
        let info = status.get_details_error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("ALREADY_DECIDED", DOMAIN));
        assert_eq!(info.metadata.get("status").map(String::as_str), Some("APPROVED"));
    }

    #[test]
    fn unavailable_says_when_to_try_again() {
        let status = unavailable("LOG_DOWN", "the log is down", Duration::from_secs(2));
        assert_eq!(status.get_details_retry_info().unwrap().retry_delay, Some(Duration::from_secs(2)));
    }

    #[test]
    fn a_wrong_field_is_named() {
        let status = invalid_argument("ask.target", "is not known");
        let request = status.get_details_bad_request().unwrap();
        assert_eq!(request.field_violations.first().map(|v| v.field.as_str()), Some("ask.target"));
    }
}

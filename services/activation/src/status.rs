//! The refusals that are this service's own. All others are in `views::refusal`.

use crate::fault::Fault;
use aws::{AwsError, ErrorKind};
use tonic::{Code, Status};
use views::refusal;

/// A retry of an issue that succeeded: no secret is stored, so the answer cannot be given again.
pub(crate) fn issued_already() -> Status {
    refusal::with_reason(
        Code::FailedPrecondition,
        "ISSUED_ALREADY",
        "credentials were issued under this idempotency key, and are not stored: ask again with another key",
    )
}

/// Enough has been issued for one request.
pub(crate) fn too_many_issues(max: usize) -> Status {
    refusal::with_reason(
        Code::ResourceExhausted,
        "TOO_MANY_ISSUES",
        format!(
            "credentials were issued {max} times for this request: use those that are good still, or ask for access anew"
        ),
    )
}

/// STS did not give credentials. Nothing was issued that anybody knows of.
pub(crate) fn sts(error: &AwsError) -> Status {
    tracing::warn!(%error, "STS gave no credentials");
    match error.kind {
        ErrorKind::Throttled | ErrorKind::Conflict | ErrorKind::Unknown | ErrorKind::Unavailable => {
            refusal::unavailable("AWS_UNAVAILABLE", format!("AWS gives no credentials now ({})", error.code))
        }
        ErrorKind::Denied | ErrorKind::NotFound => refusal::with_reason(
            Code::FailedPrecondition,
            "ROLE_NOT_ASSUMABLE",
            format!(
                "AWS does not let Daypass assume this role ({}): its trust policy must be looked at",
                error.code
            ),
        ),
        ErrorKind::Invalid => refusal::with_reason(
            Code::FailedPrecondition,
            "ROLE_REFUSES",
            format!("AWS does not accept this session for this role ({})", error.code),
        ),
    }
}

/// A dependency failed while a question was answered.
pub(crate) fn fault(fault: &Fault) -> Status {
    tracing::warn!(%fault, "a question could not be answered");
    match fault {
        Fault::Views(error) => refusal::status(error),
        Fault::Log(_) => refusal::unavailable("LOG_UNAVAILABLE", "the log is not available"),
        Fault::Behind => views::position::not_reached(),
        Fault::Aws(error) => {
            refusal::unavailable("AWS_UNAVAILABLE", format!("AWS does not answer ({})", error.code))
        }
    }
}

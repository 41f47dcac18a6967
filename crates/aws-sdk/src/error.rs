//! Errors of the SDK, sorted by what may be concluded from them.
//!
//! INVARIANT: only what surely was not applied is told as such. What is not known here is [`ErrorKind::Unknown`] for a call that
//! changes something.

use aws::{AwsError, ErrorKind};
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::config::http::HttpResponse;
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use std::error::Error;
use std::io;

/// Whether a call changes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// No: whatever went wrong, nothing was applied.
    Reads,
    /// Yes.
    Changes,
}

/// The error of a call.
pub(crate) fn sorted<E>(effect: Effect, error: &SdkError<E, HttpResponse>) -> AwsError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let sorted = match error {
        SdkError::ServiceError(answer) => {
            let status = answer.raw().status().as_u16();
            let code = answer.err().code().unwrap_or("Unspecified");
            let message = answer.err().message().unwrap_or_default();
            AwsError::new(kind_of(code, status), code, message)
        }
        SdkError::ConstructionFailure(_) => {
            AwsError::new(ErrorKind::Unavailable, "ConstructionFailure", &causes(error))
        }
        SdkError::TimeoutError(_) => AwsError::new(ErrorKind::Unknown, "Timeout", &causes(error)),
        SdkError::DispatchFailure(_) => {
            let kind = if never_sent(error) { ErrorKind::Unavailable } else { ErrorKind::Unknown };
            AwsError::new(kind, "DispatchFailure", &causes(error))
        }
        SdkError::ResponseError(_) => AwsError::new(ErrorKind::Unknown, "ResponseError", &causes(error)),
        _other => AwsError::new(ErrorKind::Unknown, "Unrecognised", &causes(error)),
    };
    match (effect, sorted.kind) {
        (Effect::Reads, ErrorKind::Unknown) => AwsError { kind: ErrorKind::Unavailable, ..sorted },
        _other => sorted,
    }
}

/// The kind of an answer, by AWS's code for it, else by its HTTP status.
fn kind_of(code: &str, status: u16) -> ErrorKind {
    match code {
        "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "RequestLimitExceeded"
        | "TooManyRequestsException"
        | "SlowDown" => ErrorKind::Throttled,
        // Of how much there is, or is under way. Fewer calls a second do not help.
        "LimitExceededException" | "ServiceQuotaExceededException" => ErrorKind::QuotaReached,
        "ConflictException"
        | "ConcurrentModificationException"
        // Of control policies: an earlier change is on its way, or what was read was older than one.
        | "PolicyChangesInProgressException"
        | "DuplicatePolicyAttachmentException"
        | "DuplicatePolicyException"
        | "PolicyNotAttachedException"
        | "PolicyNotFoundException" => ErrorKind::Conflict,
        "ResourceNotFoundException"
        | "NoSuchEntity"
        | "ParentNotFoundException"
        | "TargetNotFoundException"
        | "AccountNotFoundException"
        | "OrganizationalUnitNotFoundException" => ErrorKind::NotFound,
        // Signed too long ago, or with credentials that have run out: the next attempt brings its own.
        "RequestExpired"
        | "RequestTimeTooSkewed"
        | "RequestInTheFuture"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "ExpiredToken"
        | "ExpiredTokenException" => ErrorKind::Unavailable,
        "AccessDenied"
        | "AccessDeniedException"
        | "UnauthorizedOperation"
        | "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "OptInRequired" => ErrorKind::Denied,
        _other => match status {
            401 | 403 => ErrorKind::Denied,
            409 => ErrorKind::Conflict,
            429 => ErrorKind::Throttled,
            // What AWS does not find it tells by a code. Without one it was something on the way that does not know where to send it.
            404 => ErrorKind::Unknown,
            400..=499 => ErrorKind::Invalid,
            _other => ErrorKind::Unknown,
        },
    }
}

/// Whether the request surely did not leave: there were no credentials to sign it with, or no connection to send it over.
fn never_sent(error: &(dyn Error + 'static)) -> bool {
    chain(error).any(|cause| {
        let unconnected = cause.downcast_ref::<io::Error>().map(io::Error::kind).is_some_and(|kind| {
            use io::ErrorKind::{AddrNotAvailable, ConnectionRefused, HostUnreachable, NetworkUnreachable};
            [ConnectionRefused, HostUnreachable, NetworkUnreachable, AddrNotAvailable].contains(&kind)
        });
        unconnected || cause.downcast_ref::<CredentialsError>().is_some()
    })
}

/// The error and its causes, joined. The SDK keeps secrets out of its errors.
fn causes(error: &(dyn Error + 'static)) -> String {
    chain(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &'a (dyn Error + 'static) = *error;
        error.source()
    })
}

/// An answer that lacks what the API promises. After a change its outcome is unknown.
pub(crate) fn incomplete(effect: Effect, what: &str) -> AwsError {
    let kind = match effect {
        Effect::Reads => ErrorKind::Unavailable,
        Effect::Changes => ErrorKind::Unknown,
    };
    AwsError::new(kind, "IncompleteAnswer", what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_go_before_statuses() {
        for (code, status, kind) in [
            ("ThrottlingException", 400, ErrorKind::Throttled),
            ("ServiceQuotaExceededException", 402, ErrorKind::QuotaReached),
            ("LimitExceededException", 400, ErrorKind::QuotaReached),
            ("ConflictException", 400, ErrorKind::Conflict),
            ("PolicyChangesInProgressException", 400, ErrorKind::Conflict),
            ("PolicyNotAttachedException", 400, ErrorKind::Conflict),
            ("ResourceNotFoundException", 400, ErrorKind::NotFound),
            ("AccessDeniedException", 400, ErrorKind::Denied),
            ("ValidationException", 400, ErrorKind::Invalid),
            ("PackedPolicyTooLarge", 400, ErrorKind::Invalid),
            ("SlowDown", 503, ErrorKind::Throttled),
            ("InvalidSignatureException", 403, ErrorKind::Unavailable),
            ("Unspecified", 403, ErrorKind::Denied),
            ("NoSuchEntity", 404, ErrorKind::NotFound),
            ("Unspecified", 404, ErrorKind::Unknown),
            ("InternalServerException", 500, ErrorKind::Unknown),
            ("Unspecified", 503, ErrorKind::Unknown),
            ("Unspecified", 302, ErrorKind::Unknown),
        ] {
            assert_eq!(kind_of(code, status), kind, "{code} {status}");
        }
    }
}

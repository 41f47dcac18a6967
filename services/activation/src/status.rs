//! The refusals that are this service's own. All others are in `views::refusal`.

use crate::fault::Fault;
use crate::restored::NOT_SWEPT;
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

/// The log was restored, and it is not known yet which access has ended since the backup.
pub(crate) fn not_swept() -> Status {
    refusal::unavailable("AWS_NOT_SWEPT", NOT_SWEPT)
}

/// STS did not give credentials. Nothing was issued that anybody knows of.
pub(crate) fn sts(error: &AwsError) -> Status {
    tracing::warn!(%error, "STS gave no credentials");
    let code = &error.code;
    match error.kind {
        ErrorKind::Throttled
        | ErrorKind::QuotaReached
        | ErrorKind::Conflict
        | ErrorKind::Unknown
        | ErrorKind::Unavailable => {
            refusal::unavailable("AWS_UNAVAILABLE", format!("AWS gives no credentials now ({code})"))
        }
        ErrorKind::Denied | ErrorKind::NotFound => {
            let missing = match needed(error) {
                Some(action) => format!("its trust policy and Daypass's own policy must both allow {action}"),
                None => "its trust policy must be looked at".to_owned(),
            };
            refusal::with_reason(
                Code::FailedPrecondition,
                "ROLE_NOT_ASSUMABLE",
                format!("AWS does not let Daypass assume this role ({code}): {missing}"),
            )
        }
        ErrorKind::Invalid if code == TOO_LARGE => refusal::with_reason(
            Code::FailedPrecondition,
            "SESSION_POLICY_TOO_LARGE",
            "AWS finds the rule's session policy too large, packed together with the session's tags: an administrator must \
             shorten it, or put some of it into a managed policy",
        ),
        ErrorKind::Invalid if code == MALFORMED => refusal::with_reason(
            Code::FailedPrecondition,
            "SESSION_POLICY_REFUSED",
            "AWS does not take the rule's session policy: an administrator must correct it",
        ),
        ErrorKind::Invalid => refusal::with_reason(
            Code::FailedPrecondition,
            "ROLE_REFUSES",
            format!("AWS does not accept this session for this role ({code})"),
        ),
    }
}

/// Policies and tags exceed what AWS packs into a token; it alone knows the packed size.
const TOO_LARGE: &str = "PackedPolicyTooLarge";
/// The policy is none to AWS, or names a managed policy that is not there.
const MALFORMED: &str = "MalformedPolicyDocument";

/// What AWS says is missing, where it says so: without these an AssumeRole that is otherwise allowed is denied.
fn needed(error: &AwsError) -> Option<&'static str> {
    ["sts:SetSourceIdentity", "sts:TagSession"].into_iter().find(|action| error.message.contains(action))
}

/// Whether a shorter session may be given where this was answered.
pub(crate) fn may_be_too_long(error: &AwsError) -> bool {
    error.kind == ErrorKind::Invalid && error.code != TOO_LARGE && error.code != MALFORMED
}

/// This deployment has no way into the console.
pub(crate) fn no_console() -> Status {
    refusal::with_reason(Code::FailedPrecondition, "NO_CONSOLE", "the console cannot be opened from here")
}

/// AWS Sign-In gave no token. The credentials behind it are dropped, and nobody knows of them.
pub(crate) fn sign_in(error: &AwsError) -> Status {
    tracing::warn!(%error, "AWS Sign-In gave no token");
    match error.kind {
        ErrorKind::Throttled
        | ErrorKind::QuotaReached
        | ErrorKind::Conflict
        | ErrorKind::Unknown
        | ErrorKind::Unavailable => {
            refusal::unavailable("AWS_UNAVAILABLE", format!("AWS Sign-In gives no link now ({})", error.code))
        }
        ErrorKind::Denied | ErrorKind::NotFound | ErrorKind::Invalid => refusal::with_reason(
            Code::FailedPrecondition,
            "CONSOLE_REFUSED",
            format!("AWS Sign-In does not take these credentials ({})", error.code),
        ),
    }
}

/// A dependency failed while a question was answered.
pub(crate) fn fault(fault: &Fault) -> Status {
    tracing::warn!(%fault, "a question could not be answered");
    match fault {
        Fault::Views(error) => refusal::status(error),
        Fault::Log(_) => refusal::unavailable("LOG_UNAVAILABLE", "the log is not available"),
        Fault::Behind | Fault::GivesWay => views::position::not_reached(),
        Fault::Aws(error) if error.retriable() => {
            refusal::unavailable("AWS_UNAVAILABLE", format!("AWS does not answer ({})", error.code))
        }
        Fault::Aws(error) => refusal::with_reason(
            Code::FailedPrecondition,
            "AWS_REFUSES",
            format!("AWS refuses this ({}): it helps to change that, not to try again", error.code),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::StatusExt as _;

    fn told(kind: ErrorKind, code: &str, message: &str) -> (String, String) {
        let status = sts(&AwsError::new(kind, code, message));
        assert_eq!(status.code(), Code::FailedPrecondition);
        (status.get_details_error_info().unwrap().reason, status.message().to_owned())
    }

    #[test]
    fn a_trust_policy_that_lacks_something_is_told_what() {
        let said = "User: arn:aws:sts::1:assumed-role/daypass/x is not authorized to perform: ";
        for action in ["sts:TagSession", "sts:SetSourceIdentity"] {
            let message = format!("{said}{action} on resource: arn:aws:iam::2:role/Deployer");
            let (reason, why) = told(ErrorKind::Denied, "AccessDenied", &message);
            assert_eq!(reason, "ROLE_NOT_ASSUMABLE");
            assert!(why.ends_with(&format!("allow {action}")), "{why}");
            assert!(!why.contains("arn:"), "{why}");
        }
        let (_, why) =
            told(ErrorKind::Denied, "AccessDenied", &format!("{said}sts:AssumeRole on resource: …"));
        assert!(!why.contains("sts:"), "{why}");
    }

    #[test]
    fn what_aws_refuses_is_not_asked_for_again_and_what_it_does_not_answer_is() {
        for (kind, code, reason, retried) in [
            (ErrorKind::Denied, Code::FailedPrecondition, "AWS_REFUSES", false),
            (ErrorKind::NotFound, Code::FailedPrecondition, "AWS_REFUSES", false),
            (ErrorKind::Invalid, Code::FailedPrecondition, "AWS_REFUSES", false),
            (ErrorKind::Throttled, Code::Unavailable, "AWS_UNAVAILABLE", true),
            (ErrorKind::QuotaReached, Code::Unavailable, "AWS_UNAVAILABLE", true),
            (ErrorKind::Conflict, Code::Unavailable, "AWS_UNAVAILABLE", true),
            (ErrorKind::Unknown, Code::Unavailable, "AWS_UNAVAILABLE", true),
            (ErrorKind::Unavailable, Code::Unavailable, "AWS_UNAVAILABLE", true),
        ] {
            let status = fault(&Fault::Aws(AwsError::new(kind, "SomeCode", "arn:aws:iam::2:role/Deployer")));
            assert_eq!(status.code(), code, "{kind:?}");
            assert_eq!(status.get_details_error_info().unwrap().reason, reason, "{kind:?}");
            assert_eq!(status.get_details_retry_info().is_some(), retried, "{kind:?}");
            assert!(status.message().contains("SomeCode") && !status.message().contains("arn:"));
        }
    }

    #[test]
    fn a_session_policy_that_aws_does_not_take_is_told_apart_from_a_role_that_refuses() {
        for (code, reason) in [
            ("PackedPolicyTooLarge", "SESSION_POLICY_TOO_LARGE"),
            ("MalformedPolicyDocument", "SESSION_POLICY_REFUSED"),
            ("ValidationError", "ROLE_REFUSES"),
        ] {
            assert_eq!(told(ErrorKind::Invalid, code, "Packed size: 104%").0, reason);
            let error = AwsError::new(ErrorKind::Invalid, code, "");
            assert_eq!(may_be_too_long(&error), reason == "ROLE_REFUSES", "{code}");
        }
    }
}

//! How the simulated AWS behaves: its delays and limits, and the faults that can be planted.

use crate::{AwsError, ErrorKind};
use domain::SignedDuration;
use std::time::Duration;

/// Delays and limits.
#[expect(clippy::struct_excessive_bools, reason = "a list of independent facts, named where it is made")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behaviour {
    /// Of a call, there and back.
    pub latency: Duration,
    /// From the start of an asynchronous operation to its effect and final status.
    pub operation_time: SignedDuration,
    /// By how much lists are behind the truth.
    pub list_lag: SignedDuration,
    /// Calls of Identity Center per second, and of Account Access Manager; `None`: unlimited.
    pub calls_per_second: Option<usize>,
    /// Holders on a page of their list, each of which is a call; `None`: all of them.
    pub page_max: Option<usize>,
    /// Asynchronous operations of each of the two at one time; `None`: unlimited.
    pub outstanding_max: Option<usize>,
    /// Whether a second operation of Identity Center in an account conflicts while one is under way (the same key always conflicts).
    pub conflict_in_account: bool,
    /// How old a signature may be when it arrives, and how far ahead of AWS's clock.
    pub signature_skew_max: SignedDuration,
    /// Whether Identity Center is administered from a member account, which cannot assign in the management account, nor list
    /// what is assigned there. (AWS's pages do not say the latter; the stricter answer is made here.)
    pub delegated_administrator: bool,
    /// Whether Daypass itself runs on role credentials, so that every role it assumes is chained.
    pub caller_is_role_session: bool,
    /// Whether a removal of Identity Center needs its user in the directory: of any other it begins, and ends `FAILED`, whether or
    /// not the assignment is there, and what is there stays listed. So AWS was seen to do after SCIM had deleted a user
    /// (hashicorp/terraform-provider-aws #19341, 61418/aws-sso-util #93); at other times it removed it. That it says so also where nothing is
    /// there is not known: the stricter answer is made here.
    pub removal_needs_user: bool,
}

impl Default for Behaviour {
    /// Prompt and generous, as development and most tests want it: operations take one second.
    fn default() -> Self {
        Self {
            latency: Duration::ZERO,
            operation_time: SignedDuration::from_secs(1),
            list_lag: SignedDuration::ZERO,
            calls_per_second: None,
            page_max: None,
            outstanding_max: None,
            conflict_in_account: false,
            signature_skew_max: SignedDuration::from_mins(5),
            delegated_administrator: true,
            caller_is_role_session: false,
            removal_needs_user: false,
        }
    }
}

impl Behaviour {
    /// With AWS's published limits, and delays as seen.
    pub fn like_aws() -> Self {
        Self {
            latency: Duration::from_millis(80),
            operation_time: SignedDuration::from_secs(5),
            list_lag: SignedDuration::from_secs(1),
            calls_per_second: Some(20),
            outstanding_max: Some(10),
            conflict_in_account: true,
            ..Self::default()
        }
    }
}

/// Which calls a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// `Sts::assume_role`.
    AssumeRole,
    /// `Sts::caller_identity`.
    CallerIdentity,
    /// `Assignments::create`.
    Create,
    /// `Assignments::creation_status`.
    CreationStatus,
    /// `Assignments::delete`.
    Delete,
    /// `Assignments::deletion_status`.
    DeletionStatus,
    /// `Assignments::holders`, `find` and `held_in`.
    Holders,
    /// `DirectorySource::fetch`.
    FetchDirectory,
    /// `Federation::sign_in_token`.
    SignIn,
}

impl Operation {
    /// Whether the call changes anything, so that its failure can leave an unknown outcome.
    pub(super) const fn changes(self) -> bool {
        match self {
            Self::AssumeRole | Self::Create | Self::Delete => true,
            Self::CallerIdentity
            | Self::CreationStatus
            | Self::DeletionStatus
            | Self::Holders
            | Self::FetchDirectory
            | Self::SignIn => false,
        }
    }
}

/// What goes wrong with one call. Only the first two mean anything to a call without an asynchronous operation; there the
/// others act as [`Fault::AnswerLost`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// An error of this kind, and no effect. [`ErrorKind::Unknown`] is a request that was lost on its way.
    Refused(ErrorKind),
    /// The effect takes place, the answer is lost: an error of unknown outcome.
    AnswerLost,
    /// The answer is lost, and the request arrives only after this long; AWS refuses it if its signature is too old by then.
    ArrivesLater(SignedDuration),
    /// The operation begins, and ends `FAILED`.
    FailsLater {
        /// AWS's words.
        reason: String,
    },
    /// The operation takes this long.
    Slow(SignedDuration),
}

impl Fault {
    /// A time-out without any effect.
    pub const REQUEST_LOST: Self = Self::Refused(ErrorKind::Unknown);
}

/// The error of a call whose answer did not come.
pub(super) fn lost_answer(operation: Operation) -> AwsError {
    let kind = if operation.changes() { ErrorKind::Unknown } else { ErrorKind::Unavailable };
    AwsError::new(kind, "Timeout", "no answer came")
}

/// The error of a planted refusal, with AWS's own code.
pub(super) fn refusal(kind: ErrorKind) -> AwsError {
    let (code, message) = match kind {
        ErrorKind::Throttled => ("ThrottlingException", "rate exceeded"),
        ErrorKind::QuotaReached => ("ServiceQuotaExceededException", "as many exist as may"),
        ErrorKind::Conflict => ("ConflictException", "an earlier change has not propagated yet"),
        ErrorKind::NotFound => ("ResourceNotFoundException", "no such resource"),
        ErrorKind::Denied => ("AccessDeniedException", "not authorised"),
        ErrorKind::Invalid => ("ValidationException", "the input is not valid"),
        ErrorKind::Unavailable => ("DispatchFailure", "no connection"),
        ErrorKind::Unknown => ("Timeout", "no answer came"),
    };
    AwsError::new(kind, code, message)
}

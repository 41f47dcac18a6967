//! Why this service says no, beside what its deciders say; and the way of every no to a status.

use crate::current::NoPlan;
use command::CommandError;
use lifecycle::Rejection;
use policy::change;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};
use views::ClockInDoubt;
use views::policy_book::PolicyUnknown;
use views::refusal::{self, Refusal};
use views::requests::StoryError;
use views::scheduled::StartNeedsDirectory;

/// Why a request is not decided.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// The decider says no.
    #[error(transparent)]
    Lifecycle(#[from] Rejection),
    /// The time is not certain.
    #[error(transparent)]
    Clock(#[from] ClockInDoubt),
    /// The policy in force gives no plan to decide by.
    #[error(transparent)]
    NoPlan(#[from] NoPlan),
    /// There is no policy to ask.
    #[error(transparent)]
    Policy(#[from] PolicyUnknown),
    /// It cannot be told who is linked with whom.
    #[error(transparent)]
    Story(#[from] StoryError),
    /// The access begins when the groups of the approver's token are too old.
    #[error(transparent)]
    Start(#[from] StartNeedsDirectory),
    /// The author of a rule used it, and no other person agreed.
    #[error("the author of a rule cannot use it without another person's approval")]
    OwnRule,
    /// The rule allows it still, or again.
    #[error("the rule still allows the request")]
    RuleStands,
}

impl Refused {
    /// Whether asking again, with nothing else changed, would give the same answer.
    pub(crate) fn is_final(&self) -> bool {
        !matches!(self.reason().0, Code::Unavailable | Code::DataLoss)
    }
}

impl Refusal for Refused {
    fn reason(&self) -> (Code, &'static str) {
        match self {
            Self::Lifecycle(rejection) => rejection.reason(),
            Self::Clock(doubt) => doubt.reason(),
            Self::NoPlan(why) => why.reason(),
            Self::Policy(why) => why.reason(),
            Self::Story(why) => why.reason(),
            Self::Start(why) => why.reason(),
            Self::OwnRule => Rejection::OwnRule.reason(),
            Self::RuleStands => (Code::FailedPrecondition, "RULE_STANDS"),
        }
    }
}

/// Why the policy is not changed.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct PolicyRefused(#[from] pub(crate) change::Rejection);

impl Refusal for PolicyRefused {
    fn reason(&self) -> (Code, &'static str) {
        match &self.0 {
            change::Rejection::NotHuman => (Code::PermissionDenied, "NOT_A_PERSON"),
            change::Rejection::Invalid(_) => (Code::InvalidArgument, "POLICY_INVALID"),
            change::Rejection::NothingChanged => (Code::FailedPrecondition, "NOTHING_CHANGED"),
            change::Rejection::StaleBase { .. } => (Code::FailedPrecondition, "STALE_BASE"),
            change::Rejection::TooManyProposals => (Code::FailedPrecondition, "TOO_MANY_PROPOSALS"),
            change::Rejection::NothingProposed(_) => (Code::NotFound, "NOT_FOUND"),
            change::Rejection::NotAnotherPerson => (Code::PermissionDenied, "NOT_ANOTHER_PERSON"),
            change::Rejection::AlreadySeeded => (Code::FailedPrecondition, "ALREADY_SEEDED"),
        }
    }
}

/// The status of a change of policy that has no outcome.
pub(crate) fn policy(error: CommandError<PolicyRefused>) -> Status {
    if let CommandError::Refused(PolicyRefused(change::Rejection::Invalid(problems))) = error {
        return wrong_fields(
            problems.into_iter().map(|problem| (format!("policy.{}", problem.path), problem.why)),
        );
    }
    refusal::command(error)
}

/// Several fields of one message are wrong: all of them are told at once.
pub(crate) fn wrong_fields(problems: impl IntoIterator<Item = (String, String)>) -> Status {
    let violations: Vec<FieldViolation> =
        problems.into_iter().map(|(field, why)| FieldViolation::new(field, why)).collect();
    let message = match violations.as_slice() {
        [only] => format!("{}: {}", only.field, only.description),
        several => format!("{} fields are wrong", several.len()),
    };
    Status::with_error_details(Code::InvalidArgument, message, ErrorDetails::with_bad_request(violations))
}

//! Why a policy says no.

use domain::{RuleId, SignedDuration};

/// A no of the policy. What cannot be proved is denied as well, with a reason of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum Denied {
    /// No rule lets this person ask for this target.
    #[error("no rule lets you ask for this")]
    NoRule,
    /// Rules do, but none for so long.
    #[error("no rule allows this for so long: at most {}", crate::duration::format(*max))]
    DurationTooLong {
        /// The longest that one of them allows.
        max: SignedDuration,
    },
    /// Shorter than the settings allow.
    #[error("too short: at least {}", crate::duration::format(*min))]
    DurationTooShort {
        /// The shortest window that may be asked for.
        min: SignedDuration,
    },
    /// The rule that was named exists, but does not permit this.
    #[error("rule {0} does not permit this")]
    RuleDoesNotPermit(RuleId),
    /// The rule that was named, or that decided earlier, is not in the policy any more.
    #[error("rule {0} is no longer in the policy")]
    RuleVanished(RuleId),
    /// It cannot be told which groups the person is in.
    #[error("your groups are not known: {0}")]
    GroupsUnknown(String),
    /// The rule leaves the plan to the approval policies, and none covers the account.
    #[error("no approval policy covers this account, so nobody can decide")]
    NobodyCanDecide,
    /// The policy could not be evaluated. An error anywhere in an evaluation denies, whatever else permits.
    #[error("the policy could not be evaluated: {0}")]
    PolicyError(String),
}

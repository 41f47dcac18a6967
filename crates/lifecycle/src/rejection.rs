//! Every business no of this crate.

use domain::{SignedDuration, Timestamp};

/// Why a command is refused. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum Rejection {
    /// The start that is asked for is over.
    #[error("the start lies in the past")]
    StartInPast,
    /// The start that is asked for is too far away.
    #[error("the start lies beyond the horizon of {horizon:#}")]
    StartBeyondHorizon {
        /// How far ahead a start may lie.
        horizon: SignedDuration,
    },
    /// The window is shorter than allowed, or what is left of it is.
    #[error("less than {min:#} would be left of the window")]
    WindowTooShort {
        /// The shortest window.
        min: SignedDuration,
    },
    /// The window is longer than the rule allows.
    #[error("the window is longer than the {max:#} that the rule allows")]
    WindowTooLong {
        /// The longest window.
        max: SignedDuration,
    },
    /// The window does not fit the calendar.
    #[error("the window is not a window of time")]
    WindowInvalid,
    /// Nobody but the requester could decide.
    #[error("nobody can decide on it: {missing}")]
    NobodyCanDecide {
        /// Who is missing.
        missing: String,
    },
    /// The requester wrote the rule that asks nobody.
    #[error("the author of a rule cannot use it without another person's approval")]
    OwnRule,
    /// The request to extend belongs to someone else, or is for something else.
    #[error("only a request of the same person for the same target can be extended")]
    ExtendsAnother,
    /// The request to extend is not approved, or over.
    #[error("only a request that is approved and not over can be extended")]
    ExtendsNothing,
    /// The extension would leave a gap.
    #[error("an extension must begin no later than the end of what it extends")]
    ExtensionLeavesGap,
    /// The chain of extensions would be too long.
    #[error("the extensions would add up to more than {max:#}")]
    ChainTooLong {
        /// The longest chain.
        max: SignedDuration,
    },
    /// An emergency cannot extend an emergency.
    #[error("an emergency cannot extend an emergency")]
    EmergencyExtendsEmergency,
    /// There is no such request.
    #[error("there is no such request")]
    NotFound,
    /// It was decided or withdrawn before.
    #[error("the request is no longer pending")]
    NotPending,
    /// It is not approved, or over.
    #[error("the request is not approved")]
    NotApproved,
    /// The request is over; it stays so.
    #[error("the request is over")]
    Over,
    /// The request is not over yet.
    #[error("the request is not over")]
    NotOver,
    /// The access has begun; it can be revoked.
    #[error("the access has begun: revoke it instead")]
    AlreadyStarted,
    /// Outside of the window.
    #[error("the window has not begun")]
    WindowNotBegun,
    /// The window is over.
    #[error("the window is over")]
    WindowOver,
    /// The window is not over.
    #[error("the window is not over")]
    WindowNotOver,
    /// The access does not exist yet.
    #[error("the access is not active yet")]
    NotActive,
    /// It exists already.
    #[error("the access is active already")]
    AlreadyActive,
    /// The provider does not hand out credentials.
    #[error("this kind of access does not come as credentials")]
    NoCredentials,
    /// Only humans decide.
    #[error("only a person can decide")]
    NotAPerson,
    /// Nobody decides on their own request.
    #[error("nobody decides on a request that they made or raised")]
    OwnRequest,
    /// The person may not do this to this request.
    #[error("not entitled to do this to this request")]
    NotEntitled,
    /// It cannot be told whether the person may.
    #[error("it cannot be told whether this is allowed: {0}")]
    Unprovable(String),
    /// The same person agreed before.
    #[error("this person has agreed already")]
    AlreadyEndorsed,
    /// The time to decide is over.
    #[error("the time to decide ended at {at}")]
    ReviewOver {
        /// When.
        at: Timestamp,
    },
    /// The time to decide is not over.
    #[error("the time to decide is not over")]
    ReviewNotOver,
    /// The rule asks people.
    #[error("the rule asks people to decide")]
    PlanNotEmpty,
    /// Nothing to review after the fact.
    #[error("no review is owed")]
    NoReviewOwed,
    /// It has been closed before.
    #[error("the request is closed already")]
    AlreadyClosed,
    /// It cannot be said yet that nothing is left.
    #[error("something may be left in AWS")]
    NotClosable,
    /// An attempt on this assignment is under way.
    #[error("an attempt on this assignment is under way")]
    AttemptOpen,
    /// There is no such attempt under way.
    #[error("there is no such attempt under way")]
    NoSuchAttempt,
    /// Nothing to do: the assignment is as it should be.
    #[error("the assignment is as it should be")]
    AsItShouldBe,
    /// A standing assignment is never deleted.
    #[error("the assignment is not ours to change")]
    Standing,
    /// A live request needs it.
    #[error("a live request needs the assignment")]
    StillNeeded,
    /// It is not in AWS.
    #[error("there is no such assignment in AWS")]
    NotThere,
    /// What can be removed is not given up: the account is there, and so is the user. Named after the account alone by the reason
    /// that callers have always been told.
    #[error("only what is left in an account, or to a user, that is gone can be given up")]
    AccountNotGone,
    /// A second person is needed.
    #[error("another person must ask for the same")]
    SecondPersonNeeded,
    /// The person has left, as a signal says, and has not come back.
    #[error("this person has left")]
    HasLeft,
    /// The source may not tell this.
    #[error("the source may not tell this")]
    SignalNotAllowed,
    /// It happened too long ago.
    #[error("it happened more than {age_max:#} before it was told")]
    SignalStale {
        /// How long ago it may have happened.
        age_max: SignedDuration,
    },
    /// It has not happened.
    #[error("it lies in the future: tell it when it has happened")]
    SignalAhead,
    /// Something is missing that a signal of its kind must say.
    #[error("a signal of this kind must have {missing}")]
    SignalIncomplete {
        /// What.
        missing: &'static str,
    },
    /// What follows from the signal was recorded before.
    #[error("what follows from the signal is recorded already")]
    SignalSettled,
    /// The signal is not about this request.
    #[error("the signal is not about this request")]
    SignalConcernsAnother,
    /// Someone else does it, and it is attended to.
    #[error("the duty is attended to")]
    Attended,
}

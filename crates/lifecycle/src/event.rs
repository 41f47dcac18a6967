//! The facts of one request's story, in the past tense. When each happened, and who did it, is on the envelope.

use domain::{
    Actor, AskedWindow, BatchId, Endorsement, EventId, GroupRef, IssueId, OuPath, Person, Plan, PrincipalId,
    Provider, RequestId, RuleId, Sealed, SignedDuration, Target, Ticket, Timestamp, Window,
};
use std::collections::BTreeSet;

/// Everything that can happen to a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RequestEvent {
    /// It was raised.
    Requested(Box<Requested>),
    /// Its requester took it back, before the access began.
    Withdrawn,
    /// An approver agreed; more must.
    Endorsed(Endorsed),
    /// Everyone agreed who must.
    Approved(Approved),
    /// Someone, or the rules, said no.
    Rejected(Rejected),
    /// Nobody decided in time.
    Expired(Expired),
    /// The access exists.
    Activated(Activated),
    /// Credentials were handed out.
    CredentialsIssued(CredentialsIssued),
    /// A console session was handed out.
    ConsoleOpened(ConsoleOpened),
    /// Someone ended it early.
    Revoked(Revoked),
    /// It ended by itself.
    Ended(Ended),
    /// Nothing of it is left in AWS.
    Closed(Closed),
    /// The review that an emergency owes was done.
    ReviewedAfter(ReviewedAfter),
}

/// What was asked, and on what grounds it could be.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Requested {
    /// The request.
    pub id: RequestId,
    /// Who will have the access.
    pub requester: Person,
    /// Who raised it: the requester, or someone for them.
    pub raiser: Actor,
    /// The raiser's user in Identity Center, where it was known.
    pub raiser_principal: Option<PrincipalId>,
    /// What, and where.
    pub target: Target,
    /// For how long, from when.
    pub asked: AskedWindow,
    /// A reference to work elsewhere.
    pub ticket: Option<Ticket>,
    /// Why, in the requester's words.
    pub justification: Sealed,
    /// Whether it claims an emergency.
    pub emergency: bool,
    /// The request that this one continues.
    pub extends: Option<RequestId>,
    /// Windows of the whole chain of extensions, this one included, added up.
    pub chain_duration: SignedDuration,
    /// The batch that it was raised in.
    pub batch: Option<BatchId>,
    /// No decision after this instant.
    pub decide_by: Timestamp,
    /// What the decision to let it be raised rests on.
    pub grounds: Grounds,
}

/// What a decision rested on, so that "why" can be asked of history.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Grounds {
    /// The rule that allows it.
    pub rule: RuleId,
    /// The event that applied the policy which was used.
    pub policy_event: EventId,
    /// Ids of the policies that determined the decision, sorted.
    pub determining: Vec<String>,
    /// How access will be brought about.
    pub provider: Provider,
    /// The requester's groups, as far as the rule looked at them.
    pub groups: BTreeSet<GroupRef>,
    /// Where the account is in the organisation.
    pub ou_path: OuPath,
    /// Who must agree.
    pub plan: Plan,
    /// The requester's user in Identity Center.
    pub principal: Option<PrincipalId>,
}

/// One approver's yes that does not complete the plan.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endorsed {
    /// Who, and their groups.
    pub endorsement: Endorsement,
    /// The policy that was in force.
    pub policy_event: EventId,
    /// A remark.
    pub comment: Option<Sealed>,
}

/// Why a request counts as approved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ApprovalBasis {
    /// People completed the plan.
    People,
    /// The rule asks nobody.
    Rule,
    /// A configured signal completed the plan.
    Signal,
    /// An emergency; a review is owed.
    BreakGlass,
}

/// The completing yes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Approved {
    /// When access exists.
    pub window: Window,
    /// On what basis.
    pub basis: ApprovalBasis,
    /// All whose yes counted.
    pub approvers: Vec<Endorsement>,
    /// The policy that was in force.
    pub policy_event: EventId,
    /// A remark of the last approver.
    pub comment: Option<Sealed>,
}

/// Why a request was rejected.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RejectedBecause {
    /// An approver said no.
    Approver {
        /// Why, in their words.
        comment: Option<Sealed>,
    },
    /// The rule that allowed it is gone, or no longer allows it.
    RuleVanished,
}

/// A no.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rejected {
    /// Why.
    pub because: RejectedBecause,
    /// The policy that was in force.
    pub policy_event: Option<EventId>,
}

/// Why a request expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ExpiredBecause {
    /// The time to decide was over.
    NotDecided,
    /// The window that was asked for was over.
    WindowPassed,
}

/// Nobody decided in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Expired {
    /// What ran out.
    pub because: ExpiredBecause,
}

/// What the user was told about when the access really ends. An assignment lets sessions begin until its removal is confirmed: they
/// work for as much longer as that takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bound {
    /// After the window's end nothing that began by then works beyond this instant.
    pub at_end: Timestamp,
    /// After an early end, nothing that began by then works for longer than this.
    pub after_early_end: SignedDuration,
    /// The part of both that is for roles assumed out of sessions, which neither window nor session policy binds. Zero: none is
    /// counted, and sessions of STS may not chain.
    pub chained: SignedDuration,
}

/// AWS confirmed the assignment, or credentials can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Activated {
    /// How.
    pub provider: Provider,
    /// How long the access can outlive its end.
    pub bound: Bound,
    /// Whether the person held a standing assignment already.
    pub standing: bool,
}

/// Credentials that were handed out. Never a secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CredentialsIssued {
    /// This issue; part of the session name.
    pub issue: IssueId,
    /// The public half of the credentials.
    pub access_key_id: String,
    /// The session name in AWS.
    pub session_name: String,
    /// The source identity in AWS.
    pub source_identity: String,
    /// When AWS stops accepting them.
    pub expires_at: Timestamp,
}

/// A console session that was handed out.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConsoleOpened {
    /// This issue; part of the session name.
    pub issue: IssueId,
    /// The public half of the credentials behind it.
    pub access_key_id: String,
    /// The session name in AWS.
    pub session_name: String,
    /// The source identity in AWS.
    pub source_identity: String,
    /// When AWS stops accepting it.
    pub expires_at: Timestamp,
}

/// In which capacity someone ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RevokedAs {
    /// The person who has the access.
    Requester,
    /// Someone who may approve for this target now.
    Approver,
    /// An administrator.
    Administrator,
    /// A configured signal.
    Signal,
}

/// Someone ended it early.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Revoked {
    /// In which capacity.
    pub capacity: RevokedAs,
    /// Why, in their words.
    pub comment: Option<Sealed>,
    /// The signal that it follows from.
    pub signal: Option<EventId>,
}

/// Why it ended by itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EndedBecause {
    /// The window was over.
    Elapsed,
    /// The access could not be brought about within the retry horizon.
    Failed {
        /// What AWS said: its code, and of a failed operation its reason; never free text of a person.
        reason: String,
    },
    /// Requester, approvers or rule no longer qualify.
    NoLongerEligible {
        /// Which of them, and what was missing; never free text of a person.
        reason: String,
    },
    /// Someone else removed the assignment in AWS, and the deployment does not restore what others remove.
    RemovedOutside,
}

/// It ended by itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ended {
    /// Why.
    pub because: EndedBecause,
}

/// How it is known that nothing of it is left.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ClosedHow {
    /// The assignment was deleted, and AWS confirmed it.
    Deleted,
    /// Another request needs the same assignment.
    CarriedBy(RequestId),
    /// The person held it before, and holds it still.
    Standing,
    /// It never came to be.
    NothingCreated,
    /// The last credentials have expired.
    CredentialsExpired,
    /// Two people gave it up: its account or its user is gone.
    Abandoned,
}

/// Nothing of it is left in AWS.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Closed {
    /// How that is known.
    pub how: ClosedHow,
    /// When its assignment was gone, if it was deleted: closing may wait for more. `None` where that is not known, and in events
    /// from before this was recorded.
    pub removed_at: Option<Timestamp>,
}

impl From<ClosedHow> for Closed {
    fn from(how: ClosedHow) -> Self {
        Self { how, removed_at: None }
    }
}

/// What the review of an emergency found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// It was one.
    Justified,
    /// It was not.
    NotJustified,
}

/// The review that an emergency owes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReviewedAfter {
    /// What it found.
    pub verdict: Verdict,
    /// In the reviewer's words.
    pub comment: Option<Sealed>,
}

impl RequestEvent {
    /// Whether nothing but [`Closed`] and a review can follow: the request is over.
    pub fn ends(&self) -> bool {
        match self {
            Self::Withdrawn | Self::Rejected(_) | Self::Expired(_) | Self::Revoked(_) | Self::Ended(_) => {
                true
            }
            Self::Requested(_)
            | Self::Endorsed(_)
            | Self::Approved(_)
            | Self::Activated(_)
            | Self::CredentialsIssued(_)
            | Self::ConsoleOpened(_)
            | Self::Closed(_)
            | Self::ReviewedAfter(_) => false,
        }
    }
}

//! What events say to others. Fields are only ever added: a change of meaning is a new version of all types.
//!
//! Instants are RFC 3339, durations whole seconds, people `(issuer, subject)`. A field that is absent is not known, or not there.

mod words;

use domain::Timestamp;
use serde::Serialize;
pub use words::{
    ActorKind, Basis, Capacity, ClosedHow, EndedBecause, ExpiredBecause, Operation, Provider, Reason,
    RejectedBecause, SignalKind, Verdict,
};

/// The `data` of every event.
#[derive(Clone, Debug, Serialize)]
pub struct Data<'a> {
    /// Who acted; absent when a service acted by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor<'a>>,
    /// What there is to say beyond the type.
    pub details: Details<'a>,
}

/// One shape per type; some types share one.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "each is named like its shape, which says it")]
pub enum Details<'a> {
    Nothing(Nothing),
    Requested(Box<Requested<'a>>),
    Endorsed(Endorsed<'a>),
    Approved(Approved<'a>),
    Rejected(Rejected),
    Expired(Expired),
    Activated(Activated),
    Issued(Issued<'a>),
    Revoked(Revoked),
    Ended(Ended),
    Closed(Closed),
    Reviewed(Reviewed),
    Attempted(Attempted<'a>),
    Outcome(Outcome),
    Failed(Failed),
    Assignment(Assignment<'a>),
    Drift(Drift),
    Abandoned(Abandoned<'a>),
    DenialAttempted(DenialAttempted<'a>),
    DenialFailed(DenialFailed),
    PolicyProposed(PolicyProposed<'a>),
    PolicyApplied(PolicyApplied<'a>),
    PolicyDiscarded(PolicyDiscarded),
    DutyClaimed(DutyClaimed<'a>),
    SignalReceived(SignalReceived<'a>),
    SignalRefused(SignalRefused<'a>),
    PersonLinked(PersonLinked<'a>),
    LogRestored(LogRestored),
    LogSwept(LogSwept),
    Undecodable(Undecodable<'a>),
}

macro_rules! shapes {
    ($($(#[$doc:meta])* struct $name:ident $(<$life:lifetime>)? { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Serialize)]
        #[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
        pub struct $name $(<$life>)? { $($(#[$field_doc])* pub $field: $type,)* }
    )*};
}

shapes! {
    /// An identity: who vouches for it, and its name there.
    struct Person<'a> {
        /// The issuer of its tokens.
        issuer: &'a str,
        /// Its name there.
        subject: &'a str,
    }

    /// Who acted.
    struct Actor<'a> {
        /// The issuer of their tokens.
        issuer: &'a str,
        /// Their name there.
        subject: &'a str,
        /// A human, or a program.
        kind: ActorKind,
    }

    /// What can be held, and where.
    struct Target<'a> {
        /// The account, twelve digits.
        account: &'a str,
        /// The ARN of a permission set or a role.
        entitlement: &'a str,
    }

    /// When access exists.
    struct Window {
        /// From this instant on.
        start: Timestamp,
        /// Before this instant.
        end: Timestamp,
    }

    /// Nothing: the type says it all.
    struct Nothing {}

    /// A request was raised.
    struct Requested<'a> {
        /// The request.
        request: String,
        /// Who will have the access.
        requester: Person<'a>,
        /// Who raised it.
        raiser: Person<'a>,
        /// What, and where.
        target: Target<'a>,
        /// The start that was asked for; absent: from the approval on.
        #[serde(skip_serializing_if = "Option::is_none")]
        start: Option<Timestamp>,
        /// For how long.
        duration_seconds: i64,
        /// A reference to work elsewhere.
        #[serde(skip_serializing_if = "Option::is_none")]
        ticket: Option<&'a str>,
        /// Whether it claims an emergency.
        emergency: bool,
        /// The request that it continues.
        #[serde(skip_serializing_if = "Option::is_none")]
        extends: Option<String>,
        /// The batch that it was raised in.
        #[serde(skip_serializing_if = "Option::is_none")]
        batch: Option<String>,
        /// No decision after this instant.
        decide_by: Timestamp,
        /// The rule that allows it.
        rule: &'a str,
        /// The event that applied the policy which was used.
        policy_event: String,
        /// How the access will come about.
        provider: Provider,
        /// How many people must agree.
        people_needed: usize,
    }

    /// One approver agreed; more must.
    struct Endorsed<'a> {
        /// Who.
        approver: Person<'a>,
        /// The event that applied the policy which was in force.
        policy_event: String,
    }

    /// Everyone agreed who must.
    struct Approved<'a> {
        /// When the access exists.
        window: Window,
        /// On what basis.
        basis: Basis,
        /// All whose yes counted.
        approvers: Vec<Person<'a>>,
        /// The event that applied the policy which was in force.
        policy_event: String,
    }

    /// A no.
    struct Rejected {
        /// Why.
        because: RejectedBecause,
        /// The event that applied the policy which was in force.
        #[serde(skip_serializing_if = "Option::is_none")]
        policy_event: Option<String>,
    }

    /// Nobody decided in time.
    struct Expired {
        /// What ran out.
        because: ExpiredBecause,
    }

    /// The access exists.
    struct Activated {
        /// How.
        provider: Provider,
        /// Nothing that began by the window's end works beyond this instant.
        ends_by: Timestamp,
        /// After an early end, nothing that began by then works for longer than this.
        after_early_end_seconds: i64,
        /// Whether the person held a standing assignment already.
        standing: bool,
    }

    /// Credentials, or a console session, were handed out. Never a secret.
    struct Issued<'a> {
        /// This issue.
        issue: String,
        /// The public half of the credentials.
        access_key_id: &'a str,
        /// The session's name in AWS, as CloudTrail shows it.
        session_name: &'a str,
        /// When AWS stops accepting them.
        expires_at: Timestamp,
    }

    /// Someone ended it early.
    struct Revoked {
        /// In which capacity.
        capacity: Capacity,
    }

    /// It ended by itself.
    struct Ended {
        /// Why.
        because: EndedBecause,
    }

    /// Nothing of it is left in AWS.
    struct Closed {
        /// How that is known.
        how: ClosedHow,
        /// The request that needs the same assignment.
        #[serde(skip_serializing_if = "Option::is_none")]
        carried_by: Option<String>,
    }

    /// The review that an emergency owes was done.
    struct Reviewed {
        /// What it found.
        verdict: Verdict,
    }

    /// A call that changes an assignment is intended.
    struct Attempted<'a> {
        /// Whose: the user in Identity Center.
        principal: &'a str,
        /// What, and where.
        target: Target<'a>,
        /// What the call does.
        operation: Operation,
        /// The call starts before this instant or not at all.
        deadline: Timestamp,
    }

    /// What became of an attempt.
    struct Outcome {
        /// The event that intended it.
        attempt: String,
    }

    /// An attempt failed.
    struct Failed {
        /// The event that intended it.
        attempt: String,
        /// Whether it is certain that the call has, and will have, no effect.
        definite: bool,
    }

    /// An assignment that was found or taken over.
    struct Assignment<'a> {
        /// Whose: the user in Identity Center.
        principal: &'a str,
        /// What, and where.
        target: Target<'a>,
    }

    /// AWS is not as the ledger says.
    struct Drift {
        /// Whether the assignment exists in AWS.
        present: bool,
    }

    /// Someone gives up on removing an assignment.
    struct Abandoned<'a> {
        /// Who.
        by: Person<'a>,
    }

    /// A change of what is denied in an account is intended.
    struct DenialAttempted<'a> {
        /// Where, twelve digits.
        account: &'a str,
        /// The requests whose sessions are to be denied from then on.
        requests: Vec<String>,
        /// The call starts before this instant or not at all.
        deadline: Timestamp,
    }

    /// A change of what is denied failed.
    struct DenialFailed {
        /// The event that intended it.
        attempt: String,
    }

    /// Someone wants another policy. The id of this event names the proposal.
    struct PolicyProposed<'a> {
        /// The policy event that its author saw; absent when none applied.
        #[serde(skip_serializing_if = "Option::is_none")]
        base: Option<String>,
        /// Who.
        author: Person<'a>,
        /// How many rules it has.
        rules: usize,
    }

    /// Another policy applies. The id of this event names the policy.
    struct PolicyApplied<'a> {
        /// The policy event before it; absent for the first.
        #[serde(skip_serializing_if = "Option::is_none")]
        base: Option<String>,
        /// The proposal that was accepted; absent when the policy was seeded.
        #[serde(skip_serializing_if = "Option::is_none")]
        proposal: Option<String>,
        /// Who proposed or seeded it.
        author: Person<'a>,
        /// Who accepted it, if that was not its author.
        #[serde(skip_serializing_if = "Option::is_none")]
        second: Option<Person<'a>>,
        /// How many rules it has.
        rules: usize,
    }

    /// A proposal will not be applied.
    struct PolicyDiscarded {
        /// Which.
        proposal: String,
    }

    /// A replica took over work that only one does.
    struct DutyClaimed<'a> {
        /// Which replica.
        holder: &'a str,
    }

    /// All events before this one were copied from a backup, to a new log.
    struct LogRestored {
        /// The log that they were copied from.
        backup: String,
        /// How many they were.
        events: u64,
    }

    /// AWS was looked through since the log was restored.
    struct LogSwept {
        /// How many assignments there are in AWS that the restored log did not know.
        unknown: u64,
    }

    /// A signal of a configured source was recorded.
    struct SignalReceived<'a> {
        /// The source, by its configured name.
        source: &'a str,
        /// What it says.
        kind: SignalKind,
        /// When the source says that it happened.
        occurred_at: Timestamp,
        /// About whom.
        #[serde(skip_serializing_if = "Option::is_none")]
        about: Option<Person<'a>>,
        /// The human who decided, as the source says.
        #[serde(skip_serializing_if = "Option::is_none")]
        decided_by: Option<Person<'a>>,
        /// About which target.
        #[serde(skip_serializing_if = "Option::is_none")]
        target: Option<Target<'a>>,
        /// About which ticket.
        #[serde(skip_serializing_if = "Option::is_none")]
        ticket: Option<&'a str>,
    }

    /// Nothing was raised for a person.
    struct SignalRefused<'a> {
        /// Why: a word for programs.
        reason: &'a str,
    }

    /// Two identities are one human.
    struct PersonLinked<'a> {
        /// One.
        person: Person<'a>,
        /// The other.
        same_as: Person<'a>,
    }

    /// An event is there, and what it says cannot be told.
    struct Undecodable<'a> {
        /// The stream that it is in.
        stream: &'a str,
        /// Its ordinal there.
        revision: u64,
        /// Who wrote it, by the log's word.
        writer: &'a str,
        /// Why.
        reason: Reason,
    }
}

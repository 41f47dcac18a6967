//! The words that stand in a closed list.

use serde::Serialize;

macro_rules! words {
    ($($(#[$doc:meta])* enum $name:ident { $($(#[$word_doc:meta])* $word:ident,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
        #[serde(rename_all = "snake_case")]
        #[cfg_attr(test, derive(schemars::JsonSchema))]
        pub enum $name { $($(#[$word_doc])* $word,)* }
    )*};
}

words! {
    /// A human, or a program.
    enum ActorKind {
        /// A person.
        Human,
        /// A program.
        Workload,
    }

    /// How access comes about.
    enum Provider {
        /// An assignment in IAM Identity Center.
        IdentityCenter,
        /// Credentials of STS.
        Sts,
        /// An entitlement of Account Access Manager.
        AccountAccess,
    }

    /// Why a request counts as approved.
    enum Basis {
        /// People completed the plan.
        People,
        /// The rule asks nobody.
        Rule,
        /// A signal completed the plan.
        Signal,
        /// An emergency.
        BreakGlass,
    }

    /// Why a request was rejected.
    enum RejectedBecause {
        /// An approver said no.
        Approver,
        /// The rule no longer allows it.
        RuleVanished,
    }

    /// Why a request expired.
    enum ExpiredBecause {
        /// The time to decide was over.
        NotDecided,
        /// The window that was asked for was over.
        WindowPassed,
    }

    /// In which capacity someone ended a request.
    enum Capacity {
        /// The person who has the access.
        Requester,
        /// Someone who may approve for its target.
        Approver,
        /// An administrator.
        Administrator,
        /// A signal.
        Signal,
    }

    /// Why a request ended by itself.
    enum EndedBecause {
        /// The window was over.
        Elapsed,
        /// The access could not be brought about.
        Failed,
        /// Requester, approvers or rule no longer qualify.
        NoLongerEligible,
        /// Someone else removed the assignment in AWS.
        RemovedOutside,
    }

    /// How it is known that nothing is left.
    enum ClosedHow {
        /// The assignment was deleted.
        Deleted,
        /// Another request needs it.
        CarriedBy,
        /// The person held it before, and holds it still.
        Standing,
        /// It never came to be.
        NothingCreated,
        /// The last credentials have expired.
        CredentialsExpired,
        /// Two people gave it up.
        Abandoned,
    }

    /// What the review of an emergency found.
    enum Verdict {
        /// It was one.
        Justified,
        /// It was not.
        NotJustified,
    }

    /// What a call does.
    enum Operation {
        /// It creates the assignment.
        Create,
        /// It deletes it.
        Delete,
    }

    /// What a signal says.
    enum SignalKind {
        /// A ticket was approved.
        TicketApproved,
        /// An incident was opened.
        IncidentOpened,
        /// An incident was closed.
        IncidentClosed,
        /// A person left.
        PersonLeft,
        /// A security finding was raised.
        FindingRaised,
        /// A request is to be raised for a person.
        RaiseForPerson,
        /// A person who left is back.
        PersonReturned,
    }

    /// Why it cannot be told what an event says.
    enum Reason {
        /// Its bytes are not what they must be.
        Malformed,
        /// Its type is not known to this release.
        UnknownType,
        /// Its writer may not write it.
        NotOwner,
        /// It is not where it belongs.
        Misplaced,
        /// It is too large for the bus.
        TooLarge,
    }
}

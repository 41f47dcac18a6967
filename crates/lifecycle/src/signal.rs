//! Facts from outside that were believed, and identities that are one human.

use domain::{Person, Target, Ticket, Timestamp};

/// What an inbound signal said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SignalKind {
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
    /// Someone asks that a request be raised for a person.
    RaiseForPerson,
}

/// A signal of a configured source, recorded before anything rests on it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SignalReceived {
    /// The source, by its configured name.
    pub source: String,
    /// The source's own id of the signal.
    pub source_id: String,
    /// What it says.
    pub kind: SignalKind,
    /// When the source says that it happened.
    pub occurred_at: Timestamp,
    /// About whom.
    pub about: Option<Person>,
    /// The human who decided, as the source says.
    pub decided_by: Option<Person>,
    /// About which target.
    pub target: Option<Target>,
    /// About which ticket.
    pub ticket: Option<Ticket>,
}

/// Two identities that are the same human.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PersonLinked {
    /// One.
    pub person: Person,
    /// The other.
    pub same_as: Person,
}

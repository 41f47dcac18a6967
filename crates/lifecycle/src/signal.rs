//! Facts from outside: which are believed, and what follows from them; and identities that are one human.
//!
//! A signal is recorded before anything rests on it, with what its source was allowed to do then: whoever acts on it later needs
//! no configuration of their own, and history can be asked why.
//! INVARIANT: a signal ends requests or has one raised, nothing else. It never agrees to anything.

use crate::Rejection;
use crate::event::{RequestEvent, Revoked, RevokedAs};
use crate::state::{Identities, Phase, Request};
use domain::{
    AskedWindow, EventId, Person, PrincipalId, RequestId, RuleId, Sealed, SignedDuration, Target, Ticket,
    Timestamp,
};
use std::collections::BTreeSet;

/// How far ahead of the time a source's clock may be. Beyond it, what is told has not happened.
pub const AHEAD_MAX: SignedDuration = SignedDuration::from_mins(5);

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
    /// A person who left is back.
    PersonReturned,
}

/// What happened to a signal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SignalEvent {
    /// It came in, and is believed.
    Received(Box<SignalReceived>),
    /// Nothing was raised for a person.
    Refused(SignalRefused),
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
    /// Their user in Identity Center, where it was known.
    pub about_principal: Option<PrincipalId>,
    /// The human who decided, as the source says.
    pub decided_by: Option<Person>,
    /// About which target.
    pub target: Option<Target>,
    /// About which ticket.
    pub ticket: Option<Ticket>,
    /// Whether the source was configured to end requests by what it tells.
    pub may_revoke: bool,
    /// What is to be raised for `about`.
    pub ask: Option<SignalAsk>,
}

/// What is to be raised, beside the signal's target and ticket.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SignalAsk {
    /// For how long, from when.
    pub asked: AskedWindow,
    /// Why; sealed as the justification of the request that is raised.
    pub justification: Sealed,
    /// The rule to go by, where one is named.
    pub rule: Option<RuleId>,
    /// The request that it continues.
    pub extends: Option<RequestId>,
}

/// Nothing was raised for a person.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SignalRefused {
    /// Why: a word for programs, never free text of a person.
    pub reason: String,
}

/// A signal, as its story stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Signal {
    /// What it said.
    pub received: SignalReceived,
    /// When that was recorded.
    pub received_at: Timestamp,
    /// Why nothing was raised, if so.
    pub refused: Option<SignalRefused>,
}

impl Signal {
    /// Folds one event.
    pub fn evolve(state: Option<Self>, event: &SignalEvent, at: Timestamp) -> Option<Self> {
        match (state, event) {
            (None, SignalEvent::Received(received)) => {
                Some(Self { received: received.as_ref().clone(), received_at: at, refused: None })
            }
            (Some(signal), SignalEvent::Refused(refused)) => {
                Some(Self { refused: signal.refused.or_else(|| Some(refused.clone())), ..signal })
            }
            (state, SignalEvent::Received(_) | SignalEvent::Refused(_)) => state,
        }
    }
}

/// What a source is configured to be believed in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Belief {
    /// What it may tell.
    pub kinds: BTreeSet<SignalKind>,
    /// Whether incidents and findings that it tells end requests.
    pub may_revoke: bool,
    /// How long ago a thing may have happened when it is told.
    pub age_max: SignedDuration,
}

/// A signal that came in.
#[derive(Clone, Debug)]
pub struct Receive<'a> {
    /// What it says; `may_revoke` is for this decision to fill in.
    pub told: SignalReceived,
    /// What its source is believed in.
    pub belief: &'a Belief,
    /// When it was told: by this it is late, whenever it is looked at.
    pub told_at: Timestamp,
    /// What time it is, at the latest: what lies beyond has not happened. Not when it was told, for the clock that said so may have
    /// been behind, and what it took for the future would never happen.
    pub now: Timestamp,
}

/// Believes a signal, or not.
pub fn receive(command: Receive<'_>) -> Result<SignalEvent, Rejection> {
    let Receive { told, belief, told_at, now } = command;
    if !belief.kinds.contains(&told.kind) {
        return Err(Rejection::SignalNotAllowed);
    }
    // Who has left is gone, however late that is told.
    let late = told_at.duration_since(told.occurred_at) > belief.age_max;
    if late && told.kind != SignalKind::PersonLeft {
        return Err(Rejection::SignalStale { age_max: belief.age_max });
    }
    if told.occurred_at.duration_since(now) > AHEAD_MAX {
        return Err(Rejection::SignalAhead);
    }
    if let Some(missing) = missing(&told) {
        return Err(Rejection::SignalIncomplete { missing });
    }
    let may_revoke = match told.kind {
        // The kind itself is the right.
        SignalKind::PersonLeft => true,
        SignalKind::IncidentClosed | SignalKind::FindingRaised => belief.may_revoke,
        SignalKind::TicketApproved
        | SignalKind::IncidentOpened
        | SignalKind::RaiseForPerson
        | SignalKind::PersonReturned => false,
    };
    Ok(SignalEvent::Received(Box::new(SignalReceived { may_revoke, ..told })))
}

/// What a signal of this kind must say and does not.
fn missing(told: &SignalReceived) -> Option<&'static str> {
    let unless = |there: bool, what| if there { None } else { Some(what) };
    match told.kind {
        SignalKind::TicketApproved => unless(told.ticket.is_some(), "ticket")
            .or_else(|| unless(told.decided_by.is_some(), "decided_by")),
        SignalKind::IncidentOpened | SignalKind::IncidentClosed => unless(told.ticket.is_some(), "ticket"),
        SignalKind::PersonLeft | SignalKind::PersonReturned => unless(told.about.is_some(), "about"),
        SignalKind::FindingRaised => {
            unless(told.about.is_some() || told.target.is_some(), "about, or target")
        }
        SignalKind::RaiseForPerson => unless(told.ask.is_some() && told.target.is_some(), "ask")
            .or_else(|| unless(told.about.is_some(), "ask.on_behalf_of")),
    }
}

/// Records that nothing is raised by a signal.
pub fn refuse(signal: &Signal, reason: &str) -> Result<SignalEvent, Rejection> {
    if signal.refused.is_some() || signal.received.kind != SignalKind::RaiseForPerson {
        return Err(Rejection::SignalSettled);
    }
    Ok(SignalEvent::Refused(SignalRefused { reason: reason.to_owned() }))
}

/// A recorded signal, to one request.
#[derive(Clone, Copy, Debug)]
pub struct Heard<'a> {
    /// Its event.
    pub event: EventId,
    /// What it said.
    pub signal: &'a SignalReceived,
    /// When it was recorded.
    pub at: Timestamp,
    /// Whom it is about, under every identity that is known.
    pub about: Option<&'a Identities>,
}

/// Ends a request that a signal concerns.
pub fn revoke(request: &Request, heard: Heard<'_>) -> Result<RequestEvent, Rejection> {
    if !concerns(request, heard) {
        return Err(Rejection::SignalConcernsAnother);
    }
    match request.phase {
        Phase::Pending | Phase::Approved { .. } => Ok(RequestEvent::Revoked(Revoked {
            capacity: RevokedAs::Signal,
            comment: None,
            signal: Some(heard.event),
        })),
        Phase::Expired { .. } | Phase::Rejected { .. } | Phase::Ended { .. } => Err(Rejection::Over),
    }
}

/// Whether a request ends by a signal. Someone who left has nothing, whenever it was asked for; an incident that is closed and a
/// finding end what was asked for before, and of that only what everything they name fits.
fn concerns(request: &Request, heard: Heard<'_>) -> bool {
    let Heard { signal, at, about, .. } = heard;
    let raised = &request.raised;
    let is_theirs =
        about.is_some_and(|about| about.same_as(&raised.requester, raised.grounds.principal.as_ref()));
    let fits_person = signal.about.is_none() || is_theirs;
    let fits_target = signal.target.as_ref().is_none_or(|target| *target == raised.target);
    let fits_ticket = signal.ticket.as_ref().is_none_or(|ticket| raised.ticket.as_ref() == Some(ticket));
    signal.may_revoke
        && match signal.kind {
            SignalKind::PersonLeft => is_theirs,
            SignalKind::IncidentClosed => {
                signal.ticket.is_some()
                    && request.raised_at <= at
                    && fits_ticket
                    && fits_target
                    && fits_person
            }
            SignalKind::FindingRaised => {
                (signal.about.is_some() || signal.target.is_some())
                    && request.raised_at <= at
                    && fits_target
                    && fits_person
            }
            SignalKind::TicketApproved
            | SignalKind::IncidentOpened
            | SignalKind::RaiseForPerson
            | SignalKind::PersonReturned => false,
        }
}

/// Two identities that are the same human.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PersonLinked {
    /// One.
    pub person: Person,
    /// The other.
    pub same_as: Person,
}

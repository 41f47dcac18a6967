//! A signal as values, out of the message that passed the constraints of the proto.

use crate::ask::{Ask, unless_empty};
use api::request::v1 as wire;
use domain::{Person, Target, Ticket, Timestamp};
use lifecycle::signal::SignalKind;
use prost::Message as _;
use tonic::Status;
use views::refusal;

/// What a source told. Never printed: it may hold a justification.
pub(crate) struct Told {
    pub(crate) source: String,
    pub(crate) source_id: String,
    pub(crate) kind: SignalKind,
    pub(crate) occurred_at: Timestamp,
    pub(crate) about: Option<Person>,
    pub(crate) decided_by: Option<Person>,
    pub(crate) target: Option<Target>,
    pub(crate) ticket: Option<Ticket>,
    pub(crate) ask: Option<Ask>,
    /// All of it, in a canonical form: another content under the same id is told by it.
    pub(crate) content: Vec<u8>,
}

impl Told {
    /// Reads a message. What is to be raised says for whom, for what and for which ticket itself.
    pub(crate) fn read(message: &wire::IngestSignalRequest) -> Result<Self, Status> {
        let kind = match message.kind() {
            wire::SignalKind::TicketApproved => SignalKind::TicketApproved,
            wire::SignalKind::IncidentOpened => SignalKind::IncidentOpened,
            wire::SignalKind::IncidentClosed => SignalKind::IncidentClosed,
            wire::SignalKind::PersonLeft => SignalKind::PersonLeft,
            wire::SignalKind::FindingRaised => SignalKind::FindingRaised,
            wire::SignalKind::RaiseForPerson => SignalKind::RaiseForPerson,
            wire::SignalKind::PersonReturned => SignalKind::PersonReturned,
            wire::SignalKind::Unspecified => return Err(refusal::field("kind", "must be a kind of signal")),
        };
        let person = |person: &Option<api::types::v1::Person>, name: &'static str| {
            person.as_ref().map(views::wire::read_person).transpose().map_err(refusal::invalid(name))
        };
        let target = message.target.as_ref().map(views::wire::read_target).transpose();
        let occurred_at =
            message.occurred_at.as_ref().ok_or_else(|| refusal::field("occurred_at", "must be set"))?;
        let content = wire::IngestSignalRequest { idempotency_key: String::new(), ..message.clone() };
        let mut told = Self {
            source: message.source.clone(),
            source_id: message.source_id.clone(),
            kind,
            occurred_at: views::wire::read_time(occurred_at).map_err(refusal::invalid("occurred_at"))?,
            about: person(&message.about, "about")?,
            decided_by: person(&message.decided_by, "decided_by")?,
            target: target.map_err(refusal::invalid("target"))?,
            ticket: unless_empty(&message.ticket).map_err(refusal::invalid("ticket"))?,
            ask: None,
            content: content.encode_to_vec(),
        };
        match (&message.ask, kind) {
            (None, _) => {}
            (Some(ask), SignalKind::RaiseForPerson) => {
                if told.about.is_some() || told.target.is_some() || told.ticket.is_some() {
                    return Err(refusal::field(
                        "ask",
                        "says for whom, what and which ticket, and nothing else does",
                    ));
                }
                let ask = Ask::read(ask, "ask")?;
                told.about.clone_from(&ask.on_behalf_of);
                told.target = Some(ask.target.clone());
                told.ticket.clone_from(&ask.ticket);
                told.ask = Some(ask);
            }
            (
                Some(_),
                SignalKind::TicketApproved
                | SignalKind::IncidentOpened
                | SignalKind::IncidentClosed
                | SignalKind::PersonLeft
                | SignalKind::FindingRaised
                | SignalKind::PersonReturned,
            ) => return Err(refusal::field("ask", "goes with SIGNAL_KIND_RAISE_FOR_PERSON alone")),
        }
        Ok(told)
    }
}

//! Signals, and identities that are one human.

use super::load as load_set;
use super::values::{Malformed, Stored, empty_as_none, load_time, store_time, text};
use crate::proto;
use lifecycle::signal::{PersonLinked, SignalKind, SignalReceived};

impl Stored for SignalReceived {
    type Proto = proto::SignalReceivedV1;
    fn store(&self) -> Self::Proto {
        let kind = match self.kind {
            SignalKind::TicketApproved => proto::SignalKind::TicketApproved,
            SignalKind::IncidentOpened => proto::SignalKind::IncidentOpened,
            SignalKind::IncidentClosed => proto::SignalKind::IncidentClosed,
            SignalKind::PersonLeft => proto::SignalKind::PersonLeft,
            SignalKind::FindingRaised => proto::SignalKind::FindingRaised,
            SignalKind::RaiseForPerson => proto::SignalKind::RaiseForPerson,
        };
        proto::SignalReceivedV1 {
            source: self.source.clone(),
            source_id: self.source_id.clone(),
            kind: kind.into(),
            occurred_at: Some(store_time(self.occurred_at)),
            about: self.about.as_ref().map(Stored::store),
            decided_by: self.decided_by.as_ref().map(Stored::store),
            target: self.target.as_ref().map(Stored::store),
            ticket: text(self.ticket.as_ref()),
        }
    }
    fn load(proto: Self::Proto) -> Result<Self, Malformed> {
        let kind = match proto::SignalKind::try_from(proto.kind) {
            Ok(proto::SignalKind::TicketApproved) => SignalKind::TicketApproved,
            Ok(proto::SignalKind::IncidentOpened) => SignalKind::IncidentOpened,
            Ok(proto::SignalKind::IncidentClosed) => SignalKind::IncidentClosed,
            Ok(proto::SignalKind::PersonLeft) => SignalKind::PersonLeft,
            Ok(proto::SignalKind::FindingRaised) => SignalKind::FindingRaised,
            Ok(proto::SignalKind::RaiseForPerson) => SignalKind::RaiseForPerson,
            Ok(proto::SignalKind::Unspecified) | Err(_) => return Err(Malformed("kind")),
        };
        Ok(Self {
            source: proto.source,
            source_id: proto.source_id,
            kind,
            occurred_at: load_time(proto.occurred_at, "occurred_at")?,
            about: proto.about.map(Stored::load).transpose()?,
            decided_by: proto.decided_by.map(Stored::load).transpose()?,
            target: proto.target.map(Stored::load).transpose()?,
            ticket: empty_as_none(&proto.ticket, "ticket")?,
        })
    }
}

impl Stored for PersonLinked {
    type Proto = proto::PersonLinkedV1;
    fn store(&self) -> Self::Proto {
        proto::PersonLinkedV1 { person: Some(self.person.store()), same_as: Some(self.same_as.store()) }
    }
    fn load(proto: Self::Proto) -> Result<Self, Malformed> {
        Ok(Self { person: load_set(proto.person, "person")?, same_as: load_set(proto.same_as, "same_as")? })
    }
}

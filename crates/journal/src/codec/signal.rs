//! Signals, what came of them, and identities that are one human.

use super::values::{Malformed, Stored, empty_as_none, load_time, store_time, text};
use super::{DecodeError, load as load_set, parse};
use crate::proto;
use lifecycle::signal::{PersonLinked, SignalAsk, SignalEvent, SignalKind, SignalReceived, SignalRefused};
use prost::Message as _;

pub(super) fn store(event: &SignalEvent) -> Vec<u8> {
    match event {
        SignalEvent::Received(received) => received.store().encode_to_vec(),
        SignalEvent::Refused(refused) => {
            proto::SignalRefusedV1 { reason: refused.reason.clone() }.encode_to_vec()
        }
    }
}

pub(super) fn load(verb: &str, payload: &[u8]) -> Result<SignalEvent, DecodeError> {
    Ok(match verb {
        "received.v1" => {
            SignalEvent::Received(Box::new(Stored::load(parse::<proto::SignalReceivedV1>(payload)?)?))
        }
        "refused.v1" => {
            let message: proto::SignalRefusedV1 = parse(payload)?;
            SignalEvent::Refused(SignalRefused { reason: message.reason })
        }
        _ => return Err(DecodeError::UnknownType(format!("signal.{verb}"))),
    })
}

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
            SignalKind::PersonReturned => proto::SignalKind::PersonReturned,
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
            about_principal_id: text(self.about_principal.as_ref()),
            may_revoke: self.may_revoke,
            ask: self.ask.as_ref().map(Stored::store),
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
            Ok(proto::SignalKind::PersonReturned) => SignalKind::PersonReturned,
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
            about_principal: empty_as_none(&proto.about_principal_id, "about_principal_id")?,
            may_revoke: proto.may_revoke,
            ask: proto.ask.map(Stored::load).transpose()?,
        })
    }
}

impl Stored for SignalAsk {
    type Proto = proto::SignalAsk;
    fn store(&self) -> Self::Proto {
        proto::SignalAsk {
            asked: Some(self.asked.store()),
            justification: Some(self.justification.store()),
            rule_id: text(self.rule.as_ref()),
            extends_request_id: text(self.extends.as_ref()),
        }
    }
    fn load(proto: Self::Proto) -> Result<Self, Malformed> {
        Ok(Self {
            asked: load_set(proto.asked, "asked")?,
            justification: load_set(proto.justification, "justification")?,
            rule: empty_as_none(&proto.rule_id, "rule_id")?,
            extends: empty_as_none(&proto.extends_request_id, "extends_request_id")?,
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

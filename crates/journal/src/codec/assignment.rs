//! The ledger of an assignment.

use super::values::{Malformed, Stored, empty_as_none, load_time, read, store_time, text};
use super::{DecodeError, load as load_set, parse};
use crate::proto;
use lifecycle::assignment::{AssignmentEvent, AssignmentKey, Operation};
use prost::Message as _;

pub(super) fn store(event: &AssignmentEvent) -> Vec<u8> {
    match event {
        AssignmentEvent::Attempted { key, operation, deadline } => {
            let operation = match operation {
                Operation::Create => proto::Operation::Create,
                Operation::Delete => proto::Operation::Delete,
            };
            proto::AssignmentAttemptedV1 {
                key: Some(key.store()),
                operation: operation.into(),
                deadline: Some(store_time(*deadline)),
            }
            .encode_to_vec()
        }
        AssignmentEvent::AttemptAbandoned { attempt } => {
            proto::AssignmentAttemptAbandonedV1 { attempt_event_id: attempt.to_string() }.encode_to_vec()
        }
        AssignmentEvent::Confirmed { attempt } => {
            proto::AssignmentConfirmedV1 { attempt_event_id: attempt.to_string() }.encode_to_vec()
        }
        AssignmentEvent::Failed { attempt, reason, definite } => proto::AssignmentFailedV1 {
            attempt_event_id: attempt.to_string(),
            reason: reason.clone(),
            definite: *definite,
        }
        .encode_to_vec(),
        AssignmentEvent::StandingFound { key } => {
            proto::AssignmentStandingFoundV1 { key: Some(key.store()) }.encode_to_vec()
        }
        AssignmentEvent::DriftFound { present } => {
            proto::AssignmentDriftFoundV1 { present: *present }.encode_to_vec()
        }
        AssignmentEvent::Adopted { key } => {
            proto::AssignmentAdoptedV1 { key: Some(key.store()) }.encode_to_vec()
        }
        AssignmentEvent::AbandonAsked { by, principal, comment } => proto::AssignmentAbandonAskedV1 {
            by: Some(by.store()),
            principal_id: text(principal.as_ref()),
            comment: comment.as_ref().map(Stored::store),
        }
        .encode_to_vec(),
        AssignmentEvent::Abandoned { by, principal, comment } => proto::AssignmentAbandonedV1 {
            by: Some(by.store()),
            principal_id: text(principal.as_ref()),
            comment: comment.as_ref().map(Stored::store),
        }
        .encode_to_vec(),
    }
}

pub(super) fn load(verb: &str, payload: &[u8]) -> Result<AssignmentEvent, DecodeError> {
    Ok(match verb {
        "attempted.v1" => {
            let message: proto::AssignmentAttemptedV1 = parse(payload)?;
            let operation = match proto::Operation::try_from(message.operation) {
                Ok(proto::Operation::Create) => Operation::Create,
                Ok(proto::Operation::Delete) => Operation::Delete,
                Ok(proto::Operation::Unspecified) | Err(_) => return Err(Malformed("operation").into()),
            };
            AssignmentEvent::Attempted {
                key: load_set(message.key, "key")?,
                operation,
                deadline: load_time(message.deadline, "deadline")?,
            }
        }
        "attempt_abandoned.v1" => {
            let message: proto::AssignmentAttemptAbandonedV1 = parse(payload)?;
            AssignmentEvent::AttemptAbandoned {
                attempt: read(&message.attempt_event_id, "attempt_event_id")?,
            }
        }
        "confirmed.v1" => {
            let message: proto::AssignmentConfirmedV1 = parse(payload)?;
            AssignmentEvent::Confirmed { attempt: read(&message.attempt_event_id, "attempt_event_id")? }
        }
        "failed.v1" => {
            let message: proto::AssignmentFailedV1 = parse(payload)?;
            AssignmentEvent::Failed {
                attempt: read(&message.attempt_event_id, "attempt_event_id")?,
                reason: message.reason,
                definite: message.definite,
            }
        }
        "standing_found.v1" => {
            let message: proto::AssignmentStandingFoundV1 = parse(payload)?;
            AssignmentEvent::StandingFound { key: load_set(message.key, "key")? }
        }
        "drift_found.v1" => {
            let message: proto::AssignmentDriftFoundV1 = parse(payload)?;
            AssignmentEvent::DriftFound { present: message.present }
        }
        "adopted.v1" => {
            let message: proto::AssignmentAdoptedV1 = parse(payload)?;
            AssignmentEvent::Adopted { key: load_set(message.key, "key")? }
        }
        "abandon_asked.v1" => {
            let message: proto::AssignmentAbandonAskedV1 = parse(payload)?;
            AssignmentEvent::AbandonAsked {
                by: load_set(message.by, "by")?,
                principal: empty_as_none(&message.principal_id, "principal_id")?,
                comment: message.comment.map(Stored::load).transpose()?,
            }
        }
        "abandoned.v1" => {
            let message: proto::AssignmentAbandonedV1 = parse(payload)?;
            AssignmentEvent::Abandoned {
                by: load_set(message.by, "by")?,
                principal: empty_as_none(&message.principal_id, "principal_id")?,
                comment: message.comment.map(Stored::load).transpose()?,
            }
        }
        other => return Err(DecodeError::UnknownType(format!("assignment.{other}"))),
    })
}

impl Stored for AssignmentKey {
    type Proto = proto::AssignmentKey;
    fn store(&self) -> Self::Proto {
        proto::AssignmentKey { principal_id: self.principal.to_string(), target: Some(self.target.store()) }
    }
    fn load(proto: Self::Proto) -> Result<Self, Malformed> {
        Ok(Self {
            principal: read(&proto.principal_id, "key.principal_id")?,
            target: load_set(proto.target, "key.target")?,
        })
    }
}

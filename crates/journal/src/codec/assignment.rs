//! The ledger of an assignment.

use super::values::{Malformed, Stored, load_time, read, store_time};
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

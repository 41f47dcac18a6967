//! What is denied in an account.

use super::values::{load_time, read, read_all, store_time, texts};
use super::{DecodeError, parse};
use crate::proto;
use lifecycle::denial::DenialEvent;
use prost::Message as _;

pub(super) fn store(event: &DenialEvent) -> Vec<u8> {
    match event {
        DenialEvent::Attempted { account, requests, deadline } => proto::DenialAttemptedV1 {
            account_id: account.to_string(),
            request_ids: texts(requests),
            deadline: Some(store_time(*deadline)),
        }
        .encode_to_vec(),
        DenialEvent::AttemptAbandoned { attempt } => {
            proto::DenialAttemptAbandonedV1 { attempt_event_id: attempt.to_string() }.encode_to_vec()
        }
        DenialEvent::Confirmed { attempt } => {
            proto::DenialConfirmedV1 { attempt_event_id: attempt.to_string() }.encode_to_vec()
        }
        DenialEvent::Failed { attempt, reason } => {
            proto::DenialFailedV1 { attempt_event_id: attempt.to_string(), reason: reason.clone() }
                .encode_to_vec()
        }
        DenialEvent::DriftFound => proto::DenialDriftFoundV1 {}.encode_to_vec(),
    }
}

pub(super) fn load(verb: &str, payload: &[u8]) -> Result<DenialEvent, DecodeError> {
    const ATTEMPT: &str = "attempt_event_id";
    Ok(match verb {
        "attempted.v1" => {
            let message: proto::DenialAttemptedV1 = parse(payload)?;
            DenialEvent::Attempted {
                account: read(&message.account_id, "account_id")?,
                requests: read_all(&message.request_ids, "request_ids")?,
                deadline: load_time(message.deadline, "deadline")?,
            }
        }
        "attempt_abandoned.v1" => {
            let message: proto::DenialAttemptAbandonedV1 = parse(payload)?;
            DenialEvent::AttemptAbandoned { attempt: read(&message.attempt_event_id, ATTEMPT)? }
        }
        "confirmed.v1" => {
            let message: proto::DenialConfirmedV1 = parse(payload)?;
            DenialEvent::Confirmed { attempt: read(&message.attempt_event_id, ATTEMPT)? }
        }
        "failed.v1" => {
            let message: proto::DenialFailedV1 = parse(payload)?;
            DenialEvent::Failed { attempt: read(&message.attempt_event_id, ATTEMPT)?, reason: message.reason }
        }
        "drift_found.v1" => {
            let proto::DenialDriftFoundV1 {} = parse(payload)?;
            DenialEvent::DriftFound
        }
        other => return Err(DecodeError::UnknownType(format!("denial.{other}"))),
    })
}

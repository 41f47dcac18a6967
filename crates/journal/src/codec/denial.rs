//! What is denied in an account.

use super::values::{Malformed, load_time, read, store_time};
use super::{DecodeError, parse};
use crate::proto;
use domain::{RequestId, Timestamp};
use lifecycle::denial::{DenialEvent, SetNames};
use prost::Message as _;

const REQUEST: &str = "requests.request_id";

pub(super) fn store(event: &DenialEvent) -> Vec<u8> {
    match event {
        DenialEvent::Attempted { account, requests, names, deadline } => proto::DenialAttemptedV1 {
            account_id: account.to_string(),
            requests: requests.iter().map(|denied| store_denied(denied, names)).collect(),
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

fn store_denied(
    (request, begun_before): (&RequestId, &Option<Timestamp>),
    names: &SetNames,
) -> proto::DeniedRequest {
    proto::DeniedRequest {
        request_id: request.to_string(),
        begun_before: begun_before.map(store_time),
        permission_set_name: names.get(request).cloned().unwrap_or_default(),
    }
}

fn load_denied(denied: &proto::DeniedRequest) -> Result<(RequestId, Option<Timestamp>), Malformed> {
    let begun_before =
        denied.begun_before.map(|at| load_time(Some(at), "requests.begun_before")).transpose()?;
    Ok((read(&denied.request_id, REQUEST)?, begun_before))
}

fn load_name(denied: &proto::DeniedRequest) -> Result<(RequestId, String), Malformed> {
    Ok((read(&denied.request_id, REQUEST)?, denied.permission_set_name.clone()))
}

pub(super) fn load(verb: &str, payload: &[u8]) -> Result<DenialEvent, DecodeError> {
    const ATTEMPT: &str = "attempt_event_id";
    Ok(match verb {
        "attempted.v1" => {
            let message: proto::DenialAttemptedV1 = parse(payload)?;
            let named = message.requests.iter().filter(|denied| !denied.permission_set_name.is_empty());
            DenialEvent::Attempted {
                account: read(&message.account_id, "account_id")?,
                requests: message.requests.iter().map(load_denied).collect::<Result<_, _>>()?,
                names: named.map(load_name).collect::<Result<_, _>>()?,
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

//! Events as others see them: CloudEvents, whose schema is documented (docs/events.md) and not the stored one.
//!
//! - [`data`]: what an event says, shape by shape. - `map`: from what is stored to what is said.
//!
//! INVARIANT: no text that a person wrote freely, nothing sealed, no secret, nothing that AWS answered word by word. What is said
//! of an event depends on the event alone: whoever publishes it says the same.

pub mod data;
mod map;

use crate::stored;
use data::{Actor, Data, Details, Reason, Undecodable};
use domain::LogId;
use journal::{DecodeError, types};
use messaging::{CloudEvent, MESSAGE_BYTES_MAX, Origin, OutgoingMessage};
use projection::Item;
use std::collections::BTreeMap;

/// What every public type begins with; also the subject on the bus. `v1` is the version of the schema of all of them.
pub const PREFIX: &str = "daypass.events.v1.";
/// The type of an event that cannot be decoded, or is too large for the bus.
pub const UNDECODABLE: &str = "daypass.events.v1.undecodable";

/// The public type of a stored one: `request.requested.v1` → `daypass.events.v1.request.requested`.
pub fn public_type(stored: &str) -> String {
    let name = stored.rsplit_once(".v").map_or(stored, |(name, _)| name);
    format!("{PREFIX}{name}")
}

/// What is said to others about an event.
pub fn cloud_event(log_id: LogId, item: &Item) -> CloudEvent<Data<'_>> {
    let recorded = &item.recorded;
    let mut extensions = BTreeMap::from([("sequence".to_owned(), format!("{:010}", recorded.revision.0))]);
    let (type_name, time, data) = match &item.event {
        Ok(event) => {
            if let Some(trace) = &event.trace {
                extensions.insert("traceparent".to_owned(), trace.clone());
            }
            let data = Data { actor: event.actor.as_ref().map(Actor::of), details: map::details(event) };
            (public_type(types::type_name(&event.fact)), Some(event.at), data)
        }
        Err(error) => {
            let time = stored::envelope(recorded).as_ref().and_then(stored::happened_at);
            (UNDECODABLE.to_owned(), time, undecodable(item, Reason::of(error)))
        }
    };
    CloudEvent {
        id: recorded.envelope.event_id.to_string(),
        source: format!("urn:uuid:{log_id}"),
        type_name,
        subject: Some(recorded.stream.to_string()),
        time,
        data_schema: None,
        extensions,
        data: Some(data),
    }
}

/// The message about an event. One that cannot be decoded is told of as such, and logged: it holds up nobody.
pub fn message(log_id: LogId, item: &Item) -> Result<OutgoingMessage, serde_json::Error> {
    let recorded = &item.recorded;
    if let Err(error) = &item.event {
        tracing::error!(
            stream = %recorded.stream, revision = recorded.revision.0, event_id = %recorded.envelope.event_id, %error,
            "an event cannot be decoded: others are told that it is there, and not what it says"
        );
    }
    let mut event = cloud_event(log_id, item);
    let mut body = serde_json::to_vec(&event)?;
    if body.len() > MESSAGE_BYTES_MAX {
        tracing::error!(stream = %recorded.stream, event_id = %recorded.envelope.event_id, bytes = body.len(),
            "an event is too large for others: they are told that it is there, and not what it says");
        UNDECODABLE.clone_into(&mut event.type_name);
        event.data = Some(undecodable(item, Reason::TooLarge));
        body = serde_json::to_vec(&event)?;
    }
    let origin = Origin {
        log_id: *log_id.as_uuid(),
        position: recorded.position.0,
        event_id: recorded.envelope.event_id,
    };
    Ok(OutgoingMessage { subject: event.type_name, origin, body: body.into() })
}

fn undecodable(item: &Item, reason: Reason) -> Data<'_> {
    let recorded = &item.recorded;
    let details = Undecodable {
        stream: recorded.stream.as_str(),
        revision: recorded.revision.0,
        writer: recorded.envelope.writer.as_str(),
        reason,
    };
    Data { actor: None, details: Details::Undecodable(details) }
}

impl Reason {
    fn of(error: &DecodeError) -> Self {
        match error {
            DecodeError::Malformed { .. } => Self::Malformed,
            DecodeError::UnknownType(_) => Self::UnknownType,
            DecodeError::NotOwner { .. } => Self::NotOwner,
            DecodeError::Misplaced { .. } => Self::Misplaced,
        }
    }
}

#[cfg(test)]
mod document;

//! Stored bytes ↔ events.

mod assignment;
mod denial;
mod log;
mod policy;
mod request;
mod signal;
mod values;

use crate::{Event, Fact, Service, Stream, proto, types};
use lifecycle::duty::DutyClaimed;
use prost::Message;
use values::{Malformed, Stored, empty_as_none, load_time, required, store_time};

/// Why stored bytes are not an event that can be relied on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not an envelope, or a field of it is not what it must be.
    #[error("the event is malformed: {field}")]
    Malformed {
        /// The field.
        field: &'static str,
    },
    /// The type is not known to this release.
    #[error("the type {0:?} is not known to this release")]
    UnknownType(String),
    /// The writer does not own the type.
    #[error("{writer} may not write {type_name}")]
    NotOwner {
        /// Who wrote it.
        writer: String,
        /// The type.
        type_name: String,
    },
    /// The engine gave the event back under another stream, id or writer than the event itself says, or in a stream that
    /// holds no such type.
    #[error("the event is not where it belongs: {field}")]
    Misplaced {
        /// What differs.
        field: &'static str,
    },
}

impl From<Malformed> for DecodeError {
    fn from(Malformed(field): Malformed) -> Self {
        Self::Malformed { field }
    }
}

/// The bytes of an event.
pub fn encode(event: &Event) -> Vec<u8> {
    proto::Envelope {
        event_id: event.id.to_string(),
        stream: event.stream.to_string(),
        r#type: types::type_name(&event.fact).to_owned(),
        time: Some(store_time(event.at)),
        writer: event.writer.to_string(),
        actor: event.actor.as_ref().map(Stored::store),
        previous_event_id: event.previous.map(|id| id.to_string()).unwrap_or_default(),
        trace_parent: event.trace.clone().unwrap_or_default(),
        command_digest: event.command_digest.map(Vec::from).unwrap_or_default(),
        payload: store_fact(&event.fact),
    }
    .encode_to_vec()
}

/// The event that these bytes are.
pub fn decode(body: &[u8]) -> Result<Event, DecodeError> {
    load_event(parse(body).map_err(|_| Malformed("envelope"))?)
}

/// The event that these bytes are, which an engine gave back as the event `id` that `writer` wrote to `stream`. Nothing rests
/// on what an engine says beside the body: where the two differ, the event is refused.
pub fn decode_recorded(
    stream: &str,
    id: &uuid::Uuid,
    writer: &str,
    body: &[u8],
) -> Result<Event, DecodeError> {
    let envelope: proto::Envelope = parse(body).map_err(|_| Malformed("envelope"))?;
    if envelope.stream != stream {
        return Err(DecodeError::Misplaced { field: "stream" });
    }
    if envelope.writer != writer {
        return Err(DecodeError::Misplaced { field: "writer" });
    }
    let event = load_event(envelope)?;
    if event.id.as_uuid() != id {
        return Err(DecodeError::Misplaced { field: "event_id" });
    }
    if !event.stream.holds(types::type_name(&event.fact)) {
        return Err(DecodeError::Misplaced { field: "type" });
    }
    Ok(event)
}

fn load_event(envelope: proto::Envelope) -> Result<Event, DecodeError> {
    let writer = Service::from_name(&envelope.writer);
    if !types::TYPES.iter().any(|(name, _)| *name == envelope.r#type) {
        return Err(DecodeError::UnknownType(envelope.r#type));
    }
    let stream = envelope.stream.parse::<Stream>().map_err(|_| Malformed("stream"))?;
    let owner = writer.filter(|writer| writer.owns(&envelope.r#type) && writer.writes_to(&stream));
    let Some(writer) = owner else {
        return Err(DecodeError::NotOwner { writer: envelope.writer, type_name: envelope.r#type });
    };
    let digest = envelope.command_digest.as_slice();
    Ok(Event {
        id: envelope.event_id.parse().map_err(|_| Malformed("event_id"))?,
        stream,
        at: load_time(envelope.time, "time")?,
        writer,
        actor: envelope.actor.map(Stored::load).transpose()?,
        previous: empty_as_none(&envelope.previous_event_id, "previous_event_id")?,
        trace: Some(envelope.trace_parent).filter(|trace| !trace.is_empty()),
        command_digest: if digest.is_empty() {
            None
        } else {
            Some(digest.try_into().map_err(|_| Malformed("command_digest"))?)
        },
        fact: load_fact(&envelope.r#type, &envelope.payload)?,
    })
}

fn store_fact(fact: &Fact) -> Vec<u8> {
    match fact {
        Fact::Request(event) => request::store(event),
        Fact::Assignment(event) => assignment::store(event),
        Fact::Denial(event) => denial::store(event),
        Fact::Policy(event) => policy::store(event),
        Fact::Duty(claimed) => proto::DutyClaimedV1 { holder: claimed.holder.clone() }.encode_to_vec(),
        Fact::Signal(event) => signal::store(event),
        Fact::Person(linked) => linked.store().encode_to_vec(),
        Fact::Log(event) => log::store(event),
    }
}

fn load_fact(type_name: &str, payload: &[u8]) -> Result<Fact, DecodeError> {
    let (kind, verb) = type_name.split_once('.').unwrap_or_default();
    Ok(match (kind, verb) {
        ("request", verb) => Fact::Request(request::load(verb, payload)?),
        ("assignment", verb) => Fact::Assignment(assignment::load(verb, payload)?),
        ("denial", verb) => Fact::Denial(denial::load(verb, payload)?),
        ("policy", verb) => Fact::Policy(policy::load(verb, payload)?),
        ("duty", "claimed.v1") => {
            let message: proto::DutyClaimedV1 = parse(payload)?;
            Fact::Duty(DutyClaimed { holder: message.holder })
        }
        ("signal", verb) => Fact::Signal(signal::load(verb, payload)?),
        ("person", "linked.v1") => Fact::Person(Stored::load(parse::<proto::PersonLinkedV1>(payload)?)?),
        ("log", verb) => Fact::Log(log::load(verb, payload)?),
        _ => return Err(DecodeError::UnknownType(type_name.to_owned())),
    })
}

fn parse<M: Message + Default>(payload: &[u8]) -> Result<M, Malformed> {
    M::decode(payload).map_err(|_| Malformed("payload"))
}

/// Loads a field that must be set.
fn load<T: Stored>(value: Option<T::Proto>, field: &'static str) -> Result<T, Malformed> {
    T::load(required(value, field)?)
}

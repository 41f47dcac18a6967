//! An event as the API shows it.

use crate::AuditService;
use crate::stored::Stored;
use api::audit::v1::Event;
use api::types::v1 as types;
use domain::Sealed;
use journal::{Fact, proto};
use lifecycle::RequestEvent;
use serde_json::{Map, Value};
use views::resource::{self, comment_place, justification_place};

impl AuditService {
    /// The event, with sealed text opened where its key still exists. `with_envelope`: with the stored bytes.
    pub(crate) async fn show(&self, stored: &Stored, with_envelope: bool) -> Event {
        let recorded = &stored.recorded;
        let envelope = stored.envelope.as_ref();
        Event {
            position: self.views.token(recorded.position),
            stream: recorded.stream.to_string(),
            revision: recorded.revision.0,
            event_id: recorded.envelope.event_id.to_string(),
            event_type: stored.type_name().unwrap_or_default().to_owned(),
            happened_at: envelope.and_then(|envelope| envelope.time),
            writer: recorded.envelope.writer.to_string(),
            actor: envelope.and_then(|envelope| envelope.actor.as_ref()).map(actor),
            previous_event_id: envelope.map(|found| found.previous_event_id.clone()).unwrap_or_default(),
            trace_parent: envelope.map(|found| found.trace_parent.clone()).unwrap_or_default(),
            payload: self.payload(stored).await.map(api::structs::from_json),
            envelope: if with_envelope { recorded.envelope.body.to_vec() } else { Vec::new() },
            undecodable: stored.undecodable(),
        }
    }

    async fn payload(&self, stored: &Stored) -> Option<Map<String, Value>> {
        let event = stored.event.as_ref().ok()?;
        let envelope = stored.envelope.as_ref()?;
        let Value::Object(mut payload) = journal::json::payload(&envelope.r#type, &envelope.payload)? else {
            return None;
        };
        if let Some((name, place, sealed)) = sealed(event)
            && let Some(text) = resource::open(self.views.keys.as_ref(), &place, sealed).await
        {
            payload.insert(name.to_owned(), Value::String(text));
        }
        Some(payload)
    }
}

/// The sealed text of an event: the field that it is in, and the place that it is sealed to.
fn sealed(event: &journal::Event) -> Option<(&'static str, String, &Sealed)> {
    if let Fact::Request(RequestEvent::Requested(requested)) = &event.fact {
        return Some(("justification", justification_place(&requested.id), &requested.justification));
    }
    Some(("comment", comment_place(&event.id), resource::comment(&event.fact)?))
}

/// Who acted, as it is stored: also where that would not pass as an actor today.
fn actor(actor: &proto::Actor) -> types::Actor {
    let kind = match proto::ActorKind::try_from(actor.kind) {
        Ok(proto::ActorKind::Human) => types::ActorKind::Human,
        Ok(proto::ActorKind::Workload) => types::ActorKind::Workload,
        Ok(proto::ActorKind::Unspecified) | Err(_) => types::ActorKind::Unspecified,
    };
    types::Actor {
        person: actor
            .person
            .as_ref()
            .map(|person| types::Person { issuer: person.issuer.clone(), subject: person.subject.clone() }),
        kind: kind.into(),
        client_id: actor.client_id.clone(),
        auth_time: actor.auth_time,
        acr: actor.acr.clone(),
    }
}

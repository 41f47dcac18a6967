//! Stories that are written as history: what measurements begin with.

use crate::Failed;
use domain::{Actor, ActorKind, AskedWindow, EventId, Person, RequestId, SignedDuration, Target, Timestamp};
use event_log::{Envelope, EventLog, Expected, StreamName, Writer};
use journal::seal::PersonKey;
use journal::{Event, Fact, Service, Stream};
use lifecycle::event::{Grounds, Requested};
use policy::change::Applied;
use policy::{Policy, PolicyEvent};
use service_runtime::clock::SystemEntropy;
use views::resource::justification_place;

/// How long everything is asked for.
pub(crate) const ASKED: SignedDuration = SignedDuration::from_hours(1);
/// How long it waits for a decision.
pub(crate) const DECIDED_WITHIN: SignedDuration = SignedDuration::from_hours(24);

/// An event to be written, but for its place.
pub(crate) struct Told {
    pub(crate) writer: Service,
    pub(crate) actor: Option<Actor>,
    pub(crate) at: Timestamp,
    pub(crate) fact: Fact,
}

/// Writes a whole stream, and gives the ids of its events.
pub(crate) async fn write(
    log: &dyn EventLog,
    stream: &Stream,
    told: Vec<Told>,
) -> Result<Vec<EventId>, Failed> {
    let name: StreamName = stream.to_string().parse()?;
    let (mut expected, mut ids) = (Expected::NoStream, Vec::new());
    for (place, Told { writer, actor, at, fact }) in told.into_iter().enumerate() {
        let event = Event {
            id: event_id(stream, place),
            stream: stream.clone(),
            at,
            writer,
            actor,
            previous: ids.last().copied(),
            trace: None,
            command_digest: None,
            fact,
        };
        let envelope = Envelope {
            event_id: *event.id.as_uuid(),
            writer: Writer::new(writer.as_str())?,
            body: journal::encode(&event).into(),
        };
        expected = Expected::Exact(log.append(&name, expected, envelope).await?.revision);
        ids.push(event.id);
    }
    Ok(ids)
}

/// The id of the event at this place of a stream.
pub(crate) fn event_id(stream: &Stream, place: usize) -> EventId {
    EventId::from_parts([stream.to_string().as_bytes(), place.to_be_bytes().as_slice()])
}

/// The id of the `number`th request.
pub(crate) fn request_id(number: u64) -> RequestId {
    RequestId::from_parts([number.to_be_bytes().as_slice()])
}

/// Someone who signed in.
pub(crate) fn human(issuer: &str, subject: &str) -> Result<Actor, Failed> {
    let person = Person::new(issuer, subject)?;
    Ok(Actor { person, kind: ActorKind::Human, client_id: None, auth_time: None, acr: None })
}

/// What someone asks for themselves, from the approval on.
pub(crate) fn requested(
    id: RequestId,
    raiser: &Actor,
    key: &PersonKey,
    target: Target,
    at: Timestamp,
    grounds: Grounds,
) -> Result<Requested, Failed> {
    let text = "a justification of ordinary length";
    Ok(Requested {
        id,
        requester: raiser.person.clone(),
        raiser: raiser.clone(),
        raiser_principal: grounds.principal.clone(),
        target,
        asked: AskedWindow { start: None, duration: ASKED },
        ticket: None,
        justification: key.seal(&justification_place(&id), text, &SystemEntropy)?,
        emergency: false,
        extends: None,
        chain_duration: ASKED,
        batch: None,
        decide_by: at.checked_add(DECIDED_WITHIN)?,
        grounds,
    })
}

/// The policy of `text`, as the first that was applied.
pub(crate) fn applied(text: &str, author: Actor) -> Result<Fact, Failed> {
    Ok(Fact::Policy(PolicyEvent::Applied(Applied {
        author_principal: None,
        base: None,
        proposal: None,
        policy: Policy::from_toml(text).map_err(|problems| format!("{problems:?}"))?,
        author,
        second: None,
        source_digest: [0; 32],
    })))
}

//! Stories that are written as history: what measurements begin with.

use crate::Failed;
use domain::{
    Actor, ActorKind, AskedWindow, EventId, OuPath, Person, Plan, Provider, RequestId, RuleId,
    SignedDuration, Target, Timestamp, Window,
};
use event_log::{Envelope, EventLog, Expected, StreamName, Writer};
use journal::seal::PersonKey;
use journal::{Event, Fact, Service, Stream};
use lifecycle::event::{Activated, ApprovalBasis, Approved, Bound, Grounds, Requested};
use policy::change::Applied;
use policy::{Policy, PolicyEvent};
use service_runtime::clock::SystemEntropy;
use std::collections::BTreeSet;
use views::resource::justification_place;

/// How long everything is asked for.
pub(crate) const ASKED: SignedDuration = SignedDuration::from_hours(1);
/// How long it waits for a decision.
pub(crate) const DECIDED_WITHIN: SignedDuration = SignedDuration::from_hours(24);

/// How long a session is at most, and credentials are.
const SESSION: SignedDuration = SignedDuration::from_hours(1);

/// An event to be written, but for its place.
pub(crate) struct Told {
    pub(crate) writer: Service,
    pub(crate) actor: Option<Actor>,
    pub(crate) at: Timestamp,
    pub(crate) fact: Fact,
}

/// All this, at the same time. `actor`: whose doing it was, if anyone's.
pub(crate) fn at_once(
    facts: impl IntoIterator<Item = (Service, Fact)>,
    actor: Option<&Actor>,
    at: Timestamp,
) -> Vec<Told> {
    facts.into_iter().map(|(writer, fact)| Told { writer, actor: actor.cloned(), at, fact }).collect()
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

/// The key of someone whose words nobody reads.
pub(crate) fn key(person: &Person) -> PersonKey {
    PersonKey::from_secret(person.id(), [7; 32])
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

/// By this rule, which asks nobody.
pub(crate) fn grounds(rule: &str, policy_event: EventId, provider: Provider) -> Result<Grounds, Failed> {
    Ok(Grounds {
        rule: RuleId::new(rule)?,
        policy_event,
        determining: vec![format!("rule/{rule}")],
        provider,
        groups: BTreeSet::new(),
        ou_path: OuPath::default(),
        plan: Plan::none(),
        principal: None,
    })
}

/// The yes of the rule.
pub(crate) fn approved(window: Window, policy_event: EventId) -> Approved {
    Approved { window, basis: ApprovalBasis::Rule, approvers: Vec::new(), policy_event, comment: None }
}

/// The beginning of the access.
pub(crate) fn activated(window: Window, provider: Provider) -> Result<Activated, Failed> {
    let at_end = match provider {
        // Credentials are never longer than what is left.
        Provider::Sts => window.end(),
        Provider::IdentityCenter | Provider::AccountAccess => window.end().checked_add(SESSION)?,
    };
    let bound = Bound { at_end, after_early_end: SESSION, chained: SignedDuration::ZERO };
    Ok(Activated { provider, bound, standing: false })
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

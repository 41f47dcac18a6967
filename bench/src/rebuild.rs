//! Filling the read model of requests from a log of SQLite, and decoding alone in the same run.

use crate::{Failed, say};
use domain::{
    Actor, ActorKind, AskedWindow, EventId, OuPath, Person, Plan, Provider, RequestId, RuleId,
    SignedDuration, Target, Timestamp,
};
use event_log::{Envelope, EventLog, Expected, Position, Writer};
use event_log_sqlite::{OpenOptions, SqliteLog};
use futures::{StreamExt as _, TryStreamExt as _};
use journal::seal::PersonKey;
use journal::{Event, Fact, Service, Stream};
use lifecycle::RequestEvent;
use lifecycle::event::{Grounds, Requested};
use projection::Projection;
use service_runtime::clock::SystemEntropy;
use std::ops::Range;
use std::sync::Arc;
use tokio::time::Instant;
use uuid::Uuid;
use views::RequestsModel;

/// DESIGN §17, for SQLite.
const BUDGET_PER_SECOND: f64 = 300_000.0;
/// Every request is raised and withdrawn: the shortest whole story.
pub(crate) const EVENTS_PER_REQUEST: u64 = 2;

pub(crate) async fn run(events: u64) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let log: Arc<dyn EventLog> =
        Arc::new(SqliteLog::open(folder.path().join("log.db"), &OpenOptions::new(Uuid::from_u128(1)))?);
    fill(&log, 0..events / EVENTS_PER_REQUEST).await?;
    let written = events / EVENTS_PER_REQUEST * EVENTS_PER_REQUEST;

    let began = Instant::now();
    let mut decoded = 0u64;
    let mut all = log.read_all(Position::START);
    while let Some(recorded) = all.try_next().await? {
        journal::decode(&recorded.envelope.body)?;
        decoded += 1;
    }
    let reading = rate(decoded, began);
    say(&format!("{decoded} events read and decoded: {reading:.0}/s"));

    let (projection, follower) =
        Projection::open(Some(&folder.path().join("views")), RequestsModel::default(), log.clone())?;
    let began = Instant::now();
    let following = tokio::spawn(follower.run(std::future::pending()));
    projection.wait_for(log.head().await?).await;
    let filling = rate(written, began);
    following.abort();
    say(&format!(
        "read model of requests filled: {filling:.0}/s, {:.2} of reading; budget: {BUDGET_PER_SECOND:.0}/s",
        filling / reading
    ));
    Ok(())
}

pub(crate) fn rate(count: u64, since: Instant) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts of events are far below 2^52")]
    let count = count as f64;
    count / since.elapsed().as_secs_f64()
}

/// Writes the stories of these requests.
pub(crate) async fn fill(log: &Arc<dyn EventLog>, requests: Range<u64>) -> Result<(), Failed> {
    say(&format!("writing {} requests", requests.end - requests.start));
    futures::stream::iter(requests)
        .map(|number| story(log.clone(), number))
        .buffer_unordered(256)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(())
}

async fn story(log: Arc<dyn EventLog>, number: u64) -> Result<(), Failed> {
    let id = RequestId::from_parts([number.to_be_bytes().as_slice()]);
    let person = Person::new("https://idp.example", &format!("person-{}", number % 1_000))?;
    let actor =
        Actor { person: person.clone(), kind: ActorKind::Human, client_id: None, auth_time: None, acr: None };
    let at = Timestamp::from_second(1_790_000_000)?;
    let key = PersonKey::from_secret(person.id(), [7; 32]);
    let requested = Requested {
        id,
        requester: person.clone(),
        raiser: actor.clone(),
        raiser_principal: None,
        target: Target::parse("111111111111", "arn:aws:sso:::permissionSet/ssoins-1/ps-1")?,
        asked: AskedWindow { start: None, duration: SignedDuration::from_hours(1) },
        ticket: None,
        justification: key.seal("place", "a justification of ordinary length", &SystemEntropy)?,
        emergency: false,
        extends: None,
        chain_duration: SignedDuration::from_hours(1),
        batch: None,
        decide_by: Timestamp::from_second(1_790_086_400)?,
        grounds: Grounds {
            rule: RuleId::new("rule")?,
            policy_event: EventId::from_parts([b"policy".as_slice()]),
            determining: vec!["rule/rule".to_owned()],
            provider: Provider::IdentityCenter,
            groups: std::collections::BTreeSet::new(),
            ou_path: OuPath::default(),
            plan: Plan::none(),
            principal: None,
        },
    };
    let facts = [RequestEvent::Requested(Box::new(requested)), RequestEvent::Withdrawn];
    let (mut previous, mut expected) = (None, Expected::NoStream);
    for (fact, verb) in facts.into_iter().zip(["raise", "withdraw"]) {
        let event = Event {
            id: EventId::from_parts([verb.as_bytes(), &number.to_be_bytes()]),
            stream: Stream::Request(id),
            at,
            writer: Service::Request,
            actor: Some(actor.clone()),
            previous,
            trace: None,
            command_digest: None,
            fact: Fact::Request(fact),
        };
        let envelope = Envelope {
            event_id: *event.id.as_uuid(),
            writer: Writer::new("request")?,
            body: journal::encode(&event).into(),
        };
        let appended = log.append(&event.stream.to_string().parse()?, expected, envelope).await?;
        (previous, expected) = (Some(event.id), Expected::Exact(appended.revision));
    }
    Ok(())
}

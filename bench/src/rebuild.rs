//! Filling the read model of requests from a log, beside reading and decoding alone in the same run.

use crate::{Failed, logs, say, stories};
use domain::{EventId, Provider, Target, Timestamp};
use event_log::{EventLog, Position};
use futures::{StreamExt as _, TryStreamExt as _};
use journal::{Fact, Service, Stream};
use lifecycle::RequestEvent;
use projection::Projection;
use std::ops::Range;
use std::sync::Arc;
use test_servers::nats::NatsOptions;
use tokio::time::Instant;
use views::RequestsModel;

/// DESIGN §17.
const SQLITE_BUDGET_PER_SECOND: f64 = 300_000.0;
const JETSTREAM_BUDGET_PER_SECOND: f64 = 200_000.0;
/// Every request is raised and withdrawn: the shortest whole story.
pub(crate) const EVENTS_PER_REQUEST: u64 = 2;

/// `nats`: from a log on a NATS server, instead of SQLite.
pub(crate) async fn run(events: u64, nats: bool) -> Result<(), Failed> {
    let budget = if nats { JETSTREAM_BUDGET_PER_SECOND } else { SQLITE_BUDGET_PER_SECOND };
    say(&format!("read model of requests on {}, {events} events", logs::engine(nats)));
    // Written without syncing: reading is the same, and what is measured only reads.
    let options = NatsOptions { sync_always: false, ..NatsOptions::default() };
    let server = logs::nats_server(nats, options).await?;
    let folder = tempfile::tempdir()?;
    let log = logs::open(server.as_ref(), folder.path()).await?;
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
    // Not only applied: its indices are made as well, without which nobody can ask it.
    projection.caught_up().await;
    let filling = rate(written, began);
    following.abort();
    say(&format!(
        "read model of requests filled: {filling:.0}/s, {:.2} of reading; budget: {budget:.0}/s",
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
    let id = stories::request_id(number);
    let actor = stories::human("https://idp.example", &format!("person-{}", number % 1_000))?;
    let at = Timestamp::from_second(1_790_000_000)?;
    let key = stories::key(&actor.person);
    let target = Target::parse("111111111111", "arn:aws:sso:::permissionSet/ssoins-1/ps-1")?;
    let policy_event = EventId::from_parts([b"policy".as_slice()]);
    let grounds = stories::grounds("rule", policy_event, Provider::IdentityCenter)?;
    let requested = stories::requested(id, &actor, &key, target, at, grounds)?;
    let facts = [RequestEvent::Requested(Box::new(requested)), RequestEvent::Withdrawn];
    let facts = facts.map(|fact| (Service::Request, Fact::Request(fact)));
    let told = stories::at_once(facts, Some(&actor), at);
    stories::write(log.as_ref(), &Stream::Request(id), told).await?;
    Ok(())
}

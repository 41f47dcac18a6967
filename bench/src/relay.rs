//! Catching up: the relay publishes a whole log, beside acknowledged publishing alone of the same bodies, in the same run. `day`: it was
//! down for a day.

mod day;

use crate::rebuild::{EVENTS_PER_REQUEST, fill, rate};
use crate::{Failed, logs, say};
use async_nats::jetstream::context::{Context, PublishAckFuture};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream;
use audit::{Relay, RelaySettings, public};
use domain::LogId;
use event_log::{EventLog, Position};
use futures::{StreamExt as _, TryStreamExt as _};
use messaging::OutgoingBus;
use messaging::nats::{NatsBus, NatsBusOptions, Room, events_config};
use nats_connection::Connection;
use projection::Item;
use service_runtime::clock::{SystemClock, SystemEntropy};
use std::collections::VecDeque;
use std::sync::Arc;
use test_servers::nats::{NatsOptions, NatsServer};
use tokio::time::Instant;

/// DESIGN §17.
const BUDGET: f64 = 0.5;
/// Messages on their way at a time, as in the adapter.
const IN_FLIGHT: usize = 1_024;
/// Bodies that are published alone at most: they are made before, and all of a day would not fit in memory.
const BODIES_MAX: usize = 200_000;

/// `sync_always`: as for a log, not as the bus needs it. `down_for_a_day`: that many events, and not `events`.
pub(crate) async fn run(
    events: u64,
    nats: bool,
    sync_always: bool,
    down_for_a_day: bool,
) -> Result<(), Failed> {
    let server = NatsServer::start(NatsOptions { sync_always, ..NatsOptions::default() }).await?;
    let folder = tempfile::tempdir()?;
    let log = logs::open(nats.then_some(&server), folder.path()).await?;
    let log_id = LogId::from_uuid(log.id().await?);
    say(&format!("log: {}; sync_interval always: {sync_always}", logs::engine(nats)));
    if down_for_a_day {
        return day::run(&server, &log, log_id).await;
    }
    fill(&log, 0..events / EVENTS_PER_REQUEST).await?;
    let limit = publishing_alone(&server, &log, log_id).await?;
    let relayed = catching_up(&server, log, log_id).await?;
    say(&format!("relayed: {relayed:.0}/s, {:.2} of publishing alone; budget: {BUDGET}", relayed / limit));
    Ok(())
}

/// Acknowledged publishing of what the relay would publish first, made before.
async fn publishing_alone(
    server: &NatsServer,
    log: &Arc<dyn EventLog>,
    log_id: LogId,
) -> Result<f64, Failed> {
    let all = log.read_all(Position::START).take(BODIES_MAX);
    let bodies: Vec<_> = all
        .map_err(Failed::from)
        .and_then(|recorded| async move { Ok(public::message(log_id, &Item::new(recorded))?.body) })
        .try_collect()
        .await?;
    let context = async_nats::jetstream::ContextBuilder::new()
        .max_ack_inflight(4 * IN_FLIGHT)
        .build(async_nats::connect(server.url()).await?);
    let events = events_config(1, Room::default());
    // It reserves nothing: the stream of events does.
    let config = stream::Config { name: "RAW".into(), subjects: vec!["raw".into()], max_bytes: -1, ..events };
    context.create_stream(config).await?;
    let count = bodies.len() as u64;
    let began = Instant::now();
    publish_all(&context, bodies).await?;
    let raw = rate(count, began);
    say(&format!("{count} bodies published alone, {IN_FLIGHT} on their way: {raw:.0}/s"));
    context.delete_stream("RAW").await?;
    Ok(raw)
}

async fn publish_all(context: &Context, bodies: Vec<bytes::Bytes>) -> Result<(), Failed> {
    let mut on_their_way: VecDeque<PublishAckFuture> = VecDeque::new();
    for body in bodies {
        if on_their_way.len() >= IN_FLIGHT
            && let Some(oldest) = on_their_way.pop_front()
        {
            oldest.await?;
        }
        on_their_way.push_back(context.send_publish("raw", PublishMessage::build().payload(body)).await?);
    }
    for ack in on_their_way {
        ack.await?;
    }
    Ok(())
}

/// The bus, once it can be reached.
async fn bus(server: &NatsServer) -> Result<Arc<dyn OutgoingBus>, Failed> {
    let connection = Connection::to(server.url());
    let bus: Arc<dyn OutgoingBus> =
        Arc::new(NatsBus::connect(&connection, NatsBusOptions { replicas: 1 }).await?);
    while bus.extent().await.is_err() {
        tokio::task::yield_now().await;
    }
    Ok(bus)
}

/// A relay that begins with an empty bus, until it has everything.
async fn catching_up(server: &NatsServer, log: Arc<dyn EventLog>, log_id: LogId) -> Result<f64, Failed> {
    let bus = bus(server).await?;
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
    let relay = Relay::new(log.clone(), log_id, Arc::clone(&bus), clock, entropy, RelaySettings::default());
    let began = Instant::now();
    let relaying = tokio::spawn(relay.run(std::future::pending()));
    // Its own claim is one event more.
    let mut relayed = 0;
    let written =
        log.read_all(Position::START).try_fold(0_u64, |count, _| async move { Ok(count + 1) }).await?;
    while relayed < written {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        relayed = bus.extent().await?.last;
    }
    let rate = rate(relayed, began);
    relaying.abort();
    Ok(rate)
}

//! The relay after a day of downtime: it was up to date, is down while a day's events are written, and starts again.

use super::{BUDGET, bus, publishing_alone};
use crate::rebuild::{EVENTS_PER_REQUEST, fill, rate};
use crate::{Failed, say};
use async_nats::HeaderValue;
use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use audit::{Relay, RelaySettings};
use domain::LogId;
use event_log::{EventLog, Position};
use futures::TryStreamExt as _;
use messaging::{EVENTS_STREAM, OutgoingBus};
use service_runtime::clock::{SystemClock, SystemEntropy};
use std::sync::Arc;
use std::time::Duration;
use test_servers::nats::NatsServer;
use tokio::time::{Instant, sleep};

/// A day's events. The design says how many there are in all (100 million), and nothing of a day: this is a fifth of what the bus
/// keeps, which is meant to be some days of a large organisation.
const EVENTS_A_DAY: u64 = 2_000_000;
/// What was relayed before, so that it begins where it was, and not with an empty bus.
const REQUESTS_BEFORE: u64 = 1_000;
/// How often it is looked whether all is relayed; short beside what is measured.
const LOOK: Duration = Duration::from_millis(20);

pub(super) async fn run(server: &NatsServer, log: &Arc<dyn EventLog>, log_id: LogId) -> Result<(), Failed> {
    let bus = bus(server).await?;
    fill(log, 0..REQUESTS_BEFORE).await?;
    relay_all(log, log_id, &bus).await?;
    let before = bus.extent().await?.last;
    fill(log, REQUESTS_BEFORE..REQUESTS_BEFORE + EVENTS_A_DAY / EVENTS_PER_REQUEST).await?;
    let limit = publishing_alone(server, log, log_id).await?;

    let began = Instant::now();
    relay_all(log, log_id, &bus).await?;
    let took = began.elapsed();
    let relayed = bus.extent().await?.last - before;
    let per_second = rate(relayed, began);
    say(&format!(
        "down for a day: {relayed} events caught up in {:.0} s: {per_second:.0}/s, {:.2} of publishing alone; \
         budget: {BUDGET}",
        took.as_secs_f64(),
        per_second / limit
    ));
    let told = in_order(server, log, &bus).await?;
    say(&format!("the bus has all {told} events of the log, each once, in its order"));
    Ok(())
}

/// One relay, from its start until the bus has the whole log. Always the same replica, as one process on one log is.
async fn relay_all(log: &Arc<dyn EventLog>, log_id: LogId, bus: &Arc<dyn OutgoingBus>) -> Result<(), Failed> {
    let settings = RelaySettings { replica: Some("bench".to_owned()), ..RelaySettings::default() };
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
    let relay = Relay::new(Arc::clone(log), log_id, Arc::clone(bus), clock, entropy, settings);
    let relaying = tokio::spawn(relay.run(std::future::pending()));
    let done = until_caught_up(log, bus).await;
    relaying.abort();
    // Gone before another one starts.
    let _ = relaying.await;
    done
}

async fn until_caught_up(log: &Arc<dyn EventLog>, bus: &Arc<dyn OutgoingBus>) -> Result<(), Failed> {
    loop {
        sleep(LOOK).await;
        let last = bus.extent().await?.last;
        if last == 0 {
            continue;
        }
        let origin = bus.message(last).await?.and_then(|message| message.origin);
        let head = log.head().await?;
        if origin.is_some_and(|origin| Position(origin.position) >= head) {
            return Ok(());
        }
    }
}

/// Whether the bus has each event of the log once, in the log's order, and nothing else. Gives back how many.
async fn in_order(
    server: &NatsServer,
    log: &Arc<dyn EventLog>,
    bus: &Arc<dyn OutgoingBus>,
) -> Result<u64, Failed> {
    let there = bus.extent().await?.last;
    let context = async_nats::jetstream::new(async_nats::connect(server.url()).await?);
    let stream = context.get_stream(EVENTS_STREAM).await?;
    let consumer = stream.create_consumer(OrderedConfig { headers_only: true, ..OrderedConfig::default() });
    let mut told = consumer.await?.messages().await?;
    let mut written = log.read_all(Position::START);
    let mut count = 0;
    while let Some(recorded) = written.try_next().await? {
        // Whoever waits for one that does not come waits for ever.
        if count == there {
            return Err("the bus lacks events of the log".into());
        }
        let message = told.try_next().await?.ok_or("the bus ended")?;
        let headers = message.headers.as_ref();
        let id = headers.and_then(|headers| headers.get_last(NATS_MESSAGE_ID)).map(HeaderValue::as_str);
        if id != Some(recorded.envelope.event_id.to_string().as_str()) {
            return Err(format!("message {} is out of order: {id:?}", count + 1).into());
        }
        count += 1;
    }
    if count != there {
        return Err("the bus has more than the log".into());
    }
    Ok(count)
}

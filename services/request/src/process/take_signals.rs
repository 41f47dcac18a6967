//! Takes signals from the bus: each is recorded, and only then gone from there. One that is not believed is parked with the
//! reason, and those after it come.
//!
//! INVARIANT: a message is done once the log has its signal or the bus has it parked. Until then it is tried again and no later
//! one is taken, so that a source's signals are recorded in the order in which it told them.
//! INVARIANT: nothing is remembered here. Every replica may do it at once: a signal has one id, however often it comes.

use crate::RequestService;
use crate::meters::SignalMeters;
use crate::signal::from_bus::{self, FromBus, Times};
use crate::signal::ingest::{Ingested, Telling};
use domain::{SignedDuration, Timestamp};
use messaging::{BusError, Incoming, IncomingBus, Message, REPLAY_PREFIX};
use std::pin::pin;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use views::refusal;

/// The first pause after a fault; doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Characters of a reason that travel with a parked message.
const WHY_CHARS_MAX: usize = 300;

/// How often it is measured how long a signal has waited.
const MEASURED_EVERY: Duration = Duration::from_secs(5);

/// Why a message waits.
#[derive(Debug, thiserror::Error)]
enum HeldUp {
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error("{}", .0.message())]
    Service(Box<Status>),
}

/// Does it until `shutdown`. May be dropped anywhere.
pub(crate) async fn run(service: &RequestService, bus: &dyn IncomingBus, shutdown: &CancellationToken) {
    let meters = SignalMeters::new(&service.meter);
    let waiting_since = |since: Timestamp| meters.lag(service.views.clock.now().duration_since(since));
    let work = async {
        let began = service.views.clock.now();
        // Who is meant is told from what was recorded before.
        measured(|| waiting_since(began), service.views.requests.projection().caught_up()).await;
        let mut pause = PAUSE_MIN;
        let mut unheard_since = None;
        loop {
            match bus.next().await {
                Ok(None) => {
                    unheard_since = None;
                    meters.lag(SignedDuration::ZERO);
                }
                Ok(Some(incoming)) => {
                    unheard_since = None;
                    let read_at = service.views.clock.now();
                    let seen_to = Box::pin(async {
                        while let Err(why) = see_to(service, bus, &meters, (&incoming, read_at)).await {
                            held_up(&mut pause, &why).await;
                        }
                    });
                    measured(|| waiting_since(incoming.message.sent_at), seen_to).await;
                    pause = PAUSE_MIN;
                }
                // Whether a signal waits cannot be told: as if one did.
                Err(error) => {
                    waiting_since(*unheard_since.get_or_insert_with(|| service.views.clock.now()));
                    held_up(&mut pause, &error.into()).await;
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = shutdown.cancelled() => {}
        () = work => {}
    }
}

/// Does `work`, and measures now and then how long it has been waited for.
async fn measured(wait: impl Fn(), work: impl Future<Output = ()>) {
    let mut work = pin!(work);
    loop {
        wait();
        tokio::select! {
            biased;
            () = &mut work => return,
            () = tokio::time::sleep(MEASURED_EVERY) => {}
        }
    }
}

async fn held_up(pause: &mut Duration, why: &HeldUp) {
    tracing::warn!(%why, "signals from the bus are held up");
    tokio::time::sleep(*pause).await;
    *pause = (*pause * 2).min(PAUSE_MAX);
}

async fn see_to(
    service: &RequestService,
    bus: &dyn IncomingBus,
    meters: &SignalMeters,
    (incoming, read_at): (&Incoming, Timestamp),
) -> Result<(), HeldUp> {
    let message = &incoming.message;
    match message.subject.strip_prefix(REPLAY_PREFIX) {
        None => take_or_park(service, bus, meters, (incoming, message, read_at)).await?,
        Some(number) => {
            let number = number.parse().unwrap_or(0);
            if let Some(parked) = bus.find(number).await? {
                let again = (incoming, &parked.message, parked.read_at);
                take_or_park(service, bus, meters, again).await?;
                bus.remove(number).await?;
            }
        }
    }
    Ok(bus.done(incoming).await?)
}

/// Has `message`, which `incoming` brought or asked for, recorded or parked.
async fn take_or_park(
    service: &RequestService,
    bus: &dyn IncomingBus,
    meters: &SignalMeters,
    (incoming, message, read_at): (&Incoming, &Message, Timestamp),
) -> Result<(), HeldUp> {
    // Now, at each attempt: a clock that was behind may be right by now.
    let times = Times { read_at, brought_at: incoming.message.sent_at, now: service.views.clock.latest() };
    let status = match take(service, message, times).await {
        Ok(ingested) => {
            tracing::info!(signal = ingested.id, "a signal from the bus is recorded");
            return Ok(());
        }
        Err(status) if matches!(status.code(), Code::Unavailable | Code::Aborted) => {
            return Err(HeldUp::Service(Box::new(status)));
        }
        Err(status) => status,
    };
    let reason = refusal::reason_of(&status).unwrap_or_default();
    bus.park(incoming, message, &why(&reason, &status), read_at).await?;
    meters.parked(&reason);
    tracing::warn!(reason, subject = message.subject, "a message from the bus is not believed: it is parked");
    Ok(())
}

async fn take(service: &RequestService, message: &Message, times: Times) -> Result<Ingested, Status> {
    let FromBus { source, told, told_at, now, actor } = from_bus::read(&service.sources, message, times)?;
    let telling = Telling { source, actor, trace: None, at: told_at, now };
    // What is to be raised and could not be is tried again from the log.
    service.ingest(&told, telling).await.map_err(refusal::command)
}

/// The reason and its words, in one line that fits a header.
fn why(reason: &str, status: &Status) -> String {
    let text = format!("{reason}: {}", status.message());
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(WHY_CHARS_MAX).collect()
}

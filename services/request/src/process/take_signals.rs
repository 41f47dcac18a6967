//! Takes signals from the bus: each is recorded, and only then gone from there. One that is not believed is parked with the
//! reason, and those after it come.
//!
//! INVARIANT: a message is done once the log has its signal or the bus has it parked. Until then it is tried again and no later
//! one is taken, so that a source's signals are recorded in the order in which it told them.
//! INVARIANT: no signal waits long for a key that it does not need. What needs one, a request that is to be raised, is parked while
//! only the key store does not work; whatever ends access needs none.
//! INVARIANT: nothing is remembered here but for how long to wait. Every replica may do it at once: a signal has one id, however often
//! it comes.

use crate::RequestService;
use crate::meters::SignalMeters;
use crate::signal::from_bus::{self, FromBus, Times};
use crate::signal::ingest::{Ingested, Telling};
use crate::status::Refused;
use domain::{SignedDuration, Timestamp};
use messaging::{BusError, Incoming, IncomingBus, Message, REPLAY_PREFIX};
use std::pin::pin;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use views::refusal::{self, Refusal as _};

/// The first pause after a fault; doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// How long what needs the key store waits for it, and whatever is behind it: a new leader of its bucket takes seconds. The next one does
/// not wait anew.
const KEYS_WITHIN: Duration = Duration::from_secs(30);

/// What could not use the key store for so long after another is in an outage of its own, and waits anew.
const OUTAGES_APART: Duration = Duration::from_mins(1);

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
        let mut taker = Taker { service, bus, meters: &meters, keyless: None };
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
                        while let Err(why) = taker.see_to(&incoming, read_at).await {
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

/// What sees to messages, one after the other.
struct Taker<'a> {
    service: &'a RequestService,
    bus: &'a dyn IncomingBus,
    meters: &'a SignalMeters,
    /// Since when whatever has needed the key store could not use it, and when that was last.
    keyless: Option<(Instant, Instant)>,
}

impl Taker<'_> {
    async fn see_to(&mut self, incoming: &Incoming, read_at: Timestamp) -> Result<(), HeldUp> {
        let message = &incoming.message;
        match message.subject.strip_prefix(REPLAY_PREFIX) {
            None => self.take_or_park(incoming, message, read_at).await?,
            Some(number) => {
                let number = number.parse().unwrap_or(0);
                if let Some(parked) = self.bus.find(number).await? {
                    self.take_or_park(incoming, &parked.message, parked.read_at).await?;
                    self.bus.remove(number).await?;
                }
            }
        }
        Ok(self.bus.done(incoming).await?)
    }

    /// Has `message`, which `incoming` brought or asked for, recorded or parked.
    async fn take_or_park(
        &mut self,
        incoming: &Incoming,
        message: &Message,
        read_at: Timestamp,
    ) -> Result<(), HeldUp> {
        // Now, at each attempt: a clock that was behind may be right by now.
        let now = self.service.views.clock.latest();
        let times = Times { read_at, brought_at: incoming.message.sent_at, now };
        let status = match take(self.service, message, times).await {
            Ok(ingested) => {
                if ingested.raised.is_some() {
                    self.keyless = None;
                }
                tracing::info!(signal = ingested.id, "a signal from the bus is recorded");
                return Ok(());
            }
            Err(status) => status,
        };
        let reason = refusal::reason_of(&status).unwrap_or_default();
        let passes = matches!(status.code(), Code::Unavailable | Code::Aborted);
        let for_keys = reason == Refused::KeyStore.reason().1;
        if passes && !(for_keys && self.goes_on_without_keys().await) {
            return Err(HeldUp::Service(Box::new(status)));
        }
        self.bus.park(incoming, message, &why(&reason, &status), read_at).await?;
        self.meters.parked(&reason);
        tracing::warn!(
            reason,
            subject = message.subject,
            "a message from the bus is not believed: it is parked"
        );
        Ok(())
    }

    /// Whether what needs a key is not waited for any longer: the key store has had its time, and the log works, so that others could
    /// be recorded meanwhile.
    async fn goes_on_without_keys(&mut self) -> bool {
        let outage = self.keyless.filter(|(_, last)| last.elapsed() < OUTAGES_APART);
        let since = outage.map_or_else(Instant::now, |(since, _)| since);
        self.keyless = Some((since, Instant::now()));
        since.elapsed() >= KEYS_WITHIN && self.service.views.log.head().await.is_ok()
    }
}

async fn take(service: &RequestService, message: &Message, times: Times) -> Result<Ingested, Status> {
    let FromBus { source, told, told_at, now, actor } = from_bus::read(&service.sources, message, times)?;
    let telling = Telling { source, actor, trace: None, at: told_at, now };
    // What is to be raised and could not be is tried again from the log.
    service.ingest(&told, &telling).await.map_err(refusal::command)
}

/// The reason and its words, in one line that fits a header.
fn why(reason: &str, status: &Status) -> String {
    let text = format!("{reason}: {}", status.message());
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(WHY_CHARS_MAX).collect()
}

//! Publishes every event of the log for others, as CloudEvents on the bus, in the log's order.
//!
//! Where to go on is told by the bus itself: its last message says which event of the log it is about. Each message is published
//! right after the one before it or not at all, so however many relays think that it is their turn, nothing is left out, and
//! nothing comes twice or out of order; whoever is overtaken looks again. At least once: a bus that was lost is filled anew.
//!
//! - `place`: where to go on. - `duty`: whose turn it is, so that replicas do not do the same work in vain.
//!
//! INVARIANT: nothing of Daypass waits for the bus, and nothing but this place is read from it. A bus that is down delays.

mod duty;
mod place;

use crate::AuditService;
use crate::meters::RelayMeters;
use crate::public;
use command::{CommandError, Commander, LoadError};
use domain::ports::{SharedClock, SharedEntropy};
use domain::{LogId, SignedDuration, Timestamp, hex};
use duty::Shift;
use event_log::{EventLog, EventStream, LogError, Position};
use futures::future::{Either, select};
use futures::{FutureExt as _, StreamExt as _};
use journal::{Event, Service, Stream};
use lifecycle::Rejection;
use messaging::{BusError, OutgoingBus, OutgoingMessage, PublishError};
use opentelemetry::metrics::Meter;
use place::Place;
use projection::Item;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::sleep;

/// Events on their way at a time: enough that the bus never waits for the log.
const BATCH_EVENTS_MAX: usize = 4_096;
/// Bytes of events on their way; bounds memory when events are large.
const BATCH_BYTES_MAX: usize = 8 << 20;
/// The first pause after a fault; doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// How a relay works.
#[derive(Clone, Debug)]
pub struct RelaySettings {
    /// This replica's name among those on one log; `None`: a new one.
    pub replica: Option<String>,
    /// How long events may wait under one replica before another takes over.
    pub patience: SignedDuration,
}

impl Default for RelaySettings {
    fn default() -> Self {
        Self { replica: None, patience: SignedDuration::from_secs(5) }
    }
}

/// One relay.
pub struct Relay {
    log: Arc<dyn EventLog>,
    log_id: LogId,
    bus: Arc<dyn OutgoingBus>,
    commander: Commander,
    clock: SharedClock,
    entropy: SharedEntropy,
    shift: Shift,
    meters: RelayMeters,
    /// Since when the oldest event waits that is not on the bus, as far as it is known; after a start, since then.
    waiting_since: Mutex<Option<Timestamp>>,
}

/// Why a relay looks again.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("the log ended its subscription")]
    Ended,
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error("somebody else published")]
    Overtaken,
    #[error("a CloudEvent cannot be written: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the duty cannot be looked at: {0}")]
    Duty(#[from] LoadError),
    #[error("the duty cannot be taken: {0}")]
    Claim(CommandError<Rejection>),
}

impl From<PublishError> for Fault {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Overtaken => Self::Overtaken,
            PublishError::Bus(error) => Self::Bus(error),
        }
    }
}

/// Events that are next to each other in the log, as messages.
struct Batch {
    messages: Vec<OutgoingMessage>,
    /// When the first of them happened.
    oldest: Option<Timestamp>,
    /// When the last of them happened.
    newest: Option<Timestamp>,
    /// The place of the last of them in the log.
    reached: Position,
    /// Whether the duty changed hands among them.
    hands_change: bool,
    bytes: usize,
}

impl AuditService {
    /// A relay of the log to a bus. The caller runs it for as long as the service lives.
    pub fn relay(&self, bus: Arc<dyn OutgoingBus>, settings: RelaySettings) -> Relay {
        let views = &self.views;
        let (log, clock, entropy) = (views.log.clone(), views.clock.clone(), views.entropy.clone());
        Relay::new(log, views.log_id, bus, clock, entropy, settings)
    }
}

impl Relay {
    /// A relay of `log`, whose id is `log_id`.
    pub fn new(
        log: Arc<dyn EventLog>,
        log_id: LogId,
        bus: Arc<dyn OutgoingBus>,
        clock: SharedClock,
        entropy: SharedEntropy,
        settings: RelaySettings,
    ) -> Self {
        let replica = settings.replica.unwrap_or_else(|| {
            let mut chance = [0_u8; 8];
            entropy.fill(&mut chance);
            hex(&chance)
        });
        Self {
            commander: Commander::new(Arc::clone(&log), Service::Audit, Arc::clone(&clock)),
            log,
            log_id,
            bus,
            clock,
            entropy,
            shift: Shift::new(replica, settings.patience),
            meters: RelayMeters::of_process(),
            waiting_since: Mutex::default(),
        }
    }

    /// Measures by another meter than the one of the process.
    #[must_use]
    pub fn with_meter(mut self, meter: &Meter) -> Self {
        self.meters = RelayMeters::new(meter);
        self
    }

    /// Relays until `shutdown`; faults are waited out. May be dropped at any time.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let mut pause = PAUSE_MIN;
        // Until the bus says how far it has come, all that is known of events is that they may wait.
        self.note_waiting(Some(self.clock.now()));
        loop {
            let before = self.meters.published();
            let work = async {
                self.await_turn().await?;
                self.publish().await
            };
            let fault = tokio::select! {
                biased;
                () = &mut shutdown => return,
                ended = work => ended.err(),
            };
            match fault {
                // The turn is another's.
                None => pause = PAUSE_MIN,
                Some(Fault::Overtaken) => {
                    tracing::info!("somebody else published: looking again");
                    pause = PAUSE_MIN;
                }
                Some(fault) => tracing::warn!(%fault, "events for others are held up"),
            }
            if self.meters.published() != before {
                pause = PAUSE_MIN;
            }
            self.tell_lag();
            tokio::select! {
                biased;
                () = &mut shutdown => return,
                () = sleep(pause) => {}
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// From where the bus ends, until the turn is another's or something goes wrong.
    async fn publish(&self) -> Result<(), Fault> {
        let Place { mut last, position } = self.look().await?;
        // Up to here events wait, whether they are read yet or not.
        let mut head = self.log.head().await?;
        let mut is_behind = position < head;
        if !is_behind {
            // Whatever was thought to wait is there: its answer was lost, or nobody could be asked.
            self.note_waiting(None);
            self.tell_lag();
        }
        let events = self.log.subscribe(position);
        let mut reading = self.read(events).boxed();
        loop {
            let (batch, events) = reading.await?;
            let Batch { messages, oldest, newest, reached, hands_change, .. } = batch;
            let count = messages.len() as u64;
            self.note_waiting(oldest);
            let mut oldest_ahead = None;
            // The log is read ahead while messages are on their way.
            let ahead = self.read(events).boxed();
            let outcome = match select(self.bus.publish(last, messages), ahead).await {
                Either::Left((outcome, ahead)) => {
                    reading = ahead;
                    outcome
                }
                Either::Right((next, publishing)) => {
                    oldest_ahead = next.as_ref().ok().and_then(|(batch, _)| batch.oldest);
                    reading = std::future::ready(next).boxed();
                    publishing.await
                }
            };
            outcome?;
            last += count;
            self.meters.count(count);
            // Events came while it caught up. Whoever has caught up asks no more: what comes then is read as it comes.
            if is_behind && reached >= head {
                head = self.log.head().await?;
                is_behind = reached < head;
            }
            // What is not read yet waits no longer than since what is before it.
            self.note_waiting(oldest_ahead.or(newest.filter(|_| is_behind)));
            self.tell_lag();
            if hands_change && !self.is_ours().await? {
                return Ok(());
            }
        }
    }

    /// The next events, once there are any: what is ready, up to a bound.
    async fn read(&self, mut events: EventStream) -> Result<(Batch, EventStream), Fault> {
        let mut batch = Batch {
            messages: Vec::new(),
            oldest: None,
            newest: None,
            reached: Position::START,
            hands_change: false,
            bytes: 0,
        };
        let mut next = events.next().await;
        loop {
            let item = Item::new(next.ok_or(Fault::Ended)??);
            let message = public::message(self.log_id, &item)?;
            if let Ok(event) = &item.event {
                batch.oldest.get_or_insert(event.at);
                batch.newest = Some(event.at);
                batch.hands_change |= is_of_duty(event);
            }
            batch.reached = item.recorded.position;
            batch.bytes += message.body.len();
            batch.messages.push(message);
            if batch.messages.len() >= BATCH_EVENTS_MAX || batch.bytes >= BATCH_BYTES_MAX {
                return Ok((batch, events));
            }
            // Beyond tokio's budget of a task, which would make small batches of a backlog; bounded by the batch. A fault comes
            // again with the next read.
            next = match tokio::task::unconstrained(events.next()).now_or_never() {
                Some(Some(Ok(recorded))) => Some(Ok(recorded)),
                Some(Some(Err(error))) => {
                    let failed = futures::stream::once(std::future::ready(Err(error))).boxed();
                    return Ok((batch, failed));
                }
                Some(None) => return Ok((batch, futures::stream::empty().boxed())),
                None => return Ok((batch, events)),
            };
        }
    }

    fn waiting_since(&self) -> Option<Timestamp> {
        *self.waiting_since.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn note_waiting(&self, since: Option<Timestamp>) {
        *self.waiting_since.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = since;
    }

    /// How long the oldest event waits, for those who watch.
    fn tell_lag(&self) {
        let lag =
            self.waiting_since().map_or(SignedDuration::ZERO, |since| self.clock.now().duration_since(since));
        self.meters.lag(lag);
    }

    /// Where the log ends, and when the first event after `position` happened.
    async fn first_after(&self, position: Position) -> Result<Option<Timestamp>, Fault> {
        let Some(recorded) = self.log.read_all(position).next().await else { return Ok(None) };
        // One whose time cannot be read waits as well.
        Ok(Some(Item::new(recorded?).event.map_or_else(|_| self.clock.now(), |event| event.at)))
    }
}

fn is_of_duty(event: &Event) -> bool {
    matches!(&event.stream, Stream::Duty(name) if name == duty::DUTY)
}

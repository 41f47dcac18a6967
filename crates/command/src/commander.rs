//! The loop: load, decide, append; look again where someone else was first.

use crate::append::append;
use crate::history::{catch_up, event_at, name_of};
use crate::{Aggregate, CommandError, LoadError, Loaded, LogSource, Remembered, StateSource};
use domain::ports::SharedClock;
use domain::{Actor, EventId, Timestamp};
use event_log::{AppendError, Envelope, EventLog, Expected, Position, Revision, StreamName, Writer};
use jiff::{RoundMode, TimestampRound, Unit};
use journal::{Event, Fact, Service, Stream};
use std::sync::Arc;

/// How often a command is decided before it gives way. Each time, someone else's event was written: the log makes progress.
const TRIES_MAX: usize = 10;

/// Carries out commands of one service. Clones share everything.
#[derive(Clone)]
pub struct Commander {
    log: Arc<dyn EventLog>,
    service: Service,
    clock: SharedClock,
    source: Arc<dyn StateSource>,
}

/// What a command is, beside its decision.
#[derive(Clone, Debug)]
pub struct Command {
    /// The id that the event will have. Derives from the command, so that a retry through any replica is the same event.
    pub event_id: EventId,
    /// Who commands; `None`: the service itself.
    pub actor: Option<Actor>,
    /// HMAC of the command's content: another command under the same id is told by it.
    pub digest: Option<[u8; 32]>,
    /// The W3C traceparent of the call.
    pub trace: Option<String>,
}

/// A command that was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome<S> {
    /// The event, as it is in the log.
    pub event: Event,
    /// Its ordinal in its stream.
    pub revision: Revision,
    /// Its place in the log, for read models to be waited for.
    pub position: Position,
    /// Whether the command had been carried out before this call.
    pub repeated: bool,
    /// The stream's state as this call knows it: with this event, and perhaps later ones if it is a repeat.
    pub state: Option<S>,
}

/// A stream that a command is about, while it is carried out.
struct Attempt<'a, S> {
    stream: &'a Stream,
    name: StreamName,
    loaded: Arc<Loaded<S>>,
    /// Whether `loaded` may be behind the log.
    behind: bool,
    /// The event that was last tried.
    tried: Option<Event>,
}

impl Commander {
    /// Carries out commands of `service` on `log`. Every state comes from the log; see [`with_source`](Self::with_source).
    pub fn new(log: Arc<dyn EventLog>, service: Service, clock: SharedClock) -> Self {
        Self { log, service, clock, source: Arc::new(LogSource) }
    }

    /// The same, remembering states in `source`.
    #[must_use]
    pub fn with_source(self, source: Arc<dyn StateSource>) -> Self {
        Self { source, ..self }
    }

    /// The log that commands are written to.
    pub fn log(&self) -> &Arc<dyn EventLog> {
        &self.log
    }

    /// A stream with everything that the log holds of it at the time of the call.
    pub async fn load<A: Aggregate>(&self, stream: &Stream) -> Result<Arc<Loaded<A::State>>, LoadError> {
        let remembered = self.recall::<A>(stream).unwrap_or_default();
        self.refresh::<A>(stream, &name_of(stream)?, remembered).await
    }

    /// Decides, and writes what was decided: exactly one event, however often the command is given.
    ///
    /// `decide` gets the stream and the time of the event that it may make, `max(now, last event)`; it may be called several
    /// times, on states that may be behind. Its last answer counts.
    pub async fn execute<A: Aggregate, R>(
        &self,
        stream: Stream,
        command: Command,
        mut decide: impl FnMut(&Loaded<A::State>, Timestamp) -> Result<Fact, R>,
    ) -> Result<Outcome<A::State>, CommandError<R>> {
        self.execute_async::<A, R, _>(stream, command, |loaded, at| std::future::ready(decide(&loaded, at)))
            .await
    }

    /// [`execute`](Self::execute) for a decision that needs facts fetched for each try (the policy as it stands, a directory).
    pub async fn execute_async<A: Aggregate, R, Deciding>(
        &self,
        stream: Stream,
        command: Command,
        decide: impl FnMut(Arc<Loaded<A::State>>, Timestamp) -> Deciding,
    ) -> Result<Outcome<A::State>, CommandError<R>>
    where
        Deciding: Future<Output = Result<Fact, R>>,
    {
        let attempt = self.begin::<A>(&stream).await?;
        self.carry_out::<A, R, _>(attempt, command, decide).await
    }

    /// [`execute_async`](Self::execute_async) for a command that begins its stream. A stream of which nothing is remembered is
    /// not read: it counts as empty until the append, or a refusal, has the log say otherwise.
    pub async fn execute_first<A: Aggregate, R, Deciding>(
        &self,
        stream: Stream,
        command: Command,
        decide: impl FnMut(Arc<Loaded<A::State>>, Timestamp) -> Deciding,
    ) -> Result<Outcome<A::State>, CommandError<R>>
    where
        Deciding: Future<Output = Result<Fact, R>>,
    {
        let loaded = self.recall::<A>(&stream).unwrap_or_default();
        let name = name_of(&stream).map_err(LoadError::from)?;
        let attempt = Attempt { stream: &stream, name, loaded, behind: true, tried: None };
        self.carry_out::<A, R, _>(attempt, command, decide).await
    }

    async fn carry_out<A: Aggregate, R, Deciding>(
        &self,
        mut attempt: Attempt<'_, A::State>,
        command: Command,
        mut decide: impl FnMut(Arc<Loaded<A::State>>, Timestamp) -> Deciding,
    ) -> Result<Outcome<A::State>, CommandError<R>>
    where
        Deciding: Future<Output = Result<Fact, R>>,
    {
        let mut tries = 0;
        while tries < TRIES_MAX {
            if let Some(outcome) = self.known::<A, R>(&mut attempt, &command).await? {
                return Ok(outcome);
            }
            let at = self.time_of_next(attempt.loaded.last_at);
            let fact = match decide(attempt.loaded.clone(), at).await {
                Ok(fact) => fact,
                Err(_) if attempt.behind => {
                    self.look_again::<A>(&mut attempt).await?;
                    continue;
                }
                Err(rejection) => return Err(CommandError::Refused(rejection)),
            };
            let event = self.event(&attempt, &command, at, fact)?;
            if let Some(outcome) = self.write::<A, R>(&mut attempt, event).await? {
                return Ok(outcome);
            }
            tries += 1;
            self.look_again::<A>(&mut attempt).await?;
        }
        Err(CommandError::Contended)
    }

    async fn begin<'a, A: Aggregate>(&self, stream: &'a Stream) -> Result<Attempt<'a, A::State>, LoadError> {
        let name = name_of(stream)?;
        let (loaded, behind) = match self.recall::<A>(stream) {
            Some(remembered) => (remembered, true),
            None => (self.refresh::<A>(stream, &name, Arc::default()).await?, false),
        };
        Ok(Attempt { stream, name, loaded, behind, tried: None })
    }

    async fn look_again<A: Aggregate>(&self, attempt: &mut Attempt<'_, A::State>) -> Result<(), LoadError> {
        attempt.loaded = self.refresh::<A>(attempt.stream, &attempt.name, attempt.loaded.clone()).await?;
        attempt.behind = false;
        Ok(())
    }

    /// The outcome, if the stream holds the command's event already.
    async fn known<A: Aggregate, R>(
        &self,
        attempt: &mut Attempt<'_, A::State>,
        command: &Command,
    ) -> Result<Option<Outcome<A::State>>, CommandError<R>> {
        if attempt.behind && attempt.loaded.commands.contains_key(&command.event_id) {
            self.look_again::<A>(attempt).await?;
        }
        let Some(known) = attempt.loaded.commands.get(&command.event_id).copied() else { return Ok(None) };
        if known.digest != command.digest {
            return Err(CommandError::KeyReused);
        }
        let event = event_at(self.log.as_ref(), &attempt.name, known.revision).await?;
        Ok(Some(Outcome {
            repeated: attempt.tried.as_ref() != Some(&event),
            event,
            revision: known.revision,
            position: known.position,
            state: attempt.loaded.state.clone(),
        }))
    }

    /// Appends the event. `None`: someone else was first, look again.
    async fn write<A: Aggregate, R>(
        &self,
        attempt: &mut Attempt<'_, A::State>,
        event: Event,
    ) -> Result<Option<Outcome<A::State>>, CommandError<R>> {
        let expected = Expected::after(attempt.loaded.revision);
        let envelope = Envelope {
            event_id: *event.id.as_uuid(),
            writer: Writer::new(event.writer.as_str())
                .map_err(|_| CommandError::NotOurs { type_name: journal::types::type_name(&event.fact) })?,
            body: journal::encode(&event).into(),
        };
        let answer = append(self.log.as_ref(), &attempt.name, expected, envelope).await;
        let appended = match answer.result {
            Ok(appended) => appended,
            Err(AppendError::Conflict { .. }) => {
                attempt.tried = Some(event);
                return Ok(None);
            }
            Err(AppendError::IdTaken) => return self.taken::<A, R>(attempt, event).await,
            Err(AppendError::TooLarge { bytes }) => return Err(CommandError::TooLarge { bytes }),
            Err(AppendError::Unknown(why)) => return Err(CommandError::Unknown(why)),
            Err(AppendError::Unavailable(why)) => {
                // A stream that is damaged takes nothing either. Whoever has not read it would say for ever that trying again may help.
                if attempt.behind {
                    self.look_again::<A>(attempt).await?;
                }
                return Err(CommandError::Unavailable(why));
            }
        };
        let repeated = appended.repeated && !answer.lost_before;
        let (revision, position) = (appended.revision, appended.position);
        if revision != expected.revision_of_next() {
            // Written long before, further back: what was loaded lacked it.
            self.look_again::<A>(attempt).await?;
            return Ok(Some(Outcome {
                event,
                revision,
                position,
                repeated,
                state: attempt.loaded.state.clone(),
            }));
        }
        let mut loaded = Arc::unwrap_or_clone(attempt.loaded.clone());
        loaded.push::<A>(&event, revision, position);
        let state = loaded.state.clone();
        self.keep(attempt.stream, &Arc::new(loaded));
        Ok(Some(Outcome { event, revision, position, repeated, state }))
    }

    /// Another event has this id: the same command through another replica, in this stream; else the key was used for
    /// something else (in another stream, where a log still compares ids over all of them).
    async fn taken<A: Aggregate, R>(
        &self,
        attempt: &mut Attempt<'_, A::State>,
        event: Event,
    ) -> Result<Option<Outcome<A::State>>, CommandError<R>> {
        self.look_again::<A>(attempt).await?;
        if attempt.loaded.commands.contains_key(&event.id) { Ok(None) } else { Err(CommandError::KeyReused) }
    }

    fn event<S, R>(
        &self,
        attempt: &Attempt<'_, S>,
        command: &Command,
        at: Timestamp,
        fact: Fact,
    ) -> Result<Event, CommandError<R>> {
        let type_name = journal::types::type_name(&fact);
        if !self.service.owns(type_name)
            || !self.service.writes_to(attempt.stream)
            || !attempt.stream.holds(type_name)
        {
            tracing::error!(stream = %attempt.stream, type_name, service = %self.service, "a decision that nobody may write");
            return Err(CommandError::NotOurs { type_name });
        }
        Ok(Event {
            id: command.event_id,
            stream: attempt.stream.clone(),
            at,
            writer: self.service,
            actor: command.actor.clone(),
            previous: attempt.loaded.last_event,
            trace: command.trace.clone(),
            command_digest: command.digest,
            fact,
        })
    }

    /// Whole milliseconds, as events are stored; never before the last event, whatever the clock says.
    fn time_of_next(&self, last_at: Option<Timestamp>) -> Timestamp {
        let now = self.clock.now();
        let round = TimestampRound::new().smallest(Unit::Millisecond).mode(RoundMode::Floor);
        let now = now.round(round).unwrap_or(now);
        last_at.map_or(now, |last| last.max(now))
    }

    fn recall<A: Aggregate>(&self, stream: &Stream) -> Option<Arc<Loaded<A::State>>> {
        self.source.recall(stream)?.loaded.downcast().ok()
    }

    fn keep<S: Send + Sync + 'static>(&self, stream: &Stream, loaded: &Arc<Loaded<S>>) {
        if let Some(revision) = loaded.revision {
            self.source.keep(stream, Remembered { revision, loaded: loaded.clone() });
        }
    }

    async fn refresh<A: Aggregate>(
        &self,
        stream: &Stream,
        name: &StreamName,
        mut loaded: Arc<Loaded<A::State>>,
    ) -> Result<Arc<Loaded<A::State>>, LoadError> {
        let mut later = Arc::unwrap_or_clone(loaded.clone());
        if catch_up::<A>(self.log.as_ref(), name, &mut later).await? > 0 {
            loaded = Arc::new(later);
            self.keep(stream, &loaded);
        }
        Ok(loaded)
    }
}

impl std::fmt::Debug for Commander {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Commander({})", self.service)
    }
}

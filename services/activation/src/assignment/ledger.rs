//! Reading and writing the ledger of one assignment.

use crate::agenda::key_of;
use crate::core::Core;
use crate::fault::Fault;
use command::aggregate::AssignmentAggregate;
use command::{Command, CommandError, LoadError, Loaded};
use domain::{EventId, Timestamp};
use event_log::{Position, Revision, StreamName};
use futures::TryStreamExt as _;
use journal::{Event, Fact, Stream};
use lifecycle::assignment::{self, AssignmentEvent, AssignmentKey, Ledger, Operation, Presence};
use lifecycle::state::Phase;
use lifecycle::{Rejection, Request};
use service_runtime::trace;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// An event that was written.
#[derive(Debug)]
pub(crate) struct Written {
    /// Its id.
    pub(super) id: EventId,
    /// Its time.
    pub(super) at: Timestamp,
    /// Its place in the log.
    pub(super) position: Position,
    /// What it says.
    pub(crate) event: AssignmentEvent,
}

/// Why nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotWritten {
    /// The ledger has moved on since it was looked at.
    #[error("the ledger has moved on")]
    Moved,
    /// The decider said no.
    #[error(transparent)]
    Refused(#[from] Rejection),
}

/// What became of an attempt.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// The call was not made.
    Abandoned,
    /// Confirmed or observed.
    Confirmed,
    /// Refused, or without effect.
    Failed {
        /// AWS's word for it.
        reason: String,
        /// Whether it certainly has and will have no effect.
        definite: bool,
    },
}

impl Core {
    pub(crate) async fn ledger(&self, key: &AssignmentKey) -> Result<Arc<Loaded<Ledger>>, Fault> {
        Ok(self.readable_ledger(key).await?)
    }

    /// The same; a ledger that cannot be read to its end is told apart.
    pub(crate) async fn readable_ledger(
        &self,
        key: &AssignmentKey,
    ) -> Result<Arc<Loaded<Ledger>>, LoadError> {
        let loaded = self.commander.load::<AssignmentAggregate>(&Stream::assignment(key)).await?;
        let last_at = loaded.state.as_ref().map_or(Timestamp::MIN, |ledger| ledger.last_at);
        self.agenda.note_dated(key, loaded.revision, last_at, self.now());
        Ok(loaded)
    }

    /// The same; `None`: it cannot be read to its end.
    pub(crate) async fn ledger_unless_corrupt(
        &self,
        key: &AssignmentKey,
    ) -> Result<Option<Arc<Loaded<Ledger>>>, Fault> {
        match self.readable_ledger(key).await {
            Ok(loaded) => Ok(Some(loaded)),
            Err(LoadError::Corrupt(_)) => Ok(None),
            Err(unavailable @ LoadError::Unavailable(_)) => Err(unavailable.into()),
        }
    }

    /// Writes what `decide` says of a ledger that must still be at `seen`. The event's id is new by chance: two replicas that
    /// come to the same decision must not take each other's event for their own.
    pub(crate) async fn write(
        &self,
        key: &AssignmentKey,
        seen: Option<Revision>,
        decide: impl Fn(Option<&Ledger>, Timestamp) -> Result<AssignmentEvent, Rejection>,
    ) -> Result<Result<Written, NotWritten>, Fault> {
        let mut chance = [0_u8; 16];
        self.views.entropy.fill(&mut chance);
        let event_id = EventId::from_parts([b"assignment".as_slice(), chance.as_slice()]);
        self.execute(key, event_id, |loaded, at| {
            if loaded.revision != seen {
                return Err(NotWritten::Moved);
            }
            Ok(decide(loaded.state.as_ref(), at)?)
        })
        .await
    }

    /// Writes what became of an attempt. Whoever is first says it; that it has been said is no fault.
    pub(super) async fn conclude(
        &self,
        key: &AssignmentKey,
        attempt: EventId,
        outcome: Outcome,
    ) -> Result<(), Fault> {
        let event_id = EventId::from_parts([b"assignment outcome".as_slice(), attempt.as_bytes().as_slice()]);
        let written = self
            .execute(key, event_id, |loaded, _| {
                let ledger = loaded.state.as_ref().ok_or(Rejection::NoSuchAttempt)?;
                Ok(match outcome.clone() {
                    Outcome::Abandoned => assignment::abandon(ledger, attempt)?,
                    Outcome::Confirmed => assignment::confirm(ledger, attempt)?,
                    Outcome::Failed { reason, definite } => {
                        assignment::fail(ledger, attempt, reason, definite)?
                    }
                })
            })
            .await?;
        if let Err(overtaken) = written {
            tracing::debug!(%attempt, %overtaken, "concluded by another");
        }
        Ok(())
    }

    async fn execute(
        &self,
        key: &AssignmentKey,
        event_id: EventId,
        mut decide: impl FnMut(&Loaded<Ledger>, Timestamp) -> Result<AssignmentEvent, NotWritten>,
    ) -> Result<Result<Written, NotWritten>, Fault> {
        let trace = trace::context_of(&tracing::Span::current());
        let command = Command { event_id, actor: None, digest: None, trace };
        let outcome = self
            .commander
            .execute::<AssignmentAggregate, NotWritten>(Stream::assignment(key), command, |loaded, at| {
                decide(loaded, at).map(Fact::Assignment)
            })
            .await;
        match outcome {
            Ok(outcome) => match outcome.event.fact {
                Fact::Assignment(event) => Ok(Ok(Written {
                    id: outcome.event.id,
                    at: outcome.event.at,
                    position: outcome.position,
                    event,
                })),
                Fact::Request(_)
                | Fact::Denial(_)
                | Fact::Policy(_)
                | Fact::Duty(_)
                | Fact::Signal(_)
                | Fact::Person(_)
                | Fact::Log(_) => Err(Fault::Log("a ledger holds an event of another kind".to_owned())),
            },
            Err(CommandError::Refused(refused)) => Ok(Err(refused)),
            Err(error) => Err(Fault::of_command(&error)),
        }
    }

    /// Every event of a ledger, oldest first.
    pub(crate) async fn ledger_events(&self, key: &AssignmentKey) -> Result<Vec<Event>, Fault> {
        let events = self.placed_events(&Stream::assignment(key)).await?;
        Ok(events.into_iter().map(|(_, event)| event).collect())
    }

    /// Every event of a stream with its place in the log, oldest first.
    pub(crate) async fn placed_events(&self, stream: &Stream) -> Result<Vec<(Position, Event)>, Fault> {
        let log_fault = |error: &dyn std::fmt::Display| Fault::Log(error.to_string());
        let name: StreamName = stream.to_string().parse().map_err(|error| log_fault(&error))?;
        let mut stored = self.views.log.read_stream(&name, None);
        let mut events = Vec::new();
        while let Some(recorded) = stored.try_next().await.map_err(|error| log_fault(&error))? {
            let envelope = &recorded.envelope;
            let event = journal::decode_recorded(
                name.as_str(),
                &envelope.event_id,
                envelope.writer.as_str(),
                &envelope.body,
            );
            events.push((recorded.position, event.map_err(|error| log_fault(&error))?));
        }
        Ok(events)
    }

    /// When the assignment of an ended request was gone: its removal was confirmed first after the end, or someone else had
    /// removed it. `None`: not yet, or nobody knows.
    pub(crate) async fn gone_at(&self, request: &Request) -> Result<Option<Timestamp>, Fault> {
        let Phase::Ended { at: ended_at, active, .. } = &request.phase else { return Ok(None) };
        let Some(key) = key_of(request) else { return Ok(None) };
        let events = self.ledger_events(&key).await?;
        // What was never seen may have been on its way.
        let missing = || absent_since(&events).filter(|_| active.is_some());
        let Some(removed_at) = removed_at(&events, *ended_at) else { return Ok(missing()) };
        Ok(match settled_absent_since(&events, *ended_at) {
            // What appeared again after its removal was there until the next.
            Some(at) => Some(at.max(removed_at)),
            // It is there again.
            None if made_at(&events).is_some() => None,
            None => Some(removed_at),
        })
    }
}

/// Since when this has failed without success in between; `None`: it has not.
pub(crate) fn failing_since(events: &[Event], failing: Operation) -> Option<Timestamp> {
    let mut operations = BTreeMap::new();
    let mut since = None;
    for (event, fact) in facts(events) {
        match fact {
            AssignmentEvent::Attempted { operation, .. } => {
                operations.insert(event.id, *operation);
            }
            AssignmentEvent::Failed { attempt, .. } => {
                if operations.get(attempt) == Some(&failing) {
                    since = since.or(Some(event.at));
                }
            }
            AssignmentEvent::Confirmed { .. }
            | AssignmentEvent::StandingFound { .. }
            | AssignmentEvent::DriftFound { .. }
            | AssignmentEvent::Adopted { .. }
            | AssignmentEvent::Abandoned { .. } => since = None,
            AssignmentEvent::AttemptAbandoned { .. } | AssignmentEvent::AbandonAsked { .. } => {}
        }
    }
    since
}

/// Whether a removal was confirmed at or after `since`.
pub(super) fn removed_since(events: &[Event], since: Timestamp) -> bool {
    removed_at(events, since).is_some()
}

/// When a removal was confirmed first at or after `since`.
pub(crate) fn removed_at(events: &[Event], since: Timestamp) -> Option<Timestamp> {
    let mut operations = BTreeMap::new();
    facts(events)
        .find(|(event, fact)| match fact {
            AssignmentEvent::Attempted { operation, .. } => {
                operations.insert(event.id, *operation);
                false
            }
            AssignmentEvent::Confirmed { attempt } => {
                event.at >= since && operations.get(attempt) == Some(&Operation::Delete)
            }
            AssignmentEvent::AttemptAbandoned { .. }
            | AssignmentEvent::Failed { .. }
            | AssignmentEvent::StandingFound { .. }
            | AssignmentEvent::DriftFound { .. }
            | AssignmentEvent::Adopted { .. }
            | AssignmentEvent::AbandonAsked { .. }
            | AssignmentEvent::Abandoned { .. } => false,
        })
        .map(|(event, _)| event.at)
}

/// Whether an assignment was made by a creation that was intended at or after `since`, or may have been: it was neither given up nor
/// definitely refused, nor was nothing found after its fence.
pub(crate) fn may_have_made(events: &[Event], since: Timestamp) -> bool {
    let mut creations = BTreeSet::new();
    for (event, fact) in facts(events) {
        match fact {
            AssignmentEvent::Attempted { operation: Operation::Create, .. } if event.at >= since => {
                creations.insert(event.id);
            }
            AssignmentEvent::AttemptAbandoned { attempt }
            | AssignmentEvent::Failed { attempt, definite: true, .. } => {
                creations.remove(attempt);
            }
            AssignmentEvent::Confirmed { attempt } if creations.contains(attempt) => return true,
            // What appears after a creation of unknown outcome is its doing.
            AssignmentEvent::StandingFound { .. }
            | AssignmentEvent::DriftFound { present: true }
            | AssignmentEvent::Adopted { .. }
                if !creations.is_empty() =>
            {
                return true;
            }
            AssignmentEvent::DriftFound { present: false } => creations.clear(),
            AssignmentEvent::Attempted { .. }
            | AssignmentEvent::Confirmed { .. }
            | AssignmentEvent::Failed { .. }
            | AssignmentEvent::StandingFound { .. }
            | AssignmentEvent::DriftFound { .. }
            | AssignmentEvent::Adopted { .. }
            | AssignmentEvent::AbandonAsked { .. }
            | AssignmentEvent::Abandoned { .. } => {}
        }
    }
    !creations.is_empty()
}

/// When what is there by our doing was intended: by the latest creation before it was confirmed, or appeared. `None`: nothing is, or it was
/// adopted, so made for nobody.
pub(super) fn made_at(events: &[Event]) -> Option<Timestamp> {
    let (mut ledger, mut created_at, mut made_at) = (None::<Ledger>, None, None);
    for (event, fact) in facts(events) {
        if let AssignmentEvent::Attempted { operation: Operation::Create, .. } = fact {
            created_at = Some(event.at);
        }
        let was_ours = ledger.as_ref().is_some_and(|ledger| ledger.presence == Presence::Ours);
        ledger = Ledger::evolve(ledger, fact, event.id, event.at);
        let is_ours = ledger.as_ref().is_some_and(|ledger| ledger.presence == Presence::Ours);
        if matches!(fact, AssignmentEvent::Adopted { .. }) || !is_ours {
            made_at = None;
        } else if !was_ours {
            made_at = created_at;
        }
    }
    made_at
}

/// Since when an assignment counts as absent.
pub(crate) fn absent_since(events: &[Event]) -> Option<Timestamp> {
    let (mut ledger, mut since) = (None, None);
    for (event, fact) in facts(events) {
        ledger = Ledger::evolve(ledger, fact, event.id, event.at);
        let absent = ledger.as_ref().is_some_and(|ledger| ledger.presence == Presence::Absent);
        since = absent.then(|| since.unwrap_or(event.at));
    }
    since
}

/// When an assignment was gone for good first after `since`: what was still on its way then has appeared and is removed as well, or
/// cannot appear any more. `None`: not yet.
pub(crate) fn settled_absent_since(events: &[Event], since: Timestamp) -> Option<Timestamp> {
    let (mut ledger, mut absent) = (None::<Ledger>, None);
    for (event, fact) in facts(events) {
        ledger = Ledger::evolve(ledger, fact, event.id, event.at);
        let Some(ledger) = &ledger else { continue };
        let before = absent;
        absent = (ledger.presence == Presence::Absent).then(|| absent.unwrap_or(event.at));
        // What stands there since is someone else's.
        if let Some(at) = absent.or(before)
            && since <= event.at
            && ledger.is_settled_absent()
        {
            return Some(at.max(since));
        }
    }
    // We have removed it by a clock that was behind the one of `since`.
    absent.filter(|_| ledger.is_some_and(|ledger| ledger.is_settled_absent())).map(|at| at.max(since))
}

/// Whether the latest that happened is that others' was found to be gone: nothing of ours can be on its way.
pub(super) fn others_went(events: &[Event]) -> bool {
    let (mut ledger, mut went) = (None::<Ledger>, false);
    for (event, fact) in facts(events) {
        let stood = ledger.as_ref().is_some_and(|ledger| ledger.presence == Presence::Standing);
        went = stood && matches!(fact, AssignmentEvent::DriftFound { present: false });
        ledger = Ledger::evolve(ledger, fact, event.id, event.at);
    }
    went
}

/// Whether it was given up at or after `since`.
pub(super) fn abandoned_since(events: &[Event], since: Timestamp) -> bool {
    facts(events).any(|(event, fact)| event.at >= since && matches!(fact, AssignmentEvent::Abandoned { .. }))
}

/// The events with what they say of the assignment.
pub(crate) fn facts(events: &[Event]) -> impl Iterator<Item = (&Event, &AssignmentEvent)> {
    events.iter().filter_map(|event| match &event.fact {
        Fact::Assignment(fact) => Some((event, fact)),
        Fact::Request(_)
        | Fact::Denial(_)
        | Fact::Policy(_)
        | Fact::Duty(_)
        | Fact::Signal(_)
        | Fact::Person(_)
        | Fact::Log(_) => None,
    })
}

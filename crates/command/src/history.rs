//! A stream as far as it was read: state, place, and which commands it holds already.

use crate::{Aggregate, Corrupt, LoadError};
use domain::{EventId, Timestamp};
use event_log::{EventLog, LogError, Position, Recorded, Revision, StreamName};
use futures::TryStreamExt;
use journal::{Event, Stream};
use std::collections::BTreeMap;

/// A stream as far as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded<S> {
    /// What its events add up to.
    pub state: Option<S>,
    /// The last event's ordinal; `None`: there are no events.
    pub revision: Option<Revision>,
    /// The last event's id.
    pub last_event: Option<EventId>,
    /// The last event's time. The next is not before it.
    pub last_at: Option<Timestamp>,
    /// The last event's place in the log.
    pub position: Option<Position>,
    /// Every event of the stream, so that a repeated command is recognised. Streams are short: a request has tens.
    pub commands: BTreeMap<EventId, Known>,
}

/// What is kept of an event that the stream holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The digest of the command that it came from.
    pub digest: Option<[u8; 32]>,
    /// Its ordinal.
    pub revision: Revision,
    /// Its place in the log.
    pub position: Position,
}

impl<S> Default for Loaded<S> {
    fn default() -> Self {
        Self {
            state: None,
            revision: None,
            last_event: None,
            last_at: None,
            position: None,
            commands: BTreeMap::new(),
        }
    }
}

impl<S> Loaded<S> {
    /// This, and one more event.
    pub(crate) fn push<A: Aggregate<State = S>>(
        &mut self,
        event: &Event,
        revision: Revision,
        position: Position,
    ) {
        self.state = A::evolve(self.state.take(), event);
        self.revision = Some(revision);
        self.position = Some(position);
        self.last_event = Some(event.id);
        self.last_at = Some(event.at);
        self.commands.insert(event.id, Known { digest: event.command_digest, revision, position });
    }

    /// Why `event`, found at `revision`, cannot be what follows.
    fn gap(&self, event: &Event, revision: Revision) -> Option<&'static str> {
        if revision != self.revision.map_or(Revision(0), Revision::next) {
            Some("events are missing before it")
        } else if event.previous != self.last_event {
            Some("it was decided on another history")
        } else if self.last_at.is_some_and(|last| event.at < last) {
            Some("it is from before the event that it follows")
        } else if self.commands.contains_key(&event.id) {
            // It would answer for the first one: a repeat of that command would be told of this event.
            Some("an event before it has its id")
        } else {
            None
        }
    }
}

/// The name of a stream in the log.
pub(crate) fn name_of(stream: &Stream) -> Result<StreamName, Corrupt> {
    let text = stream.to_string();
    text.parse().map_err(|_| Corrupt { stream: text, revision: None, why: "it has no valid name".to_owned() })
}

/// Adds to `loaded` what the log holds beyond it. Says how many events that were.
pub(crate) async fn catch_up<A: Aggregate>(
    log: &dyn EventLog,
    name: &StreamName,
    loaded: &mut Loaded<A::State>,
) -> Result<usize, LoadError> {
    let mut events = log.read_stream(name, loaded.revision);
    let mut added = 0;
    while let Some(recorded) = events.try_next().await.map_err(|error| unreadable(name, error))? {
        let event = decode(name, &recorded)?;
        if let Some(why) = loaded.gap(&event, recorded.revision) {
            return Err(corrupt(name, recorded.revision, why).into());
        }
        loaded.push::<A>(&event, recorded.revision, recorded.position);
        added += 1;
    }
    Ok(added)
}

/// The event of a stream at a revision where there is known to be one.
pub(crate) async fn event_at(
    log: &dyn EventLog,
    name: &StreamName,
    revision: Revision,
) -> Result<Event, LoadError> {
    let mut events = log.read_stream(name, revision.0.checked_sub(1).map(Revision));
    match events.try_next().await.map_err(|error| unreadable(name, error))? {
        Some(recorded) if recorded.revision == revision => Ok(decode(name, &recorded)?),
        Some(_) | None => Err(corrupt(name, revision, "an event that was there is gone").into()),
    }
}

fn decode(name: &StreamName, recorded: &Recorded) -> Result<Event, Corrupt> {
    if recorded.stream != *name {
        return Err(corrupt(name, recorded.revision, "it is of another stream"));
    }
    let envelope = &recorded.envelope;
    journal::decode_recorded(name.as_str(), &envelope.event_id, envelope.writer.as_str(), &envelope.body)
        .map_err(|error| corrupt(name, recorded.revision, &error.to_string()))
}

/// Pages: nobody but a person can mend history.
fn corrupt(name: &StreamName, revision: Revision, why: &str) -> Corrupt {
    tracing::error!(stream = %name, revision = revision.0, why, "history cannot be relied on: the stream is quarantined");
    Corrupt { stream: name.to_string(), revision: Some(revision), why: why.to_owned() }
}

fn unreadable(name: &StreamName, error: LogError) -> LoadError {
    match error {
        LogError::Unavailable(why) | LogError::Unsafe(why) => LoadError::Unavailable(why),
        LogError::Corrupt(why) => {
            tracing::error!(stream = %name, why, "the log is damaged");
            LoadError::Corrupt(Corrupt { stream: name.to_string(), revision: None, why })
        }
    }
}

//! What of a log another log can hold: every stream from its first event on, as far as its events follow one another.
//!
//! Whoever has the rights can put what is no event among events, and nobody may delete it. It has no place in its stream, so no log
//! takes it, and readers set its stream aside. Nor does a log take an id twice, which a message in the place of an event can have: whoever
//! copies finds that out. Such a stream ends before it here; all others are whole.

use crate::places::Places;
use domain::ports::Entropy;
use event_log::{BODY_BYTES_MAX, EventLog, EventStream, Expected, LogError, Position, Recorded, StreamName};
use futures::TryStreamExt as _;
use std::collections::BTreeMap;

/// Where a stream ends early, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Of what stands in its way.
    pub position: Position,
    /// What it is.
    pub why: Why,
}

/// What it is that stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It has no place in its stream.
    NoEvent,
    /// The log has its id from an event before it.
    IdTwice,
}

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = match self.why {
            Why::NoEvent => "is no event of it",
            Why::IdTwice => "has the id of an event before it",
        };
        write!(f, "what is at position {} {what}", self.position.0)
    }
}

/// The events of a log that another log can hold, in order.
pub(crate) struct Histories {
    events: EventStream,
    places: Places,
    cut_short: BTreeMap<StreamName, Cut>,
}

impl Histories {
    /// Those of `log`, from the beginning.
    pub(crate) fn of(log: &dyn EventLog, entropy: &dyn Entropy) -> Self {
        let events = log.read_all(Position::START);
        Self { events, places: Places::new(entropy), cut_short: BTreeMap::new() }
    }

    /// The next event; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Recorded>, LogError> {
        while let Some(event) = self.events.try_next().await? {
            if self.cut_short.contains_key(&event.stream) {
                continue;
            }
            let expected = Expected::after(self.places.last(&event.stream));
            if event.revision == expected.revision_of_next() && event.envelope.body.len() <= BODY_BYTES_MAX {
                self.places.set_last(&event.stream, event.revision);
                return Ok(Some(event));
            }
            let cut = Cut { position: event.position, why: Why::NoEvent };
            self.cut_short.insert(event.stream, cut);
        }
        Ok(None)
    }

    /// Ends the stream of `event`, which came last, before it: its id is that of an event before it.
    pub(crate) fn end_before(&mut self, event: &Recorded) {
        let cut = Cut { position: event.position, why: Why::IdTwice };
        self.cut_short.insert(event.stream.clone(), cut);
    }

    /// The streams that end early; all of them after the last event.
    pub(crate) fn into_cut_short(self) -> BTreeMap<StreamName, Cut> {
        self.cut_short
    }
}

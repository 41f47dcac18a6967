//! What of a log another log can hold: every stream from its first event on, as far as its events follow one another.
//!
//! Whoever has the rights can put what is no event among events, and nobody may delete it. It has no place in its stream, so no log
//! takes it, and readers set its stream aside. Such a stream ends before it here; all others are whole.

use event_log::{
    BODY_BYTES_MAX, EventLog, EventStream, Expected, LogError, Position, Recorded, Revision, StreamName,
};
use futures::TryStreamExt as _;
use std::collections::BTreeMap;

/// The events of a log that another log can hold, in order.
pub(super) struct Histories {
    events: EventStream,
    last: BTreeMap<StreamName, Revision>,
    cut_short: BTreeMap<StreamName, Position>,
}

impl Histories {
    /// Those of `log`, from the beginning.
    pub(super) fn of(log: &dyn EventLog) -> Self {
        let events = log.read_all(Position::START);
        Self { events, last: BTreeMap::new(), cut_short: BTreeMap::new() }
    }

    /// The next event; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Recorded>, LogError> {
        while let Some(event) = self.events.try_next().await? {
            if self.cut_short.contains_key(&event.stream) {
                continue;
            }
            let expected = Expected::after(self.last.get(&event.stream).copied());
            if event.revision == expected.revision_of_next() && event.envelope.body.len() <= BODY_BYTES_MAX {
                self.last.insert(event.stream.clone(), event.revision);
                return Ok(Some(event));
            }
            self.cut_short.insert(event.stream, event.position);
        }
        Ok(None)
    }

    /// The streams that end early, each with the position of what stands in its way; all of them after the last event.
    pub(super) fn into_cut_short(self) -> BTreeMap<StreamName, Position> {
        self.cut_short
    }
}

//! What this process remembers of streams: their events' ids and places, from the first on.
//!
//! INVARIANT: a stream is remembered as a whole prefix or not at all, and events never change, so what is remembered is true
//! for ever; it may only be short. INVARIANT: bounded by [`WEIGHT_MAX`]; the streams longest unused are forgotten.

use event_log::{Recorded, Revision, StreamName};
use std::collections::HashMap;
use uuid::Uuid;

/// What one generation may weigh, in events of 24 bytes: 6 MiB; there are two generations.
const WEIGHT_MAX: usize = 256 * 1024;
/// What a stream weighs beside its events: its name, and its place in the map.
const STREAM_WEIGHT: usize = 8;

/// Where an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) revision: Revision,
    pub(crate) sequence: u64,
}

/// Streams used lately, and those used before that.
#[derive(Default)]
pub(crate) struct Known {
    recent: HashMap<StreamName, Vec<Event>>,
    recent_weight: usize,
    older: HashMap<StreamName, Vec<Event>>,
}

#[derive(Clone, Copy)]
struct Event {
    id: Uuid,
    sequence: u64,
}

impl Known {
    /// Remembers an event, if it continues what is known of its stream, or begins it.
    pub(crate) fn note(&mut self, event: &Recorded) {
        self.note_parts(&event.stream, event.revision, event.envelope.event_id, event.position.0);
    }

    pub(crate) fn note_parts(&mut self, stream: &StreamName, revision: Revision, id: Uuid, sequence: u64) {
        let Ok(index) = usize::try_from(revision.0) else { return };
        let event = Event { id, sequence };
        if let Some(events) = self.touch(stream) {
            if events.len() != index {
                return;
            }
            events.push(event);
            self.recent_weight += 1;
        } else if index == 0 {
            self.insert(stream.clone(), vec![event]);
        }
        self.bound();
    }

    /// The last event known of a stream.
    pub(crate) fn last(&mut self, stream: &StreamName) -> Option<Place> {
        let events = self.touch(stream)?;
        place(events, events.len().checked_sub(1)?)
    }

    /// The sequence of one event.
    pub(crate) fn sequence(&mut self, stream: &StreamName, revision: Revision) -> Option<u64> {
        let index = usize::try_from(revision.0).ok()?;
        self.touch(stream)?.get(index).map(|event| event.sequence)
    }

    /// Where the event with this id is, if it is among those known.
    pub(crate) fn find(&mut self, stream: &StreamName, id: Uuid) -> Option<Place> {
        let events = self.touch(stream)?;
        // A repeat is mostly one of what was written last.
        let index = events.iter().rposition(|event| event.id == id)?;
        place(events, index)
    }

    /// A stream's events, which now count as used.
    fn touch(&mut self, stream: &StreamName) -> Option<&mut Vec<Event>> {
        if !self.recent.contains_key(stream) {
            let (name, events) = self.older.remove_entry(stream)?;
            self.insert(name, events);
            self.bound();
        }
        self.recent.get_mut(stream)
    }

    fn insert(&mut self, stream: StreamName, events: Vec<Event>) {
        self.recent_weight += STREAM_WEIGHT + events.len();
        self.recent.insert(stream, events);
    }

    fn bound(&mut self) {
        if self.recent_weight > WEIGHT_MAX && self.recent.len() > 1 {
            self.older = std::mem::take(&mut self.recent);
            self.recent_weight = 0;
        }
    }
}

fn place(events: &[Event], index: usize) -> Option<Place> {
    let sequence = events.get(index)?.sequence;
    Some(Place { revision: Revision(index as u64), sequence })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(number: usize) -> StreamName {
        StreamName::new("request", &number.to_string()).unwrap()
    }

    fn note(known: &mut Known, number: usize, revision: u64) {
        known.note_parts(
            &stream(number),
            Revision(revision),
            Uuid::from_u128(revision.into()),
            revision + 100,
        );
    }

    #[test]
    fn only_whole_prefixes_are_remembered() {
        let mut known = Known::default();
        note(&mut known, 1, 5);
        assert_eq!(known.last(&stream(1)), None, "its beginning is not known");
        note(&mut known, 1, 0);
        note(&mut known, 1, 2);
        assert_eq!(known.last(&stream(1)).unwrap().revision, Revision(0), "revision 1 is missing");
        note(&mut known, 1, 1);
        note(&mut known, 1, 0);
        assert_eq!(known.last(&stream(1)), Some(Place { revision: Revision(1), sequence: 101 }));
        assert_eq!(known.find(&stream(1), Uuid::from_u128(0)).unwrap().revision, Revision(0));
        assert_eq!(known.find(&stream(1), Uuid::from_u128(2)), None);
        assert_eq!(known.sequence(&stream(1), Revision(0)), Some(100));
    }

    #[test]
    fn what_is_used_stays_and_the_rest_is_forgotten() {
        let mut known = Known::default();
        note(&mut known, 0, 0);
        for number in 1..100_000 {
            note(&mut known, number, 0);
            assert!(known.last(&stream(0)).is_some(), "in use");
        }
        assert!(known.last(&stream(1)).is_none(), "not used for long");
        assert!(known.recent_weight <= WEIGHT_MAX + STREAM_WEIGHT + 1);
        assert!(known.recent.len() + known.older.len() < 60_000);
    }
}

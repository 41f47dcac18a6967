//! What the server holds, and what goes wrong with it.

use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use uuid::Uuid;

/// So many events are looked through between two pauses of a server that is slow.
pub(crate) const PACE_OF: usize = 200;

/// How far apart positions are, as in a file of records: nobody may count on the next one.
pub(crate) const RECORD: u64 = 137;

/// What goes wrong with the next append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It takes effect, and its answer is lost.
    AnswerLost,
    /// It takes effect, and its node stands still for longer than anybody has patience, deadlines and all.
    Frozen,
    /// It is refused before anything happens.
    Refused,
}

/// One event of `$all`.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) position: u64,
    pub(crate) stream: String,
    pub(crate) revision: u64,
    pub(crate) id: Uuid,
    pub(crate) metadata: HashMap<String, String>,
    pub(crate) custom: Bytes,
    pub(crate) data: Bytes,
}

/// An event that someone wants to append.
#[derive(Clone, Debug)]
pub(crate) struct Proposed {
    pub(crate) id: Uuid,
    pub(crate) metadata: HashMap<String, String>,
    pub(crate) custom: Bytes,
    pub(crate) data: Bytes,
}

/// What a writer expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expects {
    Any,
    Exists,
    NoStream,
    Revision(u64),
}

#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) all: Vec<Stored>,
    streams: HashMap<String, Vec<usize>>,
    pub(crate) faults: VecDeque<Fault>,
    /// Where subscriptions began, oldest first.
    pub(crate) begun_at: Vec<Option<u64>>,
    /// What subscriptions were told to have passed, oldest first.
    pub(crate) checkpoints: Vec<u64>,
    /// Events that reads of `$all` have passed over, because they were not asked for.
    pub(crate) passed_over: usize,
    /// How long it takes to look through [`PACE_OF`] events of `$all` for those that are asked for.
    pub(crate) pace: Duration,
    /// Whether events of streams come without their places in `$all`, as from servers before 22.6.
    pub(crate) before_22_6: bool,
}

impl Store {
    fn last(&self, stream: &str) -> Option<u64> {
        let places = self.streams.get(stream)?;
        u64::try_from(places.len()).ok()?.checked_sub(1)
    }

    /// The events of one stream.
    pub(crate) fn of(&self, stream: &str) -> Option<Vec<Stored>> {
        let places = self.streams.get(stream)?;
        let mut events: Vec<_> = places.iter().filter_map(|place| self.all.get(*place)).cloned().collect();
        if self.before_22_6 {
            for event in &mut events {
                event.position = u64::MAX;
            }
        }
        Some(events)
    }

    /// Whether `$all` can be read from here: an event begins here, or none does yet.
    pub(crate) fn can_begin_at(&self, position: u64) -> bool {
        let end = self.all.last().map_or(0, |event| event.position);
        position == 0 || position > end || self.all.binary_search_by_key(&position, |e| e.position).is_ok()
    }

    /// Appends one event; gives its revision and position, or the revision that the stream has instead.
    pub(crate) fn append(
        &mut self,
        stream: &str,
        expects: Expects,
        proposed: Proposed,
    ) -> Result<(u64, u64), Option<u64>> {
        let last = self.last(stream);
        let as_expected = match expects {
            Expects::Any => true,
            Expects::Exists => last.is_some(),
            Expects::NoStream => last.is_none(),
            Expects::Revision(revision) => last == Some(revision),
        };
        if !as_expected {
            let next = match expects {
                Expects::NoStream => 0,
                Expects::Revision(revision) => revision + 1,
                Expects::Any | Expects::Exists => return Err(last),
            };
            let there = self.of(stream).unwrap_or_default().into_iter().find(|event| event.revision == next);
            return there
                .filter(|event| event.id == proposed.id)
                .map(|event| (event.revision, event.position))
                .ok_or(last);
        }
        let Proposed { id, metadata, custom, data } = proposed;
        let revision = last.map_or(0, |last| last + 1);
        let position = self.all.last().map_or(0, |event| event.position) + RECORD;
        self.streams.entry(stream.to_owned()).or_default().push(self.all.len());
        self.all.push(Stored { position, stream: stream.to_owned(), revision, id, metadata, custom, data });
        Ok((revision, position))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proposed(id: u128, data: &'static str) -> Proposed {
        let data = Bytes::from_static(data.as_bytes());
        Proposed { id: Uuid::from_u128(id), metadata: HashMap::new(), custom: Bytes::new(), data }
    }

    #[test]
    fn a_repeat_next_to_the_expected_revision_is_answered_as_the_first_whatever_its_body() {
        let mut store = Store::default();
        let first = store.append("a", Expects::NoStream, proposed(1, "one"));
        store.append("a", Expects::Revision(0), proposed(2, "two")).unwrap();
        assert_eq!(store.append("a", Expects::NoStream, proposed(1, "another")), first);
        assert_eq!(store.all.len(), 2);
    }

    #[test]
    fn the_same_id_under_a_newer_revision_is_written_again() {
        let mut store = Store::default();
        store.append("a", Expects::NoStream, proposed(1, "one")).unwrap();
        assert_eq!(store.append("a", Expects::Revision(0), proposed(1, "one")), Ok((1, 2 * RECORD)));
    }

    #[test]
    fn another_id_than_the_one_that_is_there_is_a_conflict() {
        let mut store = Store::default();
        store.append("a", Expects::NoStream, proposed(1, "one")).unwrap();
        assert_eq!(store.append("a", Expects::NoStream, proposed(2, "two")), Err(Some(0)));
        assert_eq!(store.append("b", Expects::Revision(0), proposed(2, "two")), Err(None));
    }
}

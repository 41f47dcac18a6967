//! What waits for whoever has the duty, or will: by kind, and since when.
//!
//! Whoever watches goes through it part by part. A part has the latest of a kind, and as many more from where the part before it
//! ended, going round: so what nobody can do, however old and however much it is, hides nothing else for long.

use super::queue::Lane;
use super::{Agenda, State};
use domain::{AccountId, RequestId, Timestamp};
use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Included, Unbounded};

/// Since when a request waits, and which.
pub(crate) type Waiting = (Timestamp, RequestId);

/// So many places of one order are passed at a time. Others wait for the lock: a millisecond or two.
const PASSED_MAX: usize = 10_000;

/// What a request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wait {
    /// That it is recorded as over, or as closed: an event, and nothing to prove.
    End,
    /// A start that is nothing but an event; but whether it may begin is to be proven.
    Start,
    /// Something must go in one of AWS's services.
    Removal(Lane),
    /// Something must come in one of them.
    Grant(Lane),
}

impl Wait {
    /// What is done in one of AWS's services.
    pub(crate) const fn changes(lane: Lane) -> [Self; 2] {
        [Self::Removal(lane), Self::Grant(lane)]
    }

    /// Whether it is done in AWS.
    pub(super) const fn is_change(self) -> bool {
        match self {
            Self::End | Self::Start => false,
            Self::Removal(_) | Self::Grant(_) => true,
        }
    }
}

/// A part of what waits.
pub(crate) struct Part {
    /// Those that wait longest first.
    pub(crate) found: BTreeSet<Waiting>,
    /// Where the next part begins, behind this one.
    pub(crate) to: Option<Waiting>,
    /// Whether nothing is left for another part.
    pub(crate) whole: bool,
}

impl Agenda {
    /// Of what waits at `now`, those that are `wanted`, at most `limit`: half of them the latest, the others in the order in which they
    /// fell due, from `after` on and round again.
    pub(crate) fn waiting(
        &self,
        wait: Wait,
        now: Timestamp,
        after: Option<Waiting>,
        limit: usize,
        wanted: impl Fn(&Waiting) -> bool,
    ) -> Part {
        let state = self.lock();
        let mut part = Part { found: BTreeSet::new(), to: after, whole: true };
        let Some(all) = state.waits.get(&wait) else { return part };
        let last = (now, RequestId::MAX);
        let latest = all.range(..=last).rev().take(PASSED_MAX).filter(|waiting| wanted(waiting));
        part.found.extend(latest.take(limit / 2).copied());
        // A clock that was set back may have been there.
        let after = after.map(|after| after.min(last));
        let rest = all.range::<Waiting, _>((after.map_or(Unbounded, Excluded), Included(last)));
        let again = after.map(|after| all.range(..=after)).into_iter().flatten();
        for (passed, waiting) in rest.chain(again).enumerate() {
            if passed >= PASSED_MAX || part.found.len() >= limit {
                part.whole = false;
                break;
            }
            part.to = Some(*waiting);
            if wanted(waiting) {
                part.found.insert(*waiting);
            }
        }
        part
    }

    /// Whether anything waits at `now`.
    pub(crate) fn is_waiting(&self, now: Timestamp) -> bool {
        let state = self.lock();
        state.waits.values().any(|all| all.first().is_some_and(|(since, _)| *since <= now))
    }

    /// The changes of one of AWS's services in one account that wait at `now`, of each kind the latest, at most `limit`.
    pub(crate) fn changes_in(
        &self,
        lane: Lane,
        account: &AccountId,
        now: Timestamp,
        limit: usize,
    ) -> Vec<Waiting> {
        let state = self.lock();
        let mut found = Vec::new();
        for wait in Wait::changes(lane) {
            let Some(all) = state.waits.get(&wait) else { continue };
            let is_there = |(_, id): &&Waiting| {
                state.request(id).is_some_and(|request| request.raised.target.account() == account)
            };
            let due = all.range(..=(now, RequestId::MAX)).rev().take(PASSED_MAX);
            found.extend(due.filter(is_there).take(limit).copied());
        }
        found
    }
}

impl State {
    pub(super) fn note_waits(&mut self, id: RequestId, mut waits: Vec<(Wait, Timestamp)>) {
        if let Some(until) = self.waits_until(&id) {
            for (_, since) in &mut waits {
                *since = (*since).max(until);
            }
        }
        for (wait, since) in &waits {
            self.waits.entry(*wait).or_default().insert((*since, id));
        }
        self.waits_of.insert(id, waits);
    }

    pub(super) fn no_longer_waits(&mut self, id: &RequestId) {
        for (wait, since) in self.waits_of.remove(id).unwrap_or_default() {
            if let Some(waits) = self.waits.get_mut(&wait) {
                waits.remove(&(since, *id));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::given::at;
    use super::*;
    use domain::SignedDuration;

    /// An agenda in which one of these numbers waits since each of these seconds.
    fn agenda(seconds: std::ops::Range<i64>) -> Agenda {
        let agenda = Agenda::new(10, SignedDuration::ZERO);
        for second in seconds {
            agenda.lock().note_waits(id(second), vec![(Wait::End, at(second))]);
        }
        agenda
    }

    fn id(second: i64) -> RequestId {
        RequestId::from_parts([b"test".as_slice(), &second.to_be_bytes()])
    }

    fn seconds(part: &Part) -> Vec<i64> {
        part.found.iter().map(|(since, _)| since.as_second() - at(0).as_second()).collect()
    }

    #[test]
    fn what_waits_is_gone_through_in_turn_and_its_latest_are_in_each_part() {
        let agenda = agenda(0..50);
        let (mut after, mut seen) = (None, BTreeSet::new());
        for _ in 0..9 {
            let part = agenda.waiting(Wait::End, at(45), after, 10, |_| true);
            assert!(seconds(&part).ends_with(&[41, 42, 43, 44, 45]), "{:?}", seconds(&part));
            assert!(part.found.len() <= 10 && !part.whole);
            seen.extend(seconds(&part));
            after = part.to;
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), (0..=45).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_not_wanted_takes_nobodys_place() {
        let agenda = agenda(0..500);
        let (first, last) = ((at(7), id(7)), (at(490), id(490)));
        for after in [None, Some((at(100), id(100))), Some((at(9_000), id(9_000)))] {
            let part =
                agenda.waiting(Wait::End, at(500), after, 4, |waiting| [first, last].contains(waiting));
            assert_eq!(part.found, BTreeSet::from([first, last]));
            assert!(part.whole);
        }
        assert!(agenda.waiting(Wait::Start, at(500), None, 4, |_| true).found.is_empty());
    }
}

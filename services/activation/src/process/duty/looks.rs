//! What a replica without the duty remembers of due work from one look to the next.

use crate::agenda::{Lane, Wait, Waiting};
use domain::{RequestId, Timestamp};
use std::collections::BTreeMap;

/// What due work is gone through for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sought {
    /// What nobody has begun.
    Unattended,
    /// What fails whenever it is tried.
    Failing,
}

/// Why what waits is no reason to take over for now.
struct Excuse {
    /// When it was noted. To a clock that shows less, it tells nothing: it was noted by one that was ahead.
    noted_at: Timestamp,
    until: Timestamp,
}

impl Excuse {
    fn holds(&self, now: Timestamp) -> bool {
        self.noted_at <= now && now < self.until
    }
}

/// What is remembered. It is as large as what was looked at and is excused: what is excused no more is dropped with each look.
///
/// Nobody needs to drop an excuse because its request has changed: what happens to a request changes what it waits for, or leaves what
/// excuses it as it was. What happens elsewhere (to its ledger, in the directory, to its sessions) is seen when the excuse ends.
#[derive(Default)]
pub(super) struct Looks {
    /// By what is looked for, and what is waited for: what excuses a start says nothing of the same request's end.
    excuses: BTreeMap<(Sought, Wait, RequestId), Excuse>,
    /// How far each round has come.
    rounds: BTreeMap<(Sought, Wait), Waiting>,
    /// When a ledger of each of AWS's services was written last, of those that were looked at.
    wrote_at: BTreeMap<Lane, Timestamp>,
}

impl Looks {
    /// Begins a look.
    pub(super) fn begin(&mut self, now: Timestamp) {
        self.excuses.retain(|_, excuse| excuse.holds(now));
        self.wrote_at.retain(|_, at| *at <= now);
    }

    pub(super) fn excuse(
        &mut self,
        sought: Sought,
        wait: Wait,
        id: RequestId,
        now: Timestamp,
        until: Timestamp,
    ) {
        self.excuses.insert((sought, wait, id), Excuse { noted_at: now, until });
    }

    pub(super) fn is_excused(&self, sought: Sought, wait: Wait, id: &RequestId, now: Timestamp) -> bool {
        self.excuses.get(&(sought, wait, *id)).is_some_and(|excuse| excuse.holds(now))
    }

    /// Where a round goes on.
    pub(super) fn round(&self, sought: Sought, wait: Wait) -> Option<Waiting> {
        self.rounds.get(&(sought, wait)).copied()
    }

    /// A part was gone through, and nothing was found. What is found is looked at again, from the same place.
    pub(super) fn went(&mut self, sought: Sought, wait: Wait, to: Option<Waiting>) {
        if let Some(to) = to {
            self.rounds.insert((sought, wait), to);
        }
    }

    pub(super) fn note_written(&mut self, lane: Lane, at: Timestamp) {
        let wrote_at = self.wrote_at.entry(lane).or_insert(at);
        *wrote_at = at.max(*wrote_at);
    }

    pub(super) fn wrote_at(&self, lane: Lane) -> Option<Timestamp> {
        self.wrote_at.get(&lane).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_clock_that_was_ahead_has_excused_is_excused_no_more_once_it_is_set_right() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let id = RequestId::from_parts([b"test".as_slice()]);
        let mut looks = Looks::default();
        looks.excuse(Sought::Unattended, Wait::Start, id, at(7_200), at(7_210));
        looks.note_written(Lane::IdentityCenter, at(7_200));
        assert!(looks.is_excused(Sought::Unattended, Wait::Start, &id, at(7_209)));
        assert!(
            !looks.is_excused(Sought::Unattended, Wait::End, &id, at(7_209)),
            "another thing that it waits for"
        );
        assert!(!looks.is_excused(Sought::Failing, Wait::Start, &id, at(7_209)), "another question");
        for now in [0, 7_199, 7_210] {
            assert!(!looks.is_excused(Sought::Unattended, Wait::Start, &id, at(now)), "at {now}");
        }
        looks.begin(at(10));
        assert!(looks.excuses.is_empty() && looks.wrote_at(Lane::IdentityCenter).is_none());
    }
}

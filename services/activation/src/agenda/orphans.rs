//! Assignments that are ours and that no request asks for now: who sees to them, and how long they are left.

use super::{Agenda, Errand, State};
use crate::core::later;
use domain::{SignedDuration, Timestamp};
use lifecycle::Request;
use lifecycle::assignment::AssignmentKey;

impl Agenda {
    /// Whether this assignment is seen to soon without anybody's doing. `check_within` is how long what is there goes without a look.
    /// A request that begins later keeps nothing in AWS until then, and brings nobody there.
    pub(crate) fn is_seen_to(
        &self,
        key: &AssignmentKey,
        now: Timestamp,
        check_within: SignedDuration,
    ) -> bool {
        let state = self.lock();
        let begun = state.orphans.contains(key) || self.has_begun_about(&state, key, now);
        let within = if begun { check_within } else { self.ahead_of_start };
        state.queue.has_by(&Errand::Tend(key.clone()), later(now, within))
    }

    /// Whether an assignment is seen to for the sake of any request at `now`.
    pub(super) fn has_begun_about(&self, state: &State, key: &AssignmentKey, now: Timestamp) -> bool {
        let mut requests = state.keys.get(key).into_iter().flatten().filter_map(|id| state.request(id));
        requests.any(|request| self.has_begun(request, now))
    }

    /// Whether an assignment is seen to for the sake of this request already: it is closing, or approved and begins soon, or has begun.
    pub(crate) fn has_begun(&self, request: &Request, now: Timestamp) -> bool {
        request.approved().map_or_else(
            |_| request.is_closing(),
            |(grant, active)| {
                active.is_some() || later(grant.approved.window.start(), -self.ahead_of_start) <= now
            },
        )
    }

    /// Has an assignment removed now that is ours and that nobody needs, even if a request about it begins later.
    pub(crate) fn see_to_orphan(&self, key: &AssignmentKey, now: Timestamp) {
        self.lock().see_to_orphan(key, now);
    }

    /// Those of these assignments that nobody needs now, and that no request counts as left.
    pub(crate) fn unaccounted<'a>(
        &self,
        keys: impl Iterator<Item = &'a AssignmentKey>,
        now: Timestamp,
    ) -> Vec<AssignmentKey> {
        let state = self.lock();
        keys.filter(|key| !self.accounts_for(&state, key, now)).cloned().collect()
    }

    /// Whether a request may need this assignment now, or counts as left itself until that is removed.
    pub(crate) fn is_accounted_for(&self, key: &AssignmentKey, now: Timestamp) -> bool {
        self.accounts_for(&self.lock(), key, now)
    }

    /// A request whose history is damaged is never ended; once it is over, or its person has left, it accounts for nothing.
    fn accounts_for(&self, state: &State, key: &AssignmentKey, now: Timestamp) -> bool {
        let mut requests = state.keys.get(key).into_iter().flatten().filter_map(|id| state.request(id));
        requests.any(|request| {
            let over = request.window().is_none_or(|window| window.end() <= now)
                || state.is_let_go(&request.raised.id);
            request.is_closing() || (!over && self.has_begun(request, now))
        })
    }

    /// Whether it is noted of any assignment that it is left.
    pub(crate) fn has_left(&self) -> bool {
        !self.lock().left.is_empty()
    }

    /// Whether it is noted of this one.
    pub(crate) fn is_left(&self, key: &AssignmentKey) -> bool {
        self.lock().left.contains_key(key)
    }

    /// Notes that an assignment of ours is left since then, or since longer.
    pub(crate) fn note_left(&self, key: &AssignmentKey, since: Timestamp) {
        let left = Left { since, told: false };
        self.lock().left.entry(key.clone()).or_insert(left);
    }

    /// Forgets what is not left any more: it is not ours now, or a request accounts for it.
    pub(crate) fn keep_left(&self, now: Timestamp, is_ours: impl Fn(&AssignmentKey) -> bool) {
        let mut state = self.lock();
        let mut left = std::mem::take(&mut state.left);
        left.retain(|key, _| is_ours(key) && !self.accounts_for(&state, key, now));
        state.left = left;
    }

    /// Since when those are left that are for `late_after`.
    pub(crate) fn left_for(&self, now: Timestamp, late_after: SignedDuration) -> Vec<Timestamp> {
        let state = self.lock();
        let since = state.left.values().map(|left| left.since);
        since.filter(|since| now.duration_since(*since) >= late_after).collect()
    }

    /// Those of them that nobody has been told of.
    pub(crate) fn newly_left_for(&self, now: Timestamp, late_after: SignedDuration) -> Vec<AssignmentKey> {
        let mut newly = Vec::new();
        for (key, left) in &mut self.lock().left {
            if !left.told && now.duration_since(left.since) >= late_after {
                left.told = true;
                newly.push(key.clone());
            }
        }
        newly
    }
}

impl State {
    pub(super) fn see_to_orphan(&mut self, key: &AssignmentKey, now: Timestamp) {
        self.orphans.insert(key.clone());
        self.look_at(key, now);
    }

    pub(super) fn look_at(&mut self, key: &AssignmentKey, now: Timestamp) {
        if !self.keys.contains_key(key) {
            self.orphans.insert(key.clone());
        }
        self.want_look(key);
        self.schedule(Errand::Tend(key.clone()), now);
    }
}

/// An assignment that is ours, needed by nobody, and not removed.
pub(super) struct Left {
    since: Timestamp,
    /// Whether somebody was told.
    told: bool,
}

#[cfg(test)]
mod tests {
    use super::super::Next;
    use super::super::due::key_of;
    use super::super::given::{approved, at, requested};
    use super::*;
    use crate::traffic::Urgency;
    use domain::Plan;
    use std::collections::BTreeSet;

    const AHEAD: SignedDuration = SignedDuration::from_secs(2);

    /// Where its removal was found under way, nobody knows by whom, it is looked at again before anything is done.
    #[test]
    fn what_must_go_before_a_later_request_goes_before_grants_until_that_begins() {
        let agenda = Agenda::new(10, AHEAD);
        let request = later_request();
        let key = key_of(&request).unwrap();
        agenda.lock().take_up(request, at(0), AHEAD);
        agenda.see_to_orphan(&key, at(0));
        let errand = Errand::Tend(key.clone());
        for (now, again) in [(0, 30), (30, 35)] {
            assert_eq!(agenda.take_due(at(now)), std::slice::from_ref(&errand));
            assert_eq!(agenda.urgency(&key), Urgency::Removal);
            agenda.done(&errand, &Next::At(at(again)), at(now), |_| SignedDuration::ZERO);
            assert_eq!(agenda.urgency(&key), Urgency::Removal, "not gone yet");
            assert!(agenda.is_seen_to(&key, at(now), SignedDuration::from_secs(60)));
        }
        assert_eq!(agenda.take_due(at(35)), std::slice::from_ref(&errand));
        agenda.done(&errand, &Next::At(at(998)), at(36), |_| SignedDuration::ZERO);
        assert_eq!(agenda.urgency(&key), Urgency::Look, "gone: what comes next is the grant");
        assert_eq!(agenda.take_due(at(998)), [errand]);
    }

    /// No request brings it up again.
    #[test]
    fn what_is_found_to_be_ours_while_its_errand_comes_to_an_end_is_seen_to_again() {
        let agenda = Agenda::new(10, AHEAD);
        let key = key_of(&later_request()).unwrap();
        let errand = Errand::Tend(key.clone());
        agenda.see_to_orphan(&key, at(0));
        assert_eq!(agenda.take_due(at(0)), std::slice::from_ref(&errand));
        agenda.see_to_orphan(&key, at(1));
        agenda.done(&errand, &Next::Idle, at(2), |_| SignedDuration::ZERO);
        assert_eq!(agenda.take_due(at(2)), std::slice::from_ref(&errand), "by what is known now");
        agenda.see_to_orphan(&key, at(9));
        agenda.done(&errand, &Next::Idle, at(3), |_| SignedDuration::ZERO);
        assert_eq!(agenda.take_due(at(9)), std::slice::from_ref(&errand), "by a clock that was ahead");
        agenda.done(&errand, &Next::Idle, at(10), |_| SignedDuration::ZERO);
        assert!(!agenda.has(&key), "and nothing was heard since");
        assert!(agenda.lock().notes.is_empty(), "nothing is noted of what is nobody's");
    }

    /// Approved, for a window that begins at 1,000.
    fn later_request() -> Request {
        approved(requested(1, 1, BTreeSet::new(), Plan::none()), 1_000, 4_600)
    }
}

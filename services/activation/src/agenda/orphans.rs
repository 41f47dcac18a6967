//! Assignments that are ours and that no request asks for now: who sees to them.

use super::{Agenda, Errand};
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
        let mut requests = state.keys.get(key).into_iter().flatten().filter_map(|id| state.requests.get(id));
        let begun = state.orphans.contains(key) || requests.any(|request| self.has_begun(request, now));
        let within = if begun { check_within } else { self.ahead_of_start };
        state.queue.has_by(&Errand::Tend(key.clone()), later(now, within))
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
        self.lock().orphans.insert(key.clone());
        self.look_at(key, now);
    }
}

//! What is due when: every unfinished request, the assignments that they are about, and the errands that follow.
//!
//! Filled from the read model (`fill`), what is due first, then change by change; so a wake-up costs what has changed, not what
//! there is.
//! INVARIANT: nothing here is decided by. It says when to look; deciders look at the log.

mod approved;
mod due;
mod estimate;
mod fill;
#[cfg(test)]
mod given;
mod notes;
mod orphans;
mod queue;
mod waits;

use crate::core::later;
use crate::traffic::{Turn, Urgency};
use domain::{AccountId, RequestId, SignedDuration, Timestamp};
pub(crate) use due::{key_of, never_begun};
use estimate::Completions;
use event_log::Position;
pub(crate) use fill::Extent;
use fill::Filling;
use lifecycle::Request;
use lifecycle::assignment::AssignmentKey;
use lifecycle::state::{Closure, Phase};
pub(crate) use notes::Look;
use notes::{KeyNotes, RequestNotes};
use orphans::Left;
pub(crate) use queue::Lane;
use queue::{Class, Queue};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
pub(crate) use waits::{Part, Wait, Waiting};

/// The longest sleep: clocks jump.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// The shortest sleep.
const SLEEP_MIN: Duration = Duration::from_millis(1);

/// A piece of work.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Errand {
    /// See to one request.
    Attend(RequestId),
    /// See to one assignment.
    Tend(AssignmentKey),
}

/// When an errand is to be done again.
#[derive(Debug)]
pub(crate) enum Next {
    /// When something changes.
    Idle,
    /// At this instant.
    At(Timestamp),
    /// After a wait that grows with each failure.
    Failed,
    /// In the place that it had, after what is more urgent.
    GaveWay,
}

#[derive(Default)]
struct State {
    /// The latest time that our clock has shown.
    newest_now: Timestamp,
    /// Up to where changes have been taken up; `None`: never filled.
    cursor: Option<Position>,
    /// How far what did not change has been; `None`: all of it.
    filling: Option<Filling>,
    requests: BTreeMap<RequestId, Arc<Request>>,
    /// The approved of them, by when they end.
    approved: BTreeSet<(Timestamp, RequestId)>,
    keys: BTreeMap<AssignmentKey, BTreeSet<RequestId>>,
    closing: BTreeSet<RequestId>,
    queue: Queue,
    /// What waits for someone, or will, by kind and since when.
    waits: BTreeMap<Wait, BTreeSet<Waiting>>,
    /// The same by request.
    waits_of: BTreeMap<RequestId, Vec<(Wait, Timestamp)>>,
    /// When whoever has the duty was last seen to be alive.
    sign_of_life: Option<Timestamp>,
    /// When something came of each of AWS's services last, as requests tell it.
    came_of_aws_at: BTreeMap<Lane, Timestamp>,
    completions: BTreeMap<Lane, Completions>,
    /// How many times a look was wanted, of any assignment: by no clock, for those are set back.
    looks_wanted: u64,
    /// What is remembered of assignments, and of requests.
    notes: BTreeMap<AssignmentKey, KeyNotes>,
    request_notes: BTreeMap<RequestId, RequestNotes>,
    /// Requests whose person has left, and which no event can end, because their history cannot be read.
    let_go: BTreeSet<RequestId>,
    /// Assignments that are seen to although no request is about them, or none that has begun.
    orphans: BTreeSet<AssignmentKey>,
    /// Those that are ours, needed by nobody, and not removed.
    left: BTreeMap<AssignmentKey, Left>,
}

/// The agenda. Interior locks are held for moments.
pub(crate) struct Agenda {
    /// How many changes Identity Center makes at a time.
    outstanding_max: usize,
    /// How long before a start its assignment is seen to.
    ahead_of_start: SignedDuration,
    state: Mutex<State>,
    /// Whether everything is taken up, once filling has begun.
    whole: watch::Sender<bool>,
}

impl Agenda {
    pub(crate) fn new(outstanding_max: usize, ahead_of_start: SignedDuration) -> Self {
        Self { outstanding_max, ahead_of_start, state: Mutex::default(), whole: watch::Sender::new(true) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One unfinished request.
    pub(crate) fn request(&self, id: &RequestId) -> Option<Request> {
        self.lock().request(id).cloned()
    }

    /// The unfinished requests about one assignment, by id.
    pub(crate) fn requests_of(&self, key: &AssignmentKey) -> Vec<Request> {
        let state = self.lock();
        let ids = state.keys.get(key).into_iter().flatten();
        ids.filter_map(|id| state.request(id).cloned()).collect()
    }

    /// The ended requests that are not closed.
    pub(crate) fn closing(&self) -> Vec<Request> {
        let state = self.lock();
        state.closing.iter().filter_map(|id| state.request(id).cloned()).collect()
    }

    /// Those of them in one account.
    pub(crate) fn closing_in(&self, account: &AccountId) -> Vec<Request> {
        let in_account = |request: &Request| request.raised.target.account() == account;
        self.closing().into_iter().filter(in_account).collect()
    }

    /// Has a request and its assignment seen to now: something that nothing else tells of has changed.
    pub(crate) fn see_again(&self, id: &RequestId, now: Timestamp) {
        let mut state = self.lock();
        let Some(request) = state.request(id) else { return };
        let key = key_of(request);
        state.schedule(Errand::Attend(*id), now);
        if let Some(key) = key {
            state.schedule(Errand::Tend(key), now);
        }
    }

    /// The assignments that requests are about.
    pub(crate) fn keys(&self) -> Vec<AssignmentKey> {
        self.lock().keys.keys().cloned().collect()
    }

    /// Assignments of active requests, in their order, at most `limit` of those `after` one.
    pub(crate) fn active_after(
        &self,
        after: Option<&AssignmentKey>,
        now: Timestamp,
        limit: usize,
    ) -> Vec<AssignmentKey> {
        let state = self.lock();
        let active = |ids: &BTreeSet<RequestId>| ids.iter().any(|id| state.has_active(id, now));
        let keys = state.keys.range::<AssignmentKey, _>((after.map_or(Unbounded, Excluded), Unbounded));
        keys.filter(|(_, ids)| active(ids)).take(limit).map(|(key, _)| key.clone()).collect()
    }

    /// Whether an active request is about this assignment.
    pub(crate) fn is_active(&self, key: &AssignmentKey, now: Timestamp) -> bool {
        let state = self.lock();
        state.keys.get(key).into_iter().flatten().any(|id| state.has_active(id, now))
    }

    /// Whether a request is about this assignment, or it is seen to although none is.
    pub(crate) fn has(&self, key: &AssignmentKey) -> bool {
        self.lock().is_known(&Errand::Tend(key.clone()))
    }

    /// Has an assignment looked at in AWS now, whether or not a request is about it. What was asked of AWS before does not count.
    pub(crate) fn look_at(&self, key: &AssignmentKey, now: Timestamp) {
        self.lock().look_at(key, now);
    }

    /// Ended requests of which something may be left in AWS although they ended `late_after` ago.
    pub(crate) fn overdue(&self, now: Timestamp, late_after: SignedDuration) -> Vec<RequestId> {
        let state = self.lock();
        let late = |request: &&Request| {
            let gone = state.is_absent(request, now) || state.is_gone(&request.raised.id);
            state.is_late(request, now, late_after) && !gone
        };
        let closing = state.closing.iter().filter_map(|id| state.request(id));
        closing.filter(late).map(|request| request.raised.id).collect()
    }

    /// The assignments of requests that ended `late_after` ago, whether or not something of them is there.
    pub(crate) fn late(&self, now: Timestamp, late_after: SignedDuration) -> BTreeSet<AssignmentKey> {
        let state = self.lock();
        let closing = state.closing.iter().filter_map(|id| state.request(id));
        closing.filter(|request| state.is_late(request, now, late_after)).filter_map(key_of).collect()
    }

    /// Since when the oldest of what is closing is over.
    pub(crate) fn oldest_end(&self, overdue: &[RequestId]) -> Option<Timestamp> {
        let state = self.lock();
        let ended = overdue.iter().filter_map(|id| match &state.request(id)?.phase {
            Phase::Ended { at, .. } => Some(*at),
            Phase::Pending | Phase::Approved { .. } | Phase::Expired { .. } | Phase::Rejected { .. } => None,
        });
        ended.min()
    }

    /// Those of the overdue that nobody has been told of.
    pub(crate) fn newly_overdue(&self, now: Timestamp, late_after: SignedDuration) -> Vec<RequestId> {
        let overdue = self.overdue(now, late_after);
        let mut state = self.lock();
        let mut is_new = |id: &RequestId| !std::mem::replace(&mut state.note_of(*id).paged, true);
        overdue.into_iter().filter(|id| is_new(id)).collect()
    }

    /// What is due and may begin now; it counts as running until [`done`](Self::done).
    pub(crate) fn take_due(&self, now: Timestamp) -> Vec<Errand> {
        self.lock().queue.take_due(now, self.outstanding_max)
    }

    /// Whether something may begin at `by`, or before.
    pub(crate) fn has_due(&self, by: Timestamp) -> bool {
        self.lock().queue.has_due(by)
    }

    /// Whether something is due or under way that is more than a check.
    pub(crate) fn is_pressed(&self, now: Timestamp) -> bool {
        self.lock().queue.is_pressed(now)
    }

    /// When whoever has the duty was last seen to be alive, by what became of requests.
    pub(crate) fn sign_of_life(&self) -> Option<Timestamp> {
        self.lock().sign_of_life
    }

    /// When whoever had the duty was last seen to get something done in one of AWS's services, by what became of requests.
    pub(crate) fn came_of_aws_at(&self, lane: Lane) -> Option<Timestamp> {
        self.lock().came_of_aws_at.get(&lane).copied()
    }

    /// Whose turn it is among equally urgent changes: see [`Turn`].
    pub(crate) fn turn(&self, key: &AssignmentKey) -> Turn {
        let state = self.lock();
        let waits = state.keys.get(key).into_iter().flatten().filter_map(|id| state.waits_of.get(id));
        let changes = waits.flatten().filter(|(wait, _)| wait.is_change());
        let since = changes.map(|(_, since)| since.as_second()).min().unwrap_or(i64::MAX);
        (since, Reverse(state.queue.backlog_in(key.target.account())))
    }

    /// How urgent it is to look at an assignment.
    pub(crate) fn urgency(&self, key: &AssignmentKey) -> Urgency {
        match self.lock().class_of(&Errand::Tend(key.clone())) {
            Class::Removal => Urgency::Removal,
            Class::Grant | Class::Look => Urgency::Look,
            Class::Story | Class::Check => Urgency::Check,
        }
    }

    /// Whether tending an assignment with this urgency keeps something from beginning that is more urgent, and due.
    pub(crate) fn holds_up(&self, key: &AssignmentKey, urgency: Urgency, now: Timestamp) -> bool {
        let (state, errand) = (self.lock(), Errand::Tend(key.clone()));
        let class = match urgency {
            Urgency::Removal => return false,
            Urgency::Look if state.class_of(&errand) == Class::Look => Class::Look,
            Urgency::Grant | Urgency::Look => Class::Grant,
            Urgency::Status | Urgency::Check => Class::Check,
        };
        state.queue.holds_up(&errand, class, now, self.outstanding_max)
    }

    /// How long to sleep when nothing else happens.
    pub(crate) fn sleep(&self, now: Timestamp) -> Duration {
        let next = self.lock().queue.next_after(now);
        let until = next.and_then(|at| Duration::try_from(at.duration_since(now)).ok());
        until.unwrap_or(SLEEP_MAX).clamp(SLEEP_MIN, SLEEP_MAX)
    }

    /// An errand is over. `wait` is asked for the pause after this many failures in a row.
    pub(crate) fn done(
        &self,
        errand: &Errand,
        next: &Next,
        now: Timestamp,
        wait: impl FnOnce(u32) -> SignedDuration,
    ) {
        let mut state = self.lock();
        let due_at = state.queue.finish(errand);
        if let Errand::Tend(key) = errand {
            // Something was heard of it since it began, and may be news to it. Without a request nothing but that brings it up again.
            let again = state.queue.due_at(errand);
            let is_due_again = again.is_some_and(|at| at <= now || !state.keys.contains_key(key));
            let over = match next {
                Next::Idle => true,
                // Until a request brings it up itself, what must go stays what must go.
                Next::At(at) => self.has_begun_about(&state, key, *at),
                Next::Failed | Next::GaveWay => false,
            };
            if over && !is_due_again {
                state.orphans.remove(key);
            }
        }
        if !state.is_known(errand) {
            if let Errand::Tend(key) = errand {
                state.notes.remove(key);
            }
            return state.queue.drop(errand);
        }
        let at = match next {
            Next::Idle => {
                state.queue.succeeded(errand);
                None
            }
            Next::At(at) => {
                state.queue.succeeded(errand);
                Some(*at)
            }
            Next::GaveWay => Some(due_at.unwrap_or(now)),
            Next::Failed => {
                // What happened in the meantime has reset the failures, and is no reason to try again without any wait.
                state.queue.unschedule(errand);
                let failures = state.queue.failed(errand);
                Some(later(now, wait(failures)))
            }
        };
        if let Some(at) = at {
            state.schedule(errand.clone(), at);
        }
    }

    /// Whether a request about this assignment, which has no access yet, begins after `now` and by `until`, and AWS has a place for
    /// everything that waits then.
    pub(crate) fn starts_unqueued(&self, key: &AssignmentKey, now: Timestamp, until: Timestamp) -> bool {
        let state = self.lock();
        let requests = state.keys.get(key).into_iter().flatten().filter_map(|id| state.request(id));
        let starts = requests.filter_map(|request| match request.approved() {
            Ok((grant, None)) => Some(grant.approved.window.start()),
            Ok((_, Some(_))) | Err(_) => None,
        });
        let first = starts.filter(|start| now < *start && *start <= until).min();
        let lane = Lane::of(key);
        let places = lane.places(self.outstanding_max);
        first.is_some_and(|start| state.changes_waiting(lane, start, places.saturating_add(1)) <= places)
    }
}

impl State {
    fn request(&self, id: &RequestId) -> Option<&Request> {
        self.requests.get(id).map(Arc::as_ref)
    }

    fn has_active(&self, id: &RequestId, now: Timestamp) -> bool {
        self.request(id).is_some_and(|request| {
            request.is_live(now) && request.approved().is_ok_and(|(_, active)| active.is_some())
        })
    }

    /// Something happened to a request: who has the duty is alive, and perhaps AWS has done something.
    fn note_change(&mut self, request: &Request, now: Timestamp, outstanding_max: usize) {
        // By a clock that is ahead, it may be dated later.
        self.sign_of_life = self.sign_of_life.max(due::sign_of_life(request).map(|at| at.min(now)));
        let Some(lane) = key_of(request).as_ref().map(Lane::of) else { return };
        if let Some(at) = due::came_of_aws(request).map(|at| at.min(now)) {
            let came_at = self.came_of_aws_at.entry(lane).or_insert(at);
            *came_at = at.max(*came_at);
        }
        if let Some(at) = due::changed_in_aws(request) {
            let places = lane.places(outstanding_max);
            let waiting = self.changes_waiting(lane, now, places);
            let completions = self.completions.entry(lane).or_default();
            if waiting < places {
                // AWS waits for us: how fast it is cannot be told.
                completions.clear();
            } else {
                completions.add(request.raised.id, at);
            }
        }
    }

    fn take_up(&mut self, request: Request, now: Timestamp, ahead: SignedDuration) {
        let id = request.raised.id;
        let closing = request.is_closing();
        if !closing && request.approved().is_err() {
            return self.forget(id);
        }
        if closing {
            self.closing.insert(id);
        }
        if request.approved().is_ok_and(|(_, active)| active.is_some()) {
            // Whatever it was, it stands in the way no more.
            if let Some(notes) = self.request_notes.get_mut(&id) {
                notes.obstacle = None;
            }
        }
        if let Some(notes) = self.request_notes.get_mut(&id) {
            // It may be told of what it is now.
            notes.outdated_until = None;
        }
        let attend_at = due::attend_at(&request, now);
        let tend_at = due::tend_at(&request, now, ahead);
        let key = key_of(&request);
        self.no_longer_waits(&id);
        self.note_waits(id, due::waits(&request, now));
        self.put(request);
        if let Some(key) = key {
            self.keys.entry(key.clone()).or_default().insert(id);
            if self.is_let_go(&id) {
                self.orphans.insert(key.clone());
            }
            if let Some(at) = tend_at {
                self.queue.succeeded(&Errand::Tend(key.clone()));
                self.schedule(Errand::Tend(key), at);
            }
        }
        self.queue.unschedule(&Errand::Attend(id));
        if let Some(at) = attend_at {
            self.schedule(Errand::Attend(id), at);
        }
    }

    fn forget(&mut self, id: RequestId) {
        self.no_longer_waits(&id);
        self.queue.drop(&Errand::Attend(id));
        self.closing.remove(&id);
        self.request_notes.remove(&id);
        self.let_go.remove(&id);
        let Some(key) = self.take_out(&id).as_deref().and_then(key_of) else { return };
        let rest = self.keys.get_mut(&key).is_some_and(|ids| {
            ids.remove(&id);
            !ids.is_empty()
        });
        if !rest {
            // What is removed for its own sake goes on.
            if !self.orphans.contains(&key) {
                self.queue.drop(&Errand::Tend(key.clone()));
                self.notes.remove(&key);
            }
            self.keys.remove(&key);
        }
    }

    fn is_known(&self, errand: &Errand) -> bool {
        match errand {
            Errand::Attend(id) => self.requests.contains_key(id),
            Errand::Tend(key) => self.keys.contains_key(key) || self.orphans.contains(key),
        }
    }

    /// Schedules, or brings forward; in the class that fits now.
    fn schedule(&mut self, errand: Errand, at: Timestamp) {
        let class = self.class_of(&errand);
        self.queue.schedule(errand, at, class);
    }

    fn class_of(&self, errand: &Errand) -> Class {
        let Errand::Tend(key) = errand else { return Class::Story };
        let requests = || self.keys.get(key).into_iter().flatten().filter_map(|id| self.request(id));
        if self.orphans.contains(key) || requests().any(Request::is_closing) {
            Class::Removal
        } else if requests().any(|request| request.approved().is_ok_and(|(_, active)| active.is_none())) {
            Class::Grant
        } else if self.notes.get(key).is_some_and(KeyNotes::is_at_risk) {
            Class::Look
        } else {
            Class::Check
        }
    }

    /// Whether a request ended `late_after` ago, has an assignment, and does not wait for its sessions alone.
    fn is_late(&self, request: &Request, now: Timestamp, late_after: SignedDuration) -> bool {
        let Phase::Ended { at, closure: Closure::Closing, .. } = &request.phase else { return false };
        let waits = self.waits_of.get(&request.raised.id).into_iter().flatten();
        let since = waits.map(|(_, since)| *since).fold(*at, Timestamp::min);
        let held = self.held_until(&request.raised.id).is_some_and(|until| now < until);
        key_of(request).is_some() && now.duration_since(since) >= late_after && !held
    }

    /// Whether nothing is there of what a request was about, though it may yet appear.
    fn is_absent(&self, request: &Request, now: Timestamp) -> bool {
        let until = key_of(request).and_then(|key| self.notes.get(&key)?.absent_until);
        until.is_some_and(|until| now < until)
    }
}

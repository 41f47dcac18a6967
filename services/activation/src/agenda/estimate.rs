//! When access may be there: who goes before, and how fast AWS is getting on. An estimate, never decided by.

use super::due::key_of;
use super::queue::Lane;
use super::waits::{Wait, Waiting};
use super::{Agenda, Errand, State};
use domain::{RequestId, SignedDuration, Timestamp};
use lifecycle::Request;
use std::collections::VecDeque;
use std::time::Duration;

/// How long an operation takes, until some have been seen.
const USUAL_OPERATION: Duration = Duration::from_secs(5);

/// Changes by which the pace of AWS is told.
const COMPLETIONS_KEPT: usize = 30;

/// So many are needed to tell it.
const COMPLETIONS_ENOUGH: usize = 5;

/// What can be said of a request that waits for AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Estimate {
    /// How many changes go before, those that AWS is at work on included.
    pub(crate) ahead: usize,
    /// In how long it may be active.
    pub(crate) active_in: SignedDuration,
}

/// The latest changes that AWS confirmed while more of them waited than it takes at a time.
#[derive(Debug, Default)]
pub(super) struct Completions(VecDeque<(Timestamp, RequestId)>);

impl Completions {
    pub(super) fn add(&mut self, id: RequestId, at: Timestamp) {
        if self.0.contains(&(at, id)) {
            return;
        }
        if self.0.len() >= COMPLETIONS_KEPT {
            self.0.pop_front();
        }
        self.0.push_back((at, id));
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// How long one takes, where many are made.
    fn each(&self) -> Option<Duration> {
        let count = u32::try_from(self.0.len()).ok().filter(|count| *count as usize >= COMPLETIONS_ENOUGH)?;
        let (first, last) = (self.0.front()?.0, self.0.back()?.0);
        Some(Duration::try_from(last.duration_since(first)).ok()? / (count - 1))
    }
}

impl Agenda {
    /// How many changes in AWS go before a request's, and when it may be active; `None`: it does not wait for AWS.
    /// `usual` is how long an operation takes, where that is known. What failed is not there before it is tried again; when that is knows
    /// only the process that tries.
    pub(crate) fn estimate(
        &self,
        id: &RequestId,
        now: Timestamp,
        usual: Option<Duration>,
    ) -> Option<Estimate> {
        let state = self.lock();
        let request = state.request(id)?;
        let (grant, active) = request.approved().ok()?;
        let until_start = grant.approved.window.start().duration_since(now).max(SignedDuration::ZERO);
        if active.is_some() {
            return None;
        }
        let Some(key) = key_of(request) else {
            return Some(Estimate { ahead: 0, active_in: until_start });
        };
        let line = state.line_before(request, now, usual, self.outstanding_max);
        // A place is free when all but as many as there are places are done.
        let queued = line.drained_in(line.ahead.saturating_add(1).saturating_sub(line.places));
        let in_turn = until_start.saturating_add(queued);
        let active_in = match state.queue.tried_again_at(&Errand::Tend(key)) {
            Some(at) => in_turn.max(at.duration_since(now).saturating_add(line.drained_in(0))),
            None => in_turn,
        };
        Some(Estimate { ahead: line.ahead, active_in })
    }

    /// How long before its start a request is to be begun, to have its access by then; `None`: it does not wait for AWS. Those of
    /// one start are begun one by one over the time before it, as fast as AWS takes them, so that a place is free for each.
    pub(crate) fn lead_needed(
        &self,
        id: &RequestId,
        now: Timestamp,
        usual: Option<Duration>,
    ) -> Option<SignedDuration> {
        let state = self.lock();
        let request = state.request(id)?;
        key_of(request)?;
        let line = state.line_before(request, now, usual, self.outstanding_max);
        Some(line.drained_in(line.ahead))
    }
}

/// Who goes before a request, and how fast that goes.
struct Line {
    /// How many changes.
    ahead: usize,
    /// Those of them in the same account.
    in_account: usize,
    /// How long an operation takes.
    usual: Duration,
    /// How long one takes of many that are made in all places.
    each: Duration,
    /// How many AWS takes at a time.
    places: usize,
}

impl Line {
    /// In how long a request is through that has to wait until `count` changes are done: those in its account one after the other,
    /// then the operation itself.
    fn drained_in(&self, count: usize) -> SignedDuration {
        let times =
            |one: Duration, count: usize| one.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX));
        let behind = times(self.each, count).max(times(self.usual, self.in_account));
        SignedDuration::try_from(behind.saturating_add(self.usual)).unwrap_or(SignedDuration::MAX)
    }
}

impl State {
    fn line_before(
        &self,
        request: &Request,
        now: Timestamp,
        usual: Option<Duration>,
        outstanding_max: usize,
    ) -> Line {
        let since =
            request.approved().ok().map_or(now, |(grant, _)| grant.approved.window.start().max(grant.at));
        let (ahead, in_account) = self.ahead(request, since, now);
        let usual = usual.unwrap_or(USUAL_OPERATION);
        let places = outstanding_max.max(1);
        let one_of_many = usual / u32::try_from(places).unwrap_or(u32::MAX);
        let lane = key_of(request).as_ref().map(Lane::of);
        let seen = lane.and_then(|lane| self.completions.get(&lane)).and_then(Completions::each);
        let each = seen.unwrap_or(one_of_many);
        Line { ahead, in_account, usual, each, places }
    }

    /// How many changes go before a grant that waits since `since`: removals that wait now, and grants that are taken up earlier,
    /// as the queue has it. All of them, and those in the same account.
    fn ahead(&self, request: &Request, since: Timestamp, now: Timestamp) -> (usize, usize) {
        let of = |wait| self.waits.get(&wait).into_iter().flatten();
        let place = |since: Timestamp, request: &Request| (since.as_second(), key_of(request));
        let own = place(since, request);
        let lane = key_of(request).as_ref().map(Lane::of);
        let in_lane = |(_, id): &&Waiting| {
            let other = self.request(id).and_then(key_of);
            other.as_ref().map(Lane::of) == lane
        };
        let removals = of(Wait::Removal).take_while(|(at, _)| *at <= now).filter(in_lane);
        let grants = of(Wait::Grant)
            .take_while(|(at, _)| at.as_second() <= since.as_second())
            .filter(in_lane)
            .filter(|(at, id)| self.request(id).is_some_and(|other| place(*at, other) < own));
        let account = request.raised.target.account();
        let in_account =
            |id: &RequestId| self.request(id).is_some_and(|other| other.raised.target.account() == account);
        removals
            .chain(grants)
            .fold((0, 0), |(all, same), (_, id)| (all + 1, same + usize::from(in_account(id))))
    }

    /// How many changes wait for one of AWS's services now, up to `most`.
    pub(super) fn changes_waiting(&self, lane: Lane, now: Timestamp, most: usize) -> usize {
        let of = |wait| self.waits.get(&wait).into_iter().flatten().take_while(|(at, _)| *at <= now);
        let in_lane =
            |(_, id): &&Waiting| self.request(id).and_then(key_of).is_some_and(|key| Lane::of(&key) == lane);
        of(Wait::Removal).chain(of(Wait::Grant)).filter(in_lane).take(most).count()
    }
}

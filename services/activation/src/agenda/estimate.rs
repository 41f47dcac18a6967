//! When access may be there: who goes before, and how fast AWS is getting on. An estimate, never decided by.

use super::due::key_of;
use super::queue::Class;
use super::{Agenda, State};
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
    /// `usual` is how long an operation takes, where that is known.
    pub(crate) fn estimate(
        &self,
        id: &RequestId,
        now: Timestamp,
        usual: Option<Duration>,
    ) -> Option<Estimate> {
        let state = self.lock();
        let request = state.requests.get(id)?;
        let (grant, active) = request.approved().ok()?;
        let until_start = grant.approved.window.start().duration_since(now).max(SignedDuration::ZERO);
        if active.is_some() {
            return None;
        }
        if key_of(request).is_none() {
            return Some(Estimate { ahead: 0, active_in: until_start });
        }
        let since = grant.approved.window.start().max(grant.at);
        let (ahead, in_account) = state.ahead(request, since, now);
        let usual = usual.unwrap_or(USUAL_OPERATION);
        let places = self.outstanding_max.max(1);
        let each =
            state.completions.each().unwrap_or_else(|| usual / u32::try_from(places).unwrap_or(u32::MAX));
        let times =
            |one: Duration, count: usize| one.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX));
        // A place is free when all but as many as there are places are done; then comes the operation itself.
        let behind = times(each, ahead.saturating_add(1).saturating_sub(places));
        // Those in the same account go one after the other.
        let queued = behind.max(times(usual, in_account)).saturating_add(usual);
        let queued = SignedDuration::try_from(queued).unwrap_or(SignedDuration::MAX);
        Some(Estimate { ahead, active_in: until_start.saturating_add(queued) })
    }
}

impl State {
    /// How many changes go before a grant that waits since `since`: removals that wait now, and grants that are taken up earlier,
    /// as the queue has it. All of them, and those in the same account.
    fn ahead(&self, request: &Request, since: Timestamp, now: Timestamp) -> (usize, usize) {
        let of = |class| self.waits.get(&class).into_iter().flatten();
        let place = |since: Timestamp, request: &Request| (since.as_second(), key_of(request));
        let own = place(since, request);
        let removals = of(Class::Removal).take_while(|(at, _)| *at <= now);
        let grants = of(Class::Grant)
            .take_while(|(at, _)| at.as_second() <= since.as_second())
            .filter(|(at, id)| self.requests.get(id).is_some_and(|other| place(*at, other) < own));
        let account = request.raised.target.account();
        let in_account = |id: &RequestId| {
            self.requests.get(id).is_some_and(|other| other.raised.target.account() == account)
        };
        removals
            .chain(grants)
            .fold((0, 0), |(all, same), (_, id)| (all + 1, same + usize::from(in_account(id))))
    }

    /// How many changes wait for AWS now, up to `most`.
    pub(super) fn changes_waiting(&self, now: Timestamp, most: usize) -> usize {
        let of = |class| self.waits.get(&class).into_iter().flatten().take_while(|(at, _)| *at <= now);
        of(Class::Removal).chain(of(Class::Grant)).take(most).count()
    }
}

//! Due work that nobody has begun: of requests and their assignments, as far as the log tells.
//!
//! What AWS is at work on, what is tried again later, and what cannot be told here either is no reason to take over; but what goes
//! on failing is, now and then: it may be only who tries that AWS refuses.

use super::{Unattended, What};
use crate::agenda::Class;
use crate::core::{Core, later};
use crate::eligibility::Eligibility;
use crate::fault::Fault;
use command::LoadError;
use command::aggregate::RequestAggregate;
use domain::{RequestId, SignedDuration, Timestamp};
use journal::Stream;
use lifecycle::Request;
use lifecycle::assignment::{AssignmentKey, Ledger, Operation, Presence};
use lifecycle::duty::Duty;
use std::collections::BTreeSet;

/// Of what waits for an event alone, so much is looked at.
const STORIES_MAX: usize = 64;

/// When to look again at what is in hands: something may have happened to it.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_mins(1);

/// When to look again at what cannot be done by anybody: history that cannot be read.
const HOPELESS_FOR: SignedDuration = SignedDuration::from_hours(1);

impl Core {
    /// Due work that whoever has the duty ought to have done by now.
    pub(super) async fn unattended(&self, held: &Duty, now: Timestamp) -> Result<Option<Unattended>, Fault> {
        let is_over = |since: Timestamp| now >= held.attended_until(since, self.settings.duty_patience);
        let alive = self.agenda.sign_of_life().map_or(held.claimed_at, |sign| sign.max(held.claimed_at));
        if let Some(failing) = self.failing_for_long(held, now).await? {
            return Ok(Some(failing));
        }
        let silent_for = now.duration_since(alive);
        if silent_for < self.settings.duty_patience {
            return Ok(None);
        }
        // Little but the log is needed for these.
        for (since, id) in self.agenda.waiting(Class::Story, now, STORIES_MAX) {
            if is_over(since) && !self.is_excused(&id, now) && self.can_be_done(&id, now).await? {
                return Ok(Some(self.of_request(id, since)));
            }
        }
        let most = self.settings.outstanding_max.saturating_add(1);
        let mut changes = self.agenda.waiting(Class::Removal, now, most);
        changes.extend(self.agenda.waiting(Class::Grant, now, most.saturating_sub(changes.len())));
        if changes.len() >= most {
            // AWS takes no more at a time, so much of this waits for AWS; but something must come of it now and then, while we watch.
            let watched_for = self.shift.lock().watching_since.map(|since| now.duration_since(since));
            if silent_for.min(watched_for.unwrap_or_default()) < self.settings.operation_patience() {
                return Ok(None);
            }
            changes.sort();
            for (since, id) in changes {
                if is_over(since) && !self.is_excused(&id, now) && self.can_be_done(&id, now).await? {
                    return Ok(Some(self.of_request(id, since)));
                }
            }
            return Ok(None);
        }
        self.unattended_change(held, &changes, now).await
    }

    /// A change in AWS that fails whenever it is tried, for so long that another has a turn; each turn is twice as long as the one
    /// before it.
    async fn failing_for_long(&self, held: &Duty, now: Timestamp) -> Result<Option<Unattended>, Fault> {
        let patience = self.settings.removal_late_after;
        for class in [Class::Removal, Class::Grant] {
            for (since, id) in self.agenda.waiting(class, now, self.settings.outstanding_max) {
                if now < held.attended_until(since, patience) {
                    continue;
                }
                let Some(key) = self.agenda.request(&id).as_ref().and_then(crate::agenda::key_of) else {
                    continue;
                };
                let undone = match class {
                    Class::Removal => Presence::Ours,
                    Class::Grant | Class::Story | Class::Check => Presence::Absent,
                };
                let loaded = self.ledger_unless_corrupt(&key).await?;
                let ledger = loaded.as_ref().and_then(|loaded| loaded.state.as_ref());
                let failing = ledger.is_some_and(|ledger| ledger.failures > 0 && ledger.presence == undone);
                if failing && self.can_be_done(&id, now).await? {
                    return Ok(Some(Unattended { what: What::Request(id), since, patience }));
                }
            }
        }
        Ok(None)
    }

    fn of_request(&self, id: RequestId, since: Timestamp) -> Unattended {
        Unattended { what: What::Request(id), since, patience: self.settings.duty_patience }
    }

    /// The first of a few changes in AWS that nobody has begun, although nothing keeps them from it.
    async fn unattended_change(
        &self,
        held: &Duty,
        changes: &[(Timestamp, RequestId)],
        now: Timestamp,
    ) -> Result<Option<Unattended>, Fault> {
        let mut found = Vec::new();
        let mut busy = BTreeSet::new();
        for (since, id) in changes {
            let Some(request) = self.agenda.request(id) else { continue };
            let Some(key) = crate::agenda::key_of(&request) else { continue };
            let since = self.waits_since(held, &request, &key, *since, now).await?;
            let attended_until = self.change_attended_until(held, &request, &key, since, now).await?;
            if now < attended_until {
                if !self.is_excused(id, now) {
                    self.excuse(*id, attended_until.min(later(now, LOOK_AGAIN)));
                }
                let fresh = now < held.attended_until(since, self.settings.duty_patience);
                if fresh || self.is_at_work_on(held, &request, &key, since, now).await? {
                    busy.insert(key.target.account().clone());
                }
            } else {
                found.push((since, *id, key));
            }
        }
        let first = found.into_iter().find(|(_, _, key)| !busy.contains(key.target.account()));
        Ok(first.map(|(since, id, _)| self.of_request(id, since)))
    }

    /// Since when a change waits for what is to be done about it next. Where nothing is left in AWS any more that is to record so, and
    /// whoever tried in vain to remove it says nothing of that.
    async fn waits_since(
        &self,
        held: &Duty,
        request: &Request,
        key: &AssignmentKey,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<Timestamp, Fault> {
        let fresh = now < later(since.max(held.claimed_at), self.settings.duty_patience);
        if fresh || !request.is_closing() || self.is_excused(&request.raised.id, now) {
            return Ok(since);
        }
        let loaded = self.ledger_unless_corrupt(key).await?;
        let ledger = loaded.as_ref().and_then(|loaded| loaded.state.as_ref());
        let gone = ledger.filter(|ledger| ledger.is_settled_absent());
        Ok(gone.map_or(since, |ledger| since.max(self.agenda.happened_at(key, ledger.last_at))))
    }

    /// Whether a call is under way, or was a moment ago, so that others in the account wait for it. Whoever intended it may be dead.
    async fn is_at_work_on(
        &self,
        held: &Duty,
        request: &Request,
        key: &AssignmentKey,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<bool, Fault> {
        let loaded = self.ledger_unless_corrupt(key).await?;
        Ok(loaded.as_ref().and_then(|loaded| loaded.state.as_ref()).is_some_and(|ledger| {
            if ledger.attempt().is_some() {
                return now < self.ledger_attended_until(held, ledger, request, since);
            }
            now < later(self.agenda.happened_at(key, ledger.last_at), self.settings.duty_patience)
        }))
    }

    /// Until when a change in AWS that is due since `since` is in hands, as far as the log tells.
    async fn change_attended_until(
        &self,
        held: &Duty,
        request: &Request,
        key: &AssignmentKey,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<Timestamp, Fault> {
        let until = held.attended_until(since, self.settings.duty_patience);
        let id = request.raised.id;
        if now < until {
            return Ok(until);
        }
        if let Some(until) = self.shift.lock().excused.get(&id).filter(|until| now < **until) {
            return Ok(*until);
        }
        if !self.can_be_recorded(&id, now).await? {
            return Ok(later(now, HOPELESS_FOR));
        }
        let Some(loaded) = self.ledger_unless_corrupt(key).await? else {
            return Ok(later(now, HOPELESS_FOR));
        };
        let by_ledger =
            loaded.state.as_ref().map(|ledger| self.ledger_attended_until(held, ledger, request, since));
        if let Some(until) = by_ledger.filter(|until| now < *until) {
            return Ok(until);
        }
        if request.is_closing() {
            // Noted where sessions are denied; who has just started has not come to that.
            return Ok(self.waits_for_sessions_until(request).await.unwrap_or(until));
        }
        let can_begin = self.can_be_decided(request, now).await?;
        Ok(if can_begin { until } else { later(now, self.settings.eligibility_retry) })
    }

    /// Whether what is due for a request could be done here, as far as its story and its eligibility are concerned.
    async fn can_be_done(&self, id: &RequestId, now: Timestamp) -> Result<bool, Fault> {
        let Some(request) = self.agenda.request(id) else { return Ok(false) };
        Ok(self.can_be_recorded(id, now).await? && self.can_be_decided(&request, now).await?)
    }

    /// Whether a start could be decided on here. What cannot be told here either is no reason to take over, and what nobody will be
    /// told any more waits for nobody. For what is over nothing is to be told.
    async fn can_be_decided(&self, request: &Request, now: Timestamp) -> Result<bool, Fault> {
        let id = request.raised.id;
        let begins = request.is_live(now) && request.approved().is_ok_and(|(_, active)| active.is_none());
        if !begins {
            return Ok(true);
        }
        Ok(match self.eligibility(request).await? {
            Eligibility::Eligible(_) | Eligibility::Lost(_) => true,
            Eligibility::Unknown(_) | Eligibility::Contradicted(_) => {
                self.excuse(id, later(now, self.settings.eligibility_retry));
                false
            }
            Eligibility::Outdated(_) => {
                self.agenda.note_outdated(id, now);
                false
            }
        })
    }

    fn ledger_attended_until(
        &self,
        held: &Duty,
        ledger: &Ledger,
        request: &Request,
        since: Timestamp,
    ) -> Timestamp {
        let patience = self.settings.duty_patience;
        if let Some((_, attempt)) = ledger.attempt() {
            // Whoever intended it is waiting for AWS, or does not exist any more.
            let intended_at = self.agenda.happened_at(&ledger.key, attempt.at);
            let until = later(intended_at.max(held.claimed_at), self.settings.operation_patience());
            // Who took over since waits for as long as the other may have been at work on it, and a third would wait no less.
            let is_others = held.claimed_at > intended_at && attempt.operation == Operation::Create;
            let decided_at = later(intended_at, self.settings.creation_patience().saturating_add(patience));
            return if is_others { until.max(decided_at) } else { until };
        }
        let fenced = ledger.fence.filter(|_| request.is_closing() && ledger.presence != Presence::Ours);
        if let Some(fence) = fenced {
            return later(fence, self.settings.operation_patience().saturating_add(patience));
        }
        let last_at = self.agenda.happened_at(&ledger.key, ledger.last_at);
        if last_at < since {
            return since;
        }
        let pause = match ledger.failures {
            0 => SignedDuration::ZERO,
            // Nothing is tried again.
            _failed if request.is_closing() && ledger.is_settled_absent() => SignedDuration::ZERO,
            failures => {
                SignedDuration::try_from(self.settings.backoff(failures)).unwrap_or(SignedDuration::MAX)
            }
        };
        later(last_at, pause.saturating_add(patience))
    }

    /// Whether the story of a request can be read to its end, so that something can follow.
    pub(super) async fn can_be_recorded(&self, id: &RequestId, now: Timestamp) -> Result<bool, Fault> {
        match self.commander.load::<RequestAggregate>(&Stream::Request(*id)).await {
            Ok(_) => Ok(true),
            Err(LoadError::Corrupt(_)) => {
                self.excuse(*id, later(now, HOPELESS_FOR));
                Ok(false)
            }
            Err(unavailable @ LoadError::Unavailable(_)) => Err(unavailable.into()),
        }
    }

    fn is_excused(&self, id: &RequestId, now: Timestamp) -> bool {
        self.shift.lock().excused.get(id).is_some_and(|until| now < *until)
    }

    fn excuse(&self, id: RequestId, until: Timestamp) {
        let mut known = self.shift.lock();
        let now = self.now();
        known.excused.retain(|_, until| now < *until);
        known.excused.insert(id, until);
    }
}

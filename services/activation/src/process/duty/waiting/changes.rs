//! Changes in AWS that nobody has begun, although nothing keeps them from it: neither a queue of the same service, nor another of its
//! changes in the account.

use super::at_work::{Change, Standing};
use crate::agenda::{Lane, Wait, key_of};
use crate::core::Core;
use crate::fault::Fault;
use crate::process::duty::Unattended;
use crate::process::duty::looks::Sought;
use domain::{AccountId, Timestamp};
use lifecycle::duty::Duty;
use std::collections::{BTreeMap, BTreeSet};

/// Of changes in AWS, of each kind. More than AWS takes at a time, so that it is seen whether that is all that waits.
const CHANGES_MAX: usize = 32;

/// Of changes in one account, of each kind, so many are looked at for one that is under way.
const IN_ACCOUNT_MAX: usize = 32;

impl Core {
    /// The first change in one of AWS's services that nobody has begun, although nothing keeps them from it.
    pub(super) async fn unattended_change(
        &self,
        held: &Duty,
        lane: Lane,
        now: Timestamp,
    ) -> Result<Option<Unattended>, Fault> {
        let came_at = self.agenda.came_of_aws_at(lane).map_or(held.claimed_at, |at| at.max(held.claimed_at));
        if now.duration_since(came_at) < self.help_patience() {
            return Ok(None);
        }
        let (mut ready, mut in_hands, mut rounds) = (Vec::new(), Vec::new(), Vec::new());
        let mut whole = true;
        for wait in Wait::changes(lane) {
            let part = self.part(Sought::Unattended, wait, now, CHANGES_MAX, |_| true);
            whole &= part.whole;
            rounds.push((wait, part.to));
            for waiting in part.found {
                match self.standing(held, wait, waiting, now).await? {
                    Standing::Idle => {}
                    Standing::InHands(account) => in_hands.push(account),
                    Standing::Ready(change) => ready.push(*change),
                }
            }
        }
        // The service takes no more at a time, so much of a queue waits for it; but something must come of it now and then.
        let places = lane.places(self.settings.outstanding_max);
        let is_queue = !whole || ready.len().saturating_add(in_hands.len()) > places;
        let is_left = now < self.left_until(held, lane, now);
        let found = if is_left || (is_queue && !self.is_silent(lane, came_at, now)) {
            None
        } else {
            // In a queue everything waits for something else in some account; and not every service makes one change at a time there.
            let excuses = lane.is_one_per_account() && !is_queue;
            let busy = excuses.then(|| in_hands.into_iter().collect());
            self.first_that_can_begin(held, ready, busy, now).await?
        };
        if found.is_none() {
            let mut known = self.shift.lock();
            for (wait, to) in rounds {
                known.looks.went(Sought::Unattended, wait, to);
            }
        }
        Ok(found)
    }

    /// Whether nothing has come of a service's queue for as long as an operation may take, while we watch: no access came or went there,
    /// and of its ledgers that were looked at none was written.
    fn is_silent(&self, lane: Lane, came_at: Timestamp, now: Timestamp) -> bool {
        let known = self.shift.lock();
        let came_at = known.looks.wrote_at(lane).map_or(came_at, |at| at.max(came_at));
        let watched_for = known.watching_since.map(|since| now.duration_since(since));
        now.duration_since(came_at).min(watched_for.unwrap_or_default()) >= self.settings.operation_patience()
    }

    /// An account that is busy excuses, unless none does (`None`). Of the accounts some are known to be `busy`: of an account not all is
    /// looked at.
    async fn first_that_can_begin(
        &self,
        held: &Duty,
        ready: Vec<Change>,
        busy: Option<BTreeSet<AccountId>>,
        now: Timestamp,
    ) -> Result<Option<Unattended>, Fault> {
        let excuses = busy.is_some();
        let mut known: BTreeMap<AccountId, bool> =
            busy.into_iter().flatten().map(|account| (account, true)).collect();
        for change in ready {
            let account = change.key.target.account();
            let is_busy = if let Some(is_busy) = known.get(account) {
                *is_busy
            } else {
                let is_busy = excuses && self.is_busy(held, Lane::of(&change.key), account, now).await?;
                known.insert(account.clone(), is_busy);
                is_busy
            };
            if !is_busy && self.can_begin(&change, now).await? {
                return Ok(Some(self.of_request(change.request.raised.id, change.since)));
            }
        }
        Ok(None)
    }

    /// Whether somebody is at work in an account, or may be: one change there waits for the other, also for one that is excused here or
    /// failed before.
    async fn is_busy(
        &self,
        held: &Duty,
        lane: Lane,
        account: &AccountId,
        now: Timestamp,
    ) -> Result<bool, Fault> {
        for (since, id) in self.agenda.changes_in(lane, account, now, IN_ACCOUNT_MAX) {
            if self.is_fresh(held, since, now) {
                return Ok(true);
            }
            let Some(request) = self.agenda.request(&id) else { continue };
            let Some(key) = key_of(&request) else { continue };
            let loaded = self.ledger_unless_corrupt(&key).await?;
            let ledger = loaded.as_ref().and_then(|loaded| loaded.state.as_ref());
            if self.is_at_work_on(held, ledger, &request, since, now) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

//! What replicas without the duty find undone when they look through ledgers and organisation themselves.
//!
//! Nothing shows that somebody looks through everything and finds all well, so the others look too: in the ledgers as often, in
//! the organisation half as fast. What they find, and find again when whoever has the duty must have come by, is due work that
//! waits. INVARIANT: a look changes nothing; only who has taken the duty over writes or removes. Nobody takes over what AWS does not
//! answer them about: each change of hands makes all others wait for longer.

use super::{Unattended, What};
use crate::agenda::{Extent, Lane};
use crate::core::{Core, later};
use crate::eligibility::Eligibility;
use crate::fault::Fault;
use domain::{SignedDuration, Timestamp};
use lifecycle::assignment::{AssignmentKey, Ledger, Presence, notice};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Of what active requests have, so much is looked at each time, one part after the other. Where there is more, something else soon
/// falls due that tells whether anybody works.
const LOOKED_AT_MAX: usize = 20;

/// So much of the organisation is remembered as not noted by anybody.
const UNNOTED_MAX: usize = 1_000;

/// What was found, and since when it is known.
#[derive(Default)]
pub(super) struct Undone {
    /// Ours, and no request is about it, or none that has begun and can go on; and what active requests lack.
    orphans: Mutex<BTreeMap<AssignmentKey, Timestamp>>,
    /// How far what active requests have is looked at.
    looked_to: Mutex<Option<AssignmentKey>>,
    /// In AWS, and no ledger says so (`true`), or others' and gone, and its ledger says otherwise (`false`); with the time in which
    /// whoever has the duty comes by.
    unnoted: Mutex<BTreeMap<(AssignmentKey, bool), (Timestamp, SignedDuration)>>,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Core {
    /// Looks for what whoever has the duty leaves undone, and takes over when that waits for longer than they need to come by.
    pub(crate) async fn look_for_undone(&self) -> Result<(), Fault> {
        self.refresh().await?;
        let mut orphans = self.orphans().await?;
        self.add_missing(&mut orphans).await?;
        lock(&self.shift.undone.orphans).clone_from(&orphans);
        let patience = self.sweep_patience();
        for (key, since) in orphans {
            if self.take_over(&key, since, patience).await? {
                return self.sweep_ledgers().await;
            }
        }
        let now = self.now();
        let unnoted = {
            let mut unnoted = lock(&self.shift.undone.unnoted);
            // What was found by a clock that was ahead was found by now.
            unnoted.values_mut().for_each(|(since, _)| *since = now.min(*since));
            unnoted.clone()
        };
        for (unnoted, (since, patience)) in unnoted {
            if self.now() < later(since, patience) {
                continue;
            }
            if let Err(fault) = self.look_again(&unnoted, since, patience).await {
                let (key, _) = &unnoted;
                tracing::debug!(target = %key.target, %fault, "what nobody noted cannot be looked at; tried again later");
            }
        }
        Ok(())
    }

    /// Looks again at what no ledger noted, and notes it if nobody else does.
    async fn look_again(
        &self,
        unnoted: &(AssignmentKey, bool),
        since: Timestamp,
        patience: SignedDuration,
    ) -> Result<(), Fault> {
        let (key, there) = unnoted;
        let looked_at = self.now();
        let still = self.look(key).await? == *there && self.is_unnoted(key, *there, looked_at).await?;
        if still && !self.take_over(key, self.unnoted_since(key, since).await?, patience).await? {
            return Ok(());
        }
        lock(&self.shift.undone.unnoted).remove(unnoted);
        match (still, *there) {
            (true, true) => self.note_found(key, looked_at).await,
            (true, false) => self.note_missing(key, looked_at).await,
            (false, _) => Ok(()),
        }
    }

    /// Since when what was found at a time is not noted. Whoever wrote of it later had seen to it, and what differs now came after that.
    async fn unnoted_since(&self, key: &AssignmentKey, found_at: Timestamp) -> Result<Timestamp, Fault> {
        let loaded = self.ledger(key).await?;
        let written = loaded.state.as_ref().filter(|ledger| ledger.failures == 0);
        Ok(written.map_or(found_at, |ledger| found_at.max(self.agenda.happened_at(key, ledger.last_at))))
    }

    /// In how long whoever has the duty has gone through the ledgers, and through them once more.
    fn sweep_patience(&self) -> SignedDuration {
        self.settings.sweep_interval.saturating_mul(2).max(self.settings.operation_patience())
    }

    /// What the ledgers call ours and no request asks for, and since when it is known to be left like that.
    async fn orphans(&self) -> Result<BTreeMap<AssignmentKey, Timestamp>, Fault> {
        let mut found = BTreeMap::new();
        for ledger in self.open_ledgers().await? {
            if self.is_asked_for(&ledger.key).await? || !self.is_undone(&ledger).await {
                continue;
            }
            let since = self.undone_since(&ledger);
            found.insert(ledger.key, since);
        }
        Ok(found)
    }

    /// Since when something is known to be left undone, and nobody who has the duty wrote of it or got anything done in its service.
    /// Whoever tries in vain may be the only one whom AWS refuses.
    fn undone_since(&self, ledger: &Ledger) -> Timestamp {
        let now = self.now();
        // What was found by a clock that was ahead was found by now.
        let first = lock(&self.shift.undone.orphans).get(&ledger.key).map_or(now, |first| now.min(*first));
        if ledger.failures > 0 {
            return first;
        }
        let written_at = self.agenda.happened_at(&ledger.key, ledger.last_at);
        let came_at = self.agenda.came_of_aws_at(Lane::of(&ledger.key));
        first.max(written_at).max(came_at.unwrap_or(Timestamp::MIN))
    }

    /// Adds what active requests lack in AWS. Nobody waits for that by a story of theirs, so it is looked at here.
    async fn add_missing(&self, undone: &mut BTreeMap<AssignmentKey, Timestamp>) -> Result<(), Fault> {
        let now = self.now();
        let known = lock(&self.shift.undone.orphans).clone().into_keys();
        let after = lock(&self.shift.undone.looked_to).clone();
        let next = self.agenda.active_after(after.as_ref(), now, LOOKED_AT_MAX);
        *lock(&self.shift.undone.looked_to) = next.last().filter(|_| next.len() == LOOKED_AT_MAX).cloned();
        let again = known.filter(|key| self.agenda.is_active(key, now));
        for key in again.chain(next).collect::<BTreeSet<_>>() {
            // One that cannot be read nobody can write.
            let loaded = self.ledger_unless_corrupt(&key).await?;
            let Some(ledger) = loaded.as_ref().and_then(|loaded| loaded.state.as_ref()) else { continue };
            if self.is_missing(ledger).await && self.can_be_mended(&key, now).await? {
                undone.insert(key, self.undone_since(ledger));
            }
        }
        Ok(())
    }

    /// Whether AWS lacks an assignment that is needed, and we could make it.
    async fn is_missing(&self, ledger: &Ledger) -> bool {
        if ledger.attempt().is_some() {
            return true;
        }
        // Where AWS does not answer us, we could not make it either.
        !self.may_be_stale(ledger) && self.look(&ledger.key).await.is_ok_and(|found| !found)
    }

    /// Whether something can follow for an active request that lacks what it needs: it is made again, or the request ends.
    async fn can_be_mended(&self, key: &AssignmentKey, now: Timestamp) -> Result<bool, Fault> {
        for request in self.agenda.requests_of(key) {
            if request.is_live(now)
                && self.can_be_recorded(&request.raised.id).await?
                && matches!(
                    self.eligibility(&request).await?,
                    Eligibility::Eligible(_) | Eligibility::Lost(_)
                )
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a request is about it that waits for somebody by itself. One that begins later waits for nobody until then. One whose
    /// history cannot be read to its end is no reason to take over at once, since nothing of it can be recorded; but once its window is
    /// over, it is no reason for access either.
    async fn is_asked_for(&self, key: &AssignmentKey) -> Result<bool, Fault> {
        self.take_up(Extent::About(key))?;
        let now = self.now();
        for request in self.agenda.requests_of(key) {
            if !self.agenda.has_begun(&request, now) || self.agenda.is_let_go(&request.raised.id) {
                continue;
            }
            let over = request.window().is_none_or(|window| window.end() <= now);
            if !over || self.can_be_recorded(&request.raised.id).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether something is to be done about an assignment that no request is about, and we could do it.
    async fn is_undone(&self, ledger: &Ledger) -> bool {
        if self.ledger(&ledger.key).await.is_err() {
            // It cannot be read to its end: nobody can write it.
            return false;
        }
        if ledger.presence == Presence::Ours || ledger.attempt().is_some() {
            return true;
        }
        let looked_at = self.now();
        match self.look(&ledger.key).await {
            Ok(true) => ledger.presence == Presence::Absent && !self.list_is_stale(ledger, looked_at),
            Ok(false) => {
                let over = ledger.fence.is_some_and(|fence| looked_at >= fence);
                over && self.views.certain_of_time().is_ok()
            }
            // Nor could we.
            Err(_) => false,
        }
    }

    /// Remembers what is in AWS at one place, where no ledger says so, and what of others' is gone from there. `round` is how long
    /// whoever has the duty needs to come by. Adds the calls that it took to `calls`.
    pub(crate) async fn look_for_unnoted(
        &self,
        place: usize,
        round: SignedDuration,
        calls: &mut usize,
    ) -> Result<(), Fault> {
        let listed = self.held_at(place, calls).await?;
        let gone = self.gone_from(&listed).await?;
        let looked_at = listed.looked_at;
        let found = listed.held.into_iter().map(|key| (key, true));
        for (key, there) in found.chain(gone.into_iter().map(|key| (key, false))) {
            // What cannot be read cannot be noted either.
            if self.is_unnoted(&key, there, looked_at).await.unwrap_or(false) {
                let mut unnoted = lock(&self.shift.undone.unnoted);
                if unnoted.len() < UNNOTED_MAX {
                    unnoted.entry((key, there)).or_insert((looked_at, round));
                }
            }
        }
        Ok(())
    }

    /// Whether the ledgers do not know yet of something that AWS has, or that others made and AWS has no more.
    async fn is_unnoted(
        &self,
        key: &AssignmentKey,
        there: bool,
        looked_at: Timestamp,
    ) -> Result<bool, Fault> {
        let loaded = self.ledger(key).await?;
        let ledger = loaded.state.as_ref();
        if !there {
            let is_gone =
                |ledger: &Ledger| ledger.presence == Presence::Standing && self.lacks(ledger, looked_at);
            return Ok(ledger.is_some_and(is_gone));
        }
        let stale = ledger.is_some_and(|ledger| self.list_proves_nothing(ledger, looked_at));
        Ok(!stale && notice(ledger, key).is_ok())
    }

    /// Takes the duty over for the sake of an assignment that has waited since `since`; says whether it is ours now.
    async fn take_over(
        &self,
        key: &AssignmentKey,
        since: Timestamp,
        patience: SignedDuration,
    ) -> Result<bool, Fault> {
        let Some(held) = self.duty().await? else { return Ok(true) };
        if held.holder == self.shift.replica {
            return Ok(true);
        }
        if self.now() < held.attended_until(since, patience) {
            return Ok(false);
        }
        if let Err(fault) = self.look(key).await {
            tracing::debug!(target = %key.target, %fault, "undone, and left to whom AWS answers");
            return Ok(false);
        }
        // What seems undone may be long done, or asked for: so it seems to who was paused.
        self.catch_up().await?;
        let loaded = self.ledger(key).await?;
        let moved = loaded.state.as_ref().is_some_and(|ledger| {
            ledger.failures == 0 && self.agenda.happened_at(key, ledger.last_at) > since
        });
        // Of what an active request lacks, nobody else tells.
        let waits_by_itself = !self.agenda.is_active(key, self.now()) && self.is_asked_for(key).await?;
        if moved || waits_by_itself {
            return Ok(false);
        }
        self.claim(Some(Unattended { what: What::Assignment(key.clone()), since, patience })).await?;
        self.sweeps().await
    }
}

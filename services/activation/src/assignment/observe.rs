//! What became of an attempt whose outcome nobody was told: looked at, never guessed.
//!
//! Lists may be behind, so a look counts only some time after the attempt. Presence of what was to be created, and absence of
//! what was to be removed, are proof: the absence later, and by a clock in no doubt, because others date their attempts by clocks of
//! their own. The opposite is proof only once nobody can be working on the attempt any more; and it is final only after the deadline,
//! so before that it is recorded as not definite.

use super::attempt::{Intended, reason_of};
use super::ledger::Outcome;
use super::tend::Round;
use crate::agenda::Next;
use crate::core::{Core, later};
use crate::fault::Fault;
use crate::sweep::APART_MAX;
use aws::{AwsError, ErrorKind};
use command::Loaded;
use domain::{EventId, SignedDuration, Timestamp};
use lifecycle::Rejection;
use lifecycle::assignment::{AssignmentKey, Attempt, Ledger, Operation, outlive};
use std::time::Duration;

/// How often an attempt that may be someone else's is looked at.
const LOOK_EVERY: SignedDuration = SignedDuration::from_secs(5);

impl Core {
    /// After a call of our own of which nothing is known: nobody else works on it, so one look decides. Also after a removal for which
    /// AWS found nothing: where what was made last is not known yet, it is not found, and stays.
    pub(super) async fn observe_own(
        &self,
        key: &AssignmentKey,
        intended: &Intended,
        error: AwsError,
    ) -> Result<Round, Fault> {
        self.let_lists_catch_up().await;
        let looked_at = self.now();
        let nothing_done = error.kind == ErrorKind::NotFound;
        if self.look(key).await? == (intended.operation == Operation::Create) {
            self.conclude(key, intended.id, Outcome::Confirmed).await?;
            return Ok(Round::Again);
        }
        let definite = nothing_done || self.is_final(looked_at, intended.deadline);
        self.conclude(key, intended.id, Outcome::Failed { reason: error.code.clone(), definite }).await?;
        // What is listed all the same is found in a while.
        Err(if nothing_done { AwsError { kind: ErrorKind::Conflict, ..error } } else { error }.into())
    }

    /// After a removal of our own of which AWS says that it failed. Nothing of it is under way, but what it was about may be gone by
    /// someone else's doing, and of a user whom AWS does not know any more it may say nothing else.
    pub(super) async fn observe_failed(
        &self,
        key: &AssignmentKey,
        intended: &Intended,
        error: AwsError,
    ) -> Result<Round, Fault> {
        self.let_lists_catch_up().await;
        let found = self.look(key).await.unwrap_or_else(|fault| {
            tracing::debug!(target = %key.target, %fault, "what was not removed cannot be looked at, and counts as there");
            true
        });
        if !found {
            tracing::info!(target = %key.target, %error, "AWS says that it could not remove what is gone");
            self.conclude(key, intended.id, Outcome::Confirmed).await?;
            return Ok(Round::Again);
        }
        let reason = reason_of(&error);
        self.conclude(key, intended.id, Outcome::Failed { reason, definite: true }).await?;
        Err(error.into())
    }

    /// Waits until lists show what was made before now.
    async fn let_lists_catch_up(&self) {
        tokio::time::sleep(Duration::try_from(self.settings.list_lag_max).unwrap_or_default()).await;
    }

    /// An attempt that was found open: of a process that died, or of another that is at work.
    pub(super) async fn resolve(
        &self,
        key: &AssignmentKey,
        id: EventId,
        attempt: Attempt,
    ) -> Result<Round, Fault> {
        let now = self.now();
        let intended_at = self.agenda.happened_at(key, attempt.at);
        let shown_at = later(intended_at, self.settings.list_lag_max);
        // What was made just before its removal is not in every list yet: who finds the attempt may be ahead of who wrote it.
        let visible_at = match attempt.operation {
            Operation::Create => shown_at,
            Operation::Delete => later(shown_at, APART_MAX),
        };
        if now < visible_at {
            return Ok(Round::Over(Next::At(visible_at)));
        }
        let found = self.look_or_give_way(key).await?;
        let has_come_about = match attempt.operation {
            Operation::Create => found,
            Operation::Delete => !found && self.views.certain_of_time().is_ok(),
        };
        if has_come_about {
            self.conclude(key, id, Outcome::Confirmed).await?;
            return Ok(Round::Again);
        }
        let patience = match attempt.operation {
            Operation::Create => self.settings.creation_patience(),
            Operation::Delete => self.settings.removal_patience(),
        };
        let orphaned_at = later(intended_at, patience);
        if now < orphaned_at {
            return Ok(Round::Over(Next::At(orphaned_at.min(later(now, LOOK_EVERY)))));
        }
        let reason = "NoOutcome".to_owned();
        let definite = self.is_final(now, attempt.deadline);
        self.conclude(key, id, Outcome::Failed { reason, definite }).await?;
        Ok(Round::Again)
    }

    /// Whether an attempt that has had no effect by `looked_at` will have none. A clock that may be ahead says nothing of it.
    fn is_final(&self, looked_at: Timestamp, deadline: Timestamp) -> bool {
        looked_at >= deadline && self.views.certain_of_time().is_ok()
    }

    /// How old a look may be at what a request needs: not old while a removal of ours may still take it away.
    pub(super) fn look_interval(&self, ledger: &Ledger) -> SignedDuration {
        if ledger.late_removal.is_some() { LOOK_EVERY } else { self.settings.sweep_interval }
    }

    /// Records, after a look that found it, that a removal of unknown outcome can take an assignment no more; says whether it did.
    pub(super) async fn outlives(
        &self,
        key: &AssignmentKey,
        loaded: &Loaded<Ledger>,
        looked_at: Timestamp,
    ) -> Result<bool, Fault> {
        let shown_by = later(looked_at, -self.settings.list_lag_max);
        let over = loaded.state.as_ref().is_some_and(|ledger| outlive(ledger, shown_by).is_ok());
        if !over || self.views.certain_of_time().is_err() {
            return Ok(false);
        }
        let outlived =
            |ledger: Option<&Ledger>, _| outlive(ledger.ok_or(Rejection::NoSuchAttempt)?, shown_by);
        Ok(self.write(key, loaded.revision, outlived).await?.is_ok())
    }
}

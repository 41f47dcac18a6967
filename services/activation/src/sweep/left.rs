//! What is ours, needed by nobody, and not removed: noted with since when, so that somebody is told when that lasts. What an ended
//! request has left is told by the request itself.
//!
//! INVARIANT: nothing is decided by these notes.

use crate::assignment::ledger::failing_since;
use crate::core::{Core, later};
use crate::fault::Fault;
use domain::{SignedDuration, Timestamp};
use journal::Stream;
use lifecycle::assignment::{AssignmentKey, Ledger, Operation, Presence};

/// So long before somebody is late, it is looked whether there is anything to be late with.
const LOOK_AHEAD: SignedDuration = SignedDuration::from_secs(10);

impl Core {
    /// Notes all that is left, as ledgers and requests say now.
    pub(crate) async fn note_all_left(&self) -> Result<(), Fault> {
        if self.left_now().await?.is_empty() {
            return Ok(());
        }
        // What seems to be needed by nobody may be asked for: so it seems to who is behind.
        self.catch_up().await?;
        self.refresh().await?;
        for key in self.left_now().await? {
            if let Err(fault) = self.note_left(&key).await {
                // Nobody can write a ledger that cannot be read: it is left all the same.
                tracing::debug!(target = %key.target, %fault, "since when it is left cannot be told");
                self.agenda.note_left(&key, self.now());
            }
        }
        Ok(())
    }

    async fn left_now(&self) -> Result<Vec<AssignmentKey>, Fault> {
        let followed = self.follow_ledgers().await?;
        let ours = followed.open.values().filter(|ledger| ledger.presence == Presence::Ours);
        Ok(self.agenda.unaccounted(ours.map(|ledger| &ledger.key), self.now()))
    }

    /// Notes that an assignment is left, if it is: since its removal has failed, as the ledger has it, or since now.
    pub(crate) async fn note_left(&self, key: &AssignmentKey) -> Result<(), Fault> {
        let now = self.now();
        if self.agenda.is_left(key) || self.agenda.is_accounted_for(key, now) {
            return Ok(());
        }
        let loaded = self.ledger(key).await?;
        let Some(ledger) = loaded.state.as_ref().filter(|ledger| ledger.presence == Presence::Ours) else {
            return Ok(());
        };
        let failing = self.removal_failing_since(ledger).await?;
        self.agenda.note_left(key, failing.map_or(now, |since| since.min(now)));
        Ok(())
    }

    async fn removal_failing_since(&self, ledger: &Ledger) -> Result<Option<Timestamp>, Fault> {
        if ledger.failures == 0 {
            return Ok(None);
        }
        let events = self.ledger_events(&ledger.key).await?;
        Ok(failing_since(&events, Operation::Delete))
    }

    /// Notes what ended requests are late with though it is absent by its ledger, and may yet appear: nobody is told of that before
    /// somebody should have seen that it will not. What goes on being there counts again.
    pub(crate) async fn note_absent(&self) -> Result<(), Fault> {
        let late_after = self.settings.removal_late_after;
        let late = self.agenda.late(later(self.now(), LOOK_AHEAD), late_after);
        if late.is_empty() {
            return Ok(());
        }
        let followed = self.follow_ledgers().await?;
        for key in late {
            // Settled by now: what was noted stands until the request is closed, for no longer than it said.
            let Some(ledger) = followed.open.get(&Stream::assignment(&key).to_string()) else { continue };
            let fence = ledger.absent_until();
            // Lists show late what came about just before the fence.
            let seen_by = self.settings.list_lag_max.saturating_add(late_after);
            self.agenda.note_absent(&key, fence.map(|fence| later(fence, seen_by)));
        }
        Ok(())
    }

    /// Forgets what is not left any more.
    pub(crate) async fn settle_left(&self) -> Result<(), Fault> {
        if !self.agenda.has_left() {
            return Ok(());
        }
        let followed = self.follow_ledgers().await?;
        let is_ours = |key: &AssignmentKey| {
            let ledger = followed.open.get(&Stream::assignment(key).to_string());
            ledger.is_some_and(|ledger| ledger.presence == Presence::Ours)
        };
        self.agenda.keep_left(self.now(), is_ours);
        Ok(())
    }
}

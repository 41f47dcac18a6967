//! Changes in AWS that go on failing: now and then another has a turn, for it may be only who tries that AWS refuses.

use super::{HOPELESS_FOR, LOOK_AGAIN};
use crate::agenda::{Lane, Wait, key_of};
use crate::core::Core;
use crate::fault::Fault;
use crate::process::duty::looks::Sought;
use crate::process::duty::{Unattended, What};
use domain::{SignedDuration, Timestamp};
use lifecycle::assignment::Presence;
use lifecycle::duty::Duty;

/// Of changes that are late, of each kind, so many are looked at for one that fails.
const FAILING_MAX: usize = 16;

/// A change that fails is left for so long to whoever tries it while nothing comes of its service under them: it may be them alone that AWS
/// refuses.
const FAILS_ALONE_FOR: SignedDuration = SignedDuration::from_secs(30);

impl Core {
    /// A change in one of AWS's services that fails whenever it is tried, for so long that another has a turn, sooner where nothing came of
    /// that service since it waits; each turn is twice as long as the one before it.
    pub(super) async fn failing_for_long(
        &self,
        held: &Duty,
        lane: Lane,
        now: Timestamp,
    ) -> Result<Option<Unattended>, Fault> {
        let late_after = self.settings.removal_late_after;
        let came_at = self.agenda.came_of_aws_at(lane);
        let patience = |since: Timestamp| match came_at {
            Some(came_at) if since <= came_at => late_after,
            Some(_) | None => late_after.min(FAILS_ALONE_FOR),
        };
        // Where AWS refuses everybody, what is new would be passed on with each start.
        let left_until = self.left_until(held, lane, now);
        let is_over = |since: Timestamp| now >= left_until.max(held.attended_until(since, patience(since)));
        for wait in Wait::changes(lane) {
            let undone = match wait {
                Wait::Removal(_) => Presence::Ours,
                Wait::Grant(_) | Wait::Start | Wait::End => Presence::Absent,
            };
            let part = self.part(Sought::Failing, wait, now, FAILING_MAX, is_over);
            for (since, id) in part.found {
                let Some(key) = self.agenda.request(&id).as_ref().and_then(key_of) else {
                    continue;
                };
                let Some(loaded) = self.ledger_unless_corrupt(&key).await? else {
                    self.excuse(Sought::Failing, wait, id, now, HOPELESS_FOR);
                    continue;
                };
                let ledger = loaded.state.as_ref();
                if ledger.is_some_and(|ledger| ledger.failures > 0 && ledger.presence == undone) {
                    if self.can_be_done(Sought::Failing, wait, &id, now).await? {
                        let patience = patience(since);
                        return Ok(Some(Unattended { what: What::Request(id), since, patience }));
                    }
                } else {
                    self.excuse(Sought::Failing, wait, id, now, LOOK_AGAIN);
                }
            }
            self.shift.lock().looks.went(Sought::Failing, wait, part.to);
        }
        Ok(None)
    }
}

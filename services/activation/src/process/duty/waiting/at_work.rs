//! Where a change in AWS stands, as far as its ledger tells: somebody is at work on it, it waits for something, or it could be begun.

use super::{HOPELESS_FOR, LOOK_AGAIN};
use crate::agenda::{Lane, Wait, Waiting, key_of};
use crate::core::{Core, later};
use crate::fault::Fault;
use crate::process::duty::looks::Sought;
use domain::{AccountId, SignedDuration, Timestamp};
use lifecycle::Request;
use lifecycle::assignment::{AssignmentKey, Ledger, Operation, Presence};
use lifecycle::duty::Duty;

/// A change in AWS that waits.
pub(super) struct Change {
    pub(super) wait: Wait,
    pub(super) request: Request,
    pub(super) key: AssignmentKey,
    /// Since when it waits for what is to be done next.
    pub(super) since: Timestamp,
}

/// Where a change stands, as far as its ledger tells.
pub(super) enum Standing {
    /// It waits for something, and is excused until then, or until it is to be looked at again.
    Idle,
    /// Somebody is at work on it, in this account, or has just been told.
    InHands(AccountId),
    /// It could be begun.
    Ready(Box<Change>),
}

impl Core {
    /// Where a change stands, by its ledger: whether it could begin is not proven yet.
    pub(super) async fn standing(
        &self,
        held: &Duty,
        wait: Wait,
        (since, id): Waiting,
        now: Timestamp,
    ) -> Result<Standing, Fault> {
        let Some(request) = self.agenda.request(&id) else { return Ok(Standing::Idle) };
        let Some(key) = key_of(&request) else { return Ok(Standing::Idle) };
        if self.is_fresh(held, since, now) {
            return Ok(Standing::InHands(key.target.account().clone()));
        }
        let Some(loaded) = self.ledger_unless_corrupt(&key).await? else {
            self.excuse(Sought::Unattended, wait, id, now, HOPELESS_FOR);
            return Ok(Standing::Idle);
        };
        let ledger = loaded.state.as_ref();
        if let Some(ledger) = ledger {
            let written_at = self.agenda.happened_at(&key, ledger.last_at);
            self.shift.lock().looks.note_written(Lane::of(&key), written_at);
        }
        if self.is_at_work_on(held, ledger, &request, since, now) {
            return Ok(Standing::InHands(key.target.account().clone()));
        }
        let since = self.waits_since(ledger, &request, since);
        let mut attended_until = held.attended_until(since, self.settings.duty_patience);
        if now >= attended_until
            && let Some(ledger) = ledger
        {
            attended_until = self.ledger_attended_until(held, ledger, &request, since);
        }
        if now < attended_until {
            let excused_for = attended_until.duration_since(now).min(LOOK_AGAIN);
            self.excuse(Sought::Unattended, wait, id, now, excused_for);
            return Ok(Standing::Idle);
        }
        Ok(Standing::Ready(Box::new(Change { wait, request, key, since })))
    }

    /// Whether somebody who is not dead may have been told only now, however often hands changed in vain before.
    pub(super) fn is_fresh(&self, held: &Duty, since: Timestamp, now: Timestamp) -> bool {
        now < later(since.max(held.claimed_at), self.help_patience())
    }

    /// Since when a change waits for what is to be done about it next. Where nothing is left in AWS any more that is to record so, and
    /// whoever tried in vain to remove it says nothing of that.
    fn waits_since(&self, ledger: Option<&Ledger>, request: &Request, since: Timestamp) -> Timestamp {
        let gone = ledger.filter(|ledger| request.is_closing() && ledger.is_settled_absent());
        gone.map_or(since, |ledger| since.max(self.agenda.happened_at(&ledger.key, ledger.last_at)))
    }

    /// Whether a call is under way, or was a moment ago, so that others in the account wait for it. Whoever intended it may be dead.
    pub(super) fn is_at_work_on(
        &self,
        held: &Duty,
        ledger: Option<&Ledger>,
        request: &Request,
        since: Timestamp,
        now: Timestamp,
    ) -> bool {
        ledger.is_some_and(|ledger| {
            if ledger.attempt().is_some() {
                return now < self.ledger_attended_until(held, ledger, request, since);
            }
            let written_at = self.agenda.happened_at(&ledger.key, ledger.last_at);
            now < later(written_at, self.settings.duty_patience)
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
}

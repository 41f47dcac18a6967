//! Whether this replica could do what is due: what cannot be told or recorded here either is no reason to take over.

use super::at_work::Change;
use super::{HOPELESS_FOR, LOOK_AGAIN};
use crate::agenda::{Wait, key_of};
use crate::core::Core;
use crate::eligibility::Eligibility;
use crate::fault::Fault;
use crate::process::duty::looks::Sought;
use command::LoadError;
use command::aggregate::RequestAggregate;
use domain::{RequestId, Timestamp};
use journal::Stream;
use lifecycle::Request;
use lifecycle::assignment::AssignmentKey;

impl Core {
    /// Whether a change that is ready could be begun here.
    pub(super) async fn can_begin(&self, change: &Change, now: Timestamp) -> Result<bool, Fault> {
        let Change { wait, request, key, .. } = change;
        let id = request.raised.id;
        if !self.can_be_recorded(&id).await? {
            self.excuse(Sought::Unattended, *wait, id, now, HOPELESS_FOR);
            return Ok(false);
        }
        if !request.is_closing() {
            return self.can_be_decided(Sought::Unattended, *wait, request, now).await;
        }
        if self.is_kept(Sought::Unattended, *wait, id, key, now).await? {
            return Ok(false);
        }
        // Noted where sessions are denied; who has just started has not come to that.
        let held_until = self.waits_for_sessions_until(request).await.filter(|until| now < *until);
        if let Some(until) = held_until {
            let excused_for = until.duration_since(now).min(LOOK_AGAIN);
            self.excuse(Sought::Unattended, *wait, id, now, excused_for);
        }
        Ok(held_until.is_none())
    }

    /// Whether what is due for a request could be done here, as far as its story, its eligibility and our clock are concerned.
    pub(super) async fn can_be_done(
        &self,
        sought: Sought,
        wait: Wait,
        id: &RequestId,
        now: Timestamp,
    ) -> Result<bool, Fault> {
        let Some(request) = self.agenda.request(id) else { return Ok(false) };
        if !self.can_be_recorded(id).await? {
            self.excuse(sought, wait, *id, now, HOPELESS_FOR);
            return Ok(false);
        }
        // By a clock that may be ahead, what was handed out may work still: we could not close it either.
        let expires = wait == Wait::End && request.is_closing() && request.issues_expire_at().is_some();
        if expires && self.views.certain_of_time().is_err() {
            self.excuse(sought, wait, *id, now, self.settings.eligibility_retry);
            return Ok(false);
        }
        if let Some(key) = key_of(&request).filter(|_| matches!(wait, Wait::Removal(_)))
            && self.is_kept(sought, wait, *id, &key, now).await?
        {
            return Ok(false);
        }
        self.can_be_decided(sought, wait, &request, now).await
    }

    /// Whether an assignment would not be removed here either: a live request about it cannot be told.
    async fn is_kept(
        &self,
        sought: Sought,
        wait: Wait,
        id: RequestId,
        key: &AssignmentKey,
        now: Timestamp,
    ) -> Result<bool, Fault> {
        let kept = self.is_kept_for_the_unknown(key).await?;
        if kept {
            self.excuse(sought, wait, id, now, self.settings.eligibility_retry);
        }
        Ok(kept)
    }

    /// Whether a start could be decided on here. What cannot be told here either is no reason to take over, and what nobody will be
    /// told any more waits for nobody. For what is over nothing is to be told.
    async fn can_be_decided(
        &self,
        sought: Sought,
        wait: Wait,
        request: &Request,
        now: Timestamp,
    ) -> Result<bool, Fault> {
        let id = request.raised.id;
        let begins = request.is_live(now) && request.approved().is_ok_and(|(_, active)| active.is_none());
        if !begins {
            return Ok(true);
        }
        Ok(match self.eligibility(request).await? {
            Eligibility::Eligible(_) | Eligibility::Lost(_) => true,
            Eligibility::Unknown(_) => {
                self.excuse(sought, wait, id, now, self.settings.eligibility_retry);
                false
            }
            Eligibility::Outdated(_) => {
                self.agenda.note_outdated(id, now);
                false
            }
        })
    }

    /// Whether the story of a request can be read to its end, so that something can follow.
    pub(in crate::process::duty) async fn can_be_recorded(&self, id: &RequestId) -> Result<bool, Fault> {
        match self.commander.load::<RequestAggregate>(&Stream::Request(*id)).await {
            Ok(_) => Ok(true),
            Err(LoadError::Corrupt(_)) => Ok(false),
            Err(unavailable @ LoadError::Unavailable(_)) => Err(unavailable.into()),
        }
    }
}

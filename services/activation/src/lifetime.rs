//! One request: ended when its window is over, and, where it is about credentials, activated and closed.
//!
//! What needs an assignment in AWS is begun and closed where the assignment is (`assignment`), by what is known of it there.

use crate::agenda::{Next, key_of, never_begun};
use crate::core::{Core, later};
use crate::eligibility::Eligibility;
use crate::fault::Fault;
use aws::sts::CHAINED_DURATION_MAX;
use command::aggregate::AssignmentAggregate;
use domain::{Provider, RequestId, SignedDuration, Timestamp};
use journal::Stream;
use lifecycle::assignment::Ledger;
use lifecycle::event::{Bound, Closed, ClosedHow, RequestEvent};
use lifecycle::state::{Active, Closure, Grant, Phase};
use lifecycle::{Request, access};

/// The operations of this service on a request, as in the ids of its events.
pub(crate) const ACTIVATE: &str = "activate";
/// Ends it.
pub(crate) const END: &str = "end";
/// Closes it.
pub(crate) const CLOSE: &str = "close";

/// Why a request cannot become active whose provider does not give its target, or gives it to users of Identity Center only.
const NOT_ASSIGNABLE: &str = "NotAssignable";

/// Why a request did not become active in whose way nothing stood that is known of: nobody was running, or not for long enough.
const NOT_IN_TIME: &str = "NotInTime";

/// Why no access is given while it cannot be told whether it may be. What cannot be told follows, after a colon.
pub(crate) const UNPROVABLE: &str = "Unprovable";

impl Core {
    /// Does what is due for one request.
    pub(crate) async fn attend(&self, id: RequestId) -> Result<Next, Fault> {
        let Some(request) = self.agenda.request(&id) else { return Ok(Next::Idle) };
        let now = self.now();
        match &request.phase {
            Phase::Approved { grant, active } => {
                self.attend_approved(&request, grant, active.as_ref(), now).await
            }
            Phase::Ended { closure: Closure::Closing, .. } => self.attend_closing(&request, now).await,
            Phase::Ended { closure: Closure::Closed { .. }, .. }
            | Phase::Pending
            | Phase::Expired { .. }
            | Phase::Rejected { .. } => Ok(Next::Idle),
        }
    }

    async fn attend_approved(
        &self,
        request: &Request,
        grant: &Grant,
        active: Option<&Active>,
        now: Timestamp,
    ) -> Result<Next, Fault> {
        let window = grant.approved.window;
        if now >= window.end() {
            return self.end_of_window(request, active.is_some()).await;
        }
        if now < window.start() {
            return Ok(Next::At(window.start()));
        }
        if active.is_none() && key_of(request).is_none() {
            match request.raised.grounds.provider {
                Provider::Sts => return self.activate_credentials(request).await,
                Provider::IdentityCenter | Provider::AccountAccess => {
                    self.fail(request, NOT_ASSIGNABLE.to_owned()).await?;
                    return Ok(Next::Idle);
                }
            }
        }
        Ok(Next::At(window.end()))
    }

    /// The window is over: elapsed; or failed, if the access never came about, because of what stood in the way.
    async fn end_of_window(&self, request: &Request, was_active: bool) -> Result<Next, Fault> {
        if was_active {
            self.react(request.raised.id, END, access::elapse).await?;
        } else {
            let reason = match self.obstacle(request).await? {
                Some(known) => known,
                None => self.why_not_begun(request).await,
            };
            self.fail(request, reason).await?;
        }
        Ok(Next::Idle)
    }

    /// What stood in the way last: as this process saw it, or as the ledger says.
    pub(crate) async fn obstacle(&self, request: &Request) -> Result<Option<String>, Fault> {
        if let Some(seen) = self.agenda.obstacle(&request.raised.id) {
            return Ok(Some(seen));
        }
        let (Some(key), Some(window)) = (key_of(request), request.window()) else { return Ok(None) };
        let loaded = self.commander.load::<AssignmentAggregate>(&Stream::assignment(&key)).await?;
        // What failed before it began was another request's, whatever has happened since.
        let begins_at = later(window.start(), -self.settings.start_lead());
        let since = |ledger: &&Ledger| ledger.failed_at.is_some_and(|failed_at| begins_at <= failed_at);
        let ledger = loaded.state.as_ref().filter(since);
        Ok(ledger.and_then(|ledger| ledger.last_failure.clone()))
    }

    /// Why a request did not begin of which nothing is remembered here. Whoever had the duty may have known, and be dead; so it is asked
    /// once more: what cannot be told now is taken for what could not be told then. The end does not depend on the answer.
    async fn why_not_begun(&self, request: &Request) -> String {
        match self.eligibility_at_start(request).await {
            // Who has just started knows nothing of the window.
            Ok(Eligibility::Unknown(why)) if self.views.directory.snapshot().is_none() => {
                format!("{NOT_IN_TIME}: {why}")
            }
            Ok(Eligibility::Unknown(why) | Eligibility::Outdated(why)) => {
                format!("{UNPROVABLE}: {why}")
            }
            Ok(Eligibility::Eligible(_) | Eligibility::Lost(_)) => NOT_IN_TIME.to_owned(),
            Err(fault) => format!("{UNPROVABLE}: {}", fault.code()),
        }
    }

    /// Ends a request as failed.
    pub(crate) async fn fail(&self, request: &Request, reason: String) -> Result<(), Fault> {
        tracing::warn!(request = %request.raised.id, reason, "access could not be brought about");
        self.react(request.raised.id, END, |request, _| access::fail(request, reason.clone())).await?;
        Ok(())
    }

    /// Ends a request whose grounds are gone.
    pub(crate) async fn no_longer_eligible(&self, request: &Request, reason: &str) -> Result<(), Fault> {
        self.react(request.raised.id, END, |request, _| access::lose_eligibility(request, reason.to_owned()))
            .await?;
        Ok(())
    }

    /// Notes that it cannot be told whether access may be given: it is not.
    pub(crate) fn not_provable(&self, request: &Request, why: &str) {
        tracing::warn!(request = %request.raised.id, why, "no access is given: eligibility cannot be told now");
        self.agenda.note_obstacle(request.raised.id, format!("{UNPROVABLE}: {why}"));
    }

    /// The same, where it will not be told any more.
    pub(crate) fn no_longer_provable(&self, request: &Request, why: &str) {
        self.not_provable(request, why);
        self.agenda.note_outdated(request.raised.id, self.now());
    }

    /// From now on credentials can be had. Nothing is made in AWS until they are asked for.
    async fn activate_credentials(&self, request: &Request) -> Result<Next, Fault> {
        let Some(window) = request.window() else { return Ok(Next::Idle) };
        match self.eligibility(request).await? {
            Eligibility::Eligible(found) => {
                // What is chained at the last moment outlives the session that it is chained from.
                let chained = if found.rule.session.allow_chaining {
                    CHAINED_DURATION_MAX
                } else {
                    SignedDuration::ZERO
                };
                let bound = Bound {
                    at_end: later(window.end(), chained),
                    after_early_end: found.rule.credential_duration_max.saturating_add(chained),
                    chained,
                };
                self.react(request.raised.id, ACTIVATE, |request, at| {
                    access::activate(request, bound, false, at)
                })
                .await?;
                Ok(Next::At(window.end()))
            }
            Eligibility::Lost(reason) => {
                self.no_longer_eligible(request, &reason).await?;
                Ok(Next::Idle)
            }
            Eligibility::Unknown(why) => {
                self.not_provable(request, &why);
                Ok(Next::At(later(self.now(), self.settings.eligibility_retry).min(window.end())))
            }
            Eligibility::Outdated(why) => {
                self.no_longer_provable(request, &why);
                Ok(Next::At(later(self.now(), self.settings.eligibility_retry).min(window.end())))
            }
        }
    }

    async fn attend_closing(&self, request: &Request, now: Timestamp) -> Result<Next, Fault> {
        if let Some(expires_at) = request.issues_expire_at() {
            if now < expires_at {
                return Ok(Next::At(expires_at));
            }
            // By a clock that may be ahead, they may work still.
            if self.views.certain_of_time().is_err() {
                return Ok(Next::At(later(now, self.settings.eligibility_retry)));
            }
            self.close(request, ClosedHow::CredentialsExpired).await?;
        } else if never_begun(request) || key_of(request).is_none() {
            self.close(request, ClosedHow::NothingCreated).await?;
        }
        Ok(Next::Idle)
    }

    /// Records that nothing of a request is left; not before its sessions are dead, where they are denied.
    pub(crate) async fn close(&self, request: &Request, how: ClosedHow) -> Result<(), Fault> {
        let given_up = how == ClosedHow::Abandoned;
        // Who gave up what is in an account that is gone gave up its sessions with it; where the user alone is gone, they go on.
        let sessions_gone = given_up && self.lacks_account(request.raised.target.account());
        if !sessions_gone && self.sessions_hold_open(request).await? {
            return Ok(());
        }
        let removed_at = if how == ClosedHow::Deleted { self.gone_at(request).await? } else { None };
        let (closed, now) = (Closed { how, removed_at }, self.now());
        let written = self
            .react(request.raised.id, CLOSE, |request, _| access::close(request, closed.clone(), now))
            .await?;
        // What another has closed, another has measured.
        if written
            && !given_up
            && let Some(length) = past_end_if(request, closed, now)
        {
            self.meters.past_end(request.raised.grounds.provider, length);
        }
        Ok(())
    }
}

/// For how long access was left past its end, if it is closed so.
pub(crate) fn past_end_if(request: &Request, closed: Closed, at: Timestamp) -> Option<SignedDuration> {
    Request::evolve(Some(request.clone()), &RequestEvent::Closed(closed), at)?.past_end()
}

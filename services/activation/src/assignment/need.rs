//! Which live requests need an assignment now. This is what "desired" means.

use super::ledger;
use crate::Missing;
use crate::agenda::{Extent, key_of};
use crate::core::{Core, later};
use crate::eligibility::Eligibility;
use crate::fault::Fault;
use crate::sweep::WRONG_MAX;
use command::LoadError;
use command::aggregate::RequestAggregate;
use domain::{Entitlement, RequestId, SignedDuration, Timestamp};
use journal::Stream;
use lifecycle::Request;
use lifecycle::assignment::{AssignmentKey, Ledger, Presence};
use lifecycle::event::Bound;
use lifecycle::state::{Active, Phase};
use std::collections::BTreeSet;
use views::clock_health::SKEW_MAX;

/// The longest session that any role can be set to allow. Daypass does not read the roles of the accounts, so this is what it
/// can honestly promise of the sessions of one.
const ROLE_SESSION_MAX: SignedDuration = SignedDuration::from_hours(12);

/// What stands in the way of a request whose history cannot be read.
const DAMAGED: &str = "HistoryDamaged";

/// The requests that need an assignment.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// When this was looked at: what began or ended since is not in it.
    pub(super) at: Timestamp,
    /// Live and active, or live and eligible; the active ones first. Where others removed what an active one has, it must be
    /// eligible as well.
    pub(super) by: Vec<Needed>,
    /// Whether there is a live request of which it cannot be told yet: nothing is begun for it, and nothing that is there is taken away.
    pub(super) unsure: bool,
    /// Those that were closing when this was looked at. Only they are closed by a ledger that is read after it: what ends
    /// later may have left something there since.
    pub(super) closing: BTreeSet<RequestId>,
}

/// One request that needs it.
#[derive(Debug)]
pub(super) struct Needed {
    /// Which.
    pub(super) id: RequestId,
    /// Since when: an attempt made earlier was not made for it.
    pub(super) since: Timestamp,
    /// When its window is over.
    pub(super) until: Timestamp,
    /// What its user will be told when it becomes active; `None`: it is.
    pub(super) bound: Option<Bound>,
    /// Whether what it has stood there before.
    pub(super) standing: bool,
}

impl Needed {
    /// Whether a creation is made for it by an attempt that the log dates `at`: not by one from before it was asked for. The log may be
    /// ahead of our clock, and by its time the window may be over. Where our clock may be behind, the log is believed; what is dated
    /// further ahead was a wrong clock's doing.
    pub(super) fn is_made_by(&self, at: Timestamp, now: Timestamp) -> bool {
        self.since <= at && (at < self.until || later(now, WRONG_MAX) < self.until)
    }

    /// Whether it has an assignment that we made.
    pub(super) fn has_ours(&self) -> bool {
        self.bound.is_none() && !self.standing
    }
}

impl Needs {
    pub(super) fn any(&self) -> bool {
        !self.by.is_empty()
    }
}

impl Core {
    /// Who needs the assignment now, as the read model (all that it has about this one) and the policy stand. Ends requests that lost their grounds.
    pub(super) async fn needs(&self, key: &AssignmentKey) -> Result<Needs, Fault> {
        self.take_up(Extent::About(key))?;
        let requests = self.agenda.requests_of(key);
        let closing = requests.iter().filter(|request| request.is_closing()).map(|request| request.raised.id);
        let mut needs = Needs { at: self.now(), closing: closing.collect(), ..Needs::default() };
        if !requests.iter().any(|request| self.may_ask(request)) {
            // Whatever its ledger says: so it is with most removals, and hundreds may be due at once.
            return Ok(needs);
        }
        let loaded = self.ledger(key).await?;
        let gone = loaded.state.as_ref().filter(|ledger| ledger.presence == Presence::Absent);
        let missing = match gone {
            Some(ledger) => Some(self.missing(ledger).await?),
            None => None,
        };
        for request in self.agenda.requests_of(key) {
            let id = request.raised.id;
            let Some(since) = self.wanted_since(&request, loaded.state.as_ref()).await? else { continue };
            let Some(window) = request.window() else { continue };
            let until = window.end();
            let active = request.approved().ok().and_then(|(_, active)| active.copied());
            if let Some(active) = active
                && !missing.is_some_and(|missing| makes_again(missing, active))
            {
                if self.agenda.is_let_go(&id) {
                    continue;
                }
                let standing = active.activated.standing;
                needs.by.insert(0, Needed { id, since, until, bound: None, standing });
                continue;
            }
            if !self.is_wanted_by_the_log(id, loaded.state.as_ref()).await? {
                continue;
            }
            match self.eligibility(&request).await? {
                Eligibility::Eligible(found) => match (active, bound(&request, &found.place)) {
                    (Some(active), _) => {
                        let standing = active.activated.standing;
                        needs.by.insert(0, Needed { id, since, until, bound: None, standing });
                    }
                    (None, Some(bound)) => {
                        needs.by.push(Needed { id, since, until, bound: Some(bound), standing: false });
                    }
                    (None, None) => needs.unsure = true,
                },
                Eligibility::Lost(reason) => self.no_longer_eligible(&request, &reason).await?,
                // A no by a directory from before it was approved is no answer yet; a newer one is on its way.
                Eligibility::Unknown(why) => {
                    self.not_provable(&request, &why);
                    needs.unsure = true;
                }
                Eligibility::Outdated(why) => self.no_longer_provable(&request, &why),
            }
        }
        Ok(needs)
    }

    /// Whether what is there of an assignment is kept for a live request of which it cannot be told, and for no other.
    pub(crate) async fn is_kept_for_the_unknown(&self, key: &AssignmentKey) -> Result<bool, Fault> {
        let loaded = self.ledger_unless_corrupt(key).await?;
        let ledger = loaded.as_ref().and_then(|loaded| loaded.state.as_ref());
        if ledger.is_none_or(|ledger| ledger.presence == Presence::Absent) {
            return Ok(false);
        }
        let mut kept = false;
        for request in self.agenda.requests_of(key) {
            let Some(active) = request.approved().ok().map(|(_, active)| active) else { continue };
            if self.wanted_since(&request, ledger).await?.is_none() {
                continue;
            }
            if active.is_some() {
                return Ok(false);
            }
            if !self.is_wanted_by_the_log(request.raised.id, ledger).await? {
                continue;
            }
            match self.eligibility(&request).await? {
                Eligibility::Eligible(_) => return Ok(false),
                Eligibility::Unknown(_) => kept = true,
                Eligibility::Lost(_) | Eligibility::Outdated(_) => {}
            }
        }
        Ok(kept)
    }

    /// Whether a request asks for its assignment now or will: it is approved, and its window is not over.
    fn may_ask(&self, request: &Request) -> bool {
        let now = request.time_of_next(self.now());
        request.approved().is_ok_and(|(grant, _)| now < grant.approved.window.end())
    }

    /// Since when a request asks for its assignment, if it does now: inside its window, or before it by as much as a queue would
    /// make it late, where that is set.
    async fn wanted_since(
        &self,
        request: &Request,
        ledger: Option<&Ledger>,
    ) -> Result<Option<Timestamp>, Fault> {
        let Ok((grant, active)) = request.approved() else { return Ok(None) };
        if !self.may_ask(request) {
            return Ok(None);
        }
        let window = grant.approved.window;
        // A clock that was set back takes nothing away: time has come at least as far as the story says.
        let now = request.time_of_next(self.now());
        let begins_at = later(window.start(), -self.start_lead(request, now));
        // How early a queue would make it is estimated anew each time: since when must not waver, and what was made by that stays.
        let since = later(window.start(), -self.settings.start_lead()).max(grant.at);
        let begun = active.is_some()
            || self.has_begun(begins_at, ledger)
            || (since <= self.now() && self.was_made_for(request, since, ledger).await?);
        Ok(begun.then_some(since))
    }

    /// Whether what is there was made in the lead of a request's start, since `since`: not for another that begins before it does.
    async fn was_made_for(
        &self,
        request: &Request,
        since: Timestamp,
        ledger: Option<&Ledger>,
    ) -> Result<bool, Fault> {
        let Some(ledger) = ledger.filter(|ledger| ledger.presence == Presence::Ours) else {
            return Ok(false);
        };
        let made_at = ledger::made_at(&self.ledger_events(&ledger.key).await?);
        let Some(made_at) = made_at.filter(|made_at| since <= *made_at) else { return Ok(false) };
        let start = |request: &Request| request.window().map(|window| window.start());
        let others = self.agenda.requests_of(&ledger.key);
        let mut earlier = others.iter().filter(|other| start(other) < start(request));
        Ok(!earlier.any(|other| self.asked_at(other, made_at)))
    }

    /// Whether a request may have asked for its assignment at a time.
    fn asked_at(&self, request: &Request, at: Timestamp) -> bool {
        let (grant, over_at) = match &request.phase {
            Phase::Ended { grant: Some(grant), at, .. } => (grant, *at),
            Phase::Approved { grant, .. } => (grant, grant.approved.window.end()),
            Phase::Ended { grant: None, .. }
            | Phase::Pending
            | Phase::Expired { .. }
            | Phase::Rejected { .. } => return false,
        };
        let begins_at = later(grant.approved.window.start(), -self.settings.start_lead());
        begins_at.max(grant.at) <= at && at <= over_at
    }

    /// Whether the time for something has come, by our clock: what the log says of time may be another's clock that is ahead. Only
    /// where ours may be behind, it takes nothing away: what was made by a time at which it had come is kept.
    fn has_begun(&self, begins_at: Timestamp, ledger: Option<&Ledger>) -> bool {
        let now = self.now();
        let made =
            ledger.is_some_and(|ledger| ledger.presence == Presence::Ours && begins_at <= ledger.last_at);
        let may_be_behind = || begins_at <= later(now, SKEW_MAX) || self.views.certain_of_time().is_err();
        begins_at <= now || (made && may_be_behind())
    }

    /// How long before its start a request's assignment is made: what AWS is expected to need from now on, within the bound.
    fn start_lead(&self, request: &Request, now: Timestamp) -> SignedDuration {
        let longest = self.settings.start_lead();
        if longest.is_zero() {
            return longest;
        }
        let usual = key_of(request).and_then(|key| self.usual_operation(&key));
        let Some(expected) = self.agenda.lead_needed(&request.raised.id, now, usual) else {
            return SignedDuration::ZERO;
        };
        // Some reserve: it is an estimate, and is made again only now and then.
        let lead = expected.saturating_add(expected / 4).saturating_add(super::tend::LEAD_AGAIN);
        lead.clamp(SignedDuration::ZERO, longest)
    }

    /// Whether the log itself says so: nothing is begun on a history that cannot be read to its end, and none is kept up by a
    /// request that is over although the read model does not know it yet.
    async fn is_wanted_by_the_log(&self, id: RequestId, ledger: Option<&Ledger>) -> Result<bool, Fault> {
        match self.commander.load::<RequestAggregate>(&Stream::Request(id)).await {
            Ok(loaded) => match &loaded.state {
                Some(request) => Ok(self.wanted_since(request, ledger).await?.is_some()),
                None => Ok(false),
            },
            Err(LoadError::Corrupt(_)) => {
                self.agenda.note_obstacle(id, DAMAGED.to_owned());
                Ok(false)
            }
            Err(unavailable @ LoadError::Unavailable(_)) => Err(unavailable.into()),
        }
    }
}

/// Whether what others removed of an active request would be made again. That gives access anew, so it takes what the
/// first time took: requester, approvers and policy are looked at again.
fn makes_again(missing: Missing, active: Active) -> bool {
    match missing {
        Missing::Restore => true,
        // The request ends; but what stood there before and was taken away is made for who still needs it.
        Missing::End => active.activated.standing,
    }
}

/// Role sessions outlive the assignment, until the permission set's session duration ends, or the role's; so the user is told. They
/// carry no session policy of ours, so whether they chain is for the permission set or the role to say: what they do comes on top.
fn bound(request: &Request, place: &views::Place) -> Option<Bound> {
    let session = match request.raised.target.entitlement() {
        Entitlement::PermissionSet(set) => place.directory().permission_set(set)?.session_duration,
        Entitlement::Role(_) => ROLE_SESSION_MAX,
    };
    let at_end = crate::core::later(request.window()?.end(), session);
    Some(Bound { at_end, after_early_end: session, chained: SignedDuration::ZERO })
}

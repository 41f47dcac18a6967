//! Due work that nobody has begun: of requests and their assignments, as far as the log tells.
//!
//! What AWS is at work on, what is tried again later, and what cannot be told here either is no reason to take over; but what goes
//! on failing is, now and then: it may be only who tries that AWS refuses.
//!
//! What cannot be done hides nothing that can, and a look has a bound, however much is due. Of each kind (ends, starts, removals, grants)
//! a part is looked at: half of it the latest, which usually no change of hands has failed yet, and half from where the part before it
//! ended, going round. So of N that wait and are not excused, each is looked at within N/32 looks where it is a story, N/16 where it is a
//! change, and N/8 where it fails; there is a look a second. The log is read for what is in a part, and for nothing else. What is found to
//! wait for something is excused until that may have come, for a minute at most (an hour where history cannot be read), and until then
//! it takes no place in a part: it costs a comparison in memory. Ends are a kind of their own because they need no proof, so none of
//! them waits behind a start that cannot be told.
//!
//! Two signs tell that the holder works. For stories any event of theirs will do. For changes only what came of AWS counts: whoever
//! records stories may be one whom AWS does not answer, and then of grants neither a failure nor an attempt tells.

use super::looks::Sought;
use super::{Unattended, What};
use crate::agenda::{Part, Wait, Waiting, key_of};
use crate::core::{Core, later};
use crate::eligibility::Eligibility;
use crate::fault::Fault;
use command::LoadError;
use command::aggregate::RequestAggregate;
use domain::{AccountId, RequestId, SignedDuration, Timestamp};
use journal::Stream;
use lifecycle::Request;
use lifecycle::assignment::{AssignmentKey, Ledger, Operation, Presence};
use lifecycle::duty::Duty;
use std::collections::{BTreeMap, BTreeSet};

/// Of what waits for an event alone, so much is looked at each time, of each kind.
const STORIES_MAX: usize = 64;

/// Of changes in AWS, of each kind. More than AWS takes at a time, so that it is seen whether that is all that waits.
const CHANGES_MAX: usize = 32;

/// Of changes that are late, of each kind, so many are looked at for one that fails.
const FAILING_MAX: usize = 16;

/// Of changes in one account, of each kind, so many are looked at for one that is under way.
const IN_ACCOUNT_MAX: usize = 32;

/// When to look again at what is in hands: something may have happened to it.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_mins(1);

/// When to look again at what cannot be done by anybody: history that cannot be read.
const HOPELESS_FOR: SignedDuration = SignedDuration::from_hours(1);

/// From a look at AWS to what comes of it, as a rule: for so long it is left to whoever got something done in AWS, or took over. More than
/// a look takes that is slow, for whoever loses the duty over it has looked in vain.
const HELPS_WITHIN: SignedDuration = SignedDuration::from_secs(5);

/// A change that fails is left for so long to whoever tries it while nothing comes of AWS under them: it may be them alone that AWS refuses.
const FAILS_ALONE_FOR: SignedDuration = SignedDuration::from_secs(30);

/// Changes of hands of this time count as made in vain, unless something came of AWS since. Older ones may have been for something else.
const IN_VAIN_WITHIN: SignedDuration = SignedDuration::from_mins(10);

/// So long changes in AWS are left to whoever took over last, at most, however often hands changed in vain: what is new may be possible.
const IN_VAIN_FOR: SignedDuration = SignedDuration::from_secs(90);

/// A change in AWS that waits.
struct Change {
    wait: Wait,
    request: Request,
    key: AssignmentKey,
    /// Since when it waits for what is to be done next.
    since: Timestamp,
}

/// Where a change stands, as far as its ledger tells.
enum Standing {
    /// It waits for something, and is excused until then, or until it is to be looked at again.
    Idle,
    /// Somebody is at work on it, in this account, or has just been told.
    InHands(AccountId),
    /// It could be begun.
    Ready(Box<Change>),
}

impl Core {
    /// Due work that whoever has the duty ought to have done by now.
    pub(super) async fn unattended(&self, held: &Duty, now: Timestamp) -> Result<Option<Unattended>, Fault> {
        self.shift.lock().looks.begin(now);
        if let Some(failing) = self.failing_for_long(held, now).await? {
            return Ok(Some(failing));
        }
        let alive_at = self.agenda.sign_of_life().map_or(held.claimed_at, |sign| sign.max(held.claimed_at));
        if now.duration_since(alive_at) >= self.settings.duty_patience {
            // Little but the log is needed for these.
            for wait in [Wait::End, Wait::Start] {
                if let Some(story) = self.unattended_story(held, wait, now).await? {
                    return Ok(Some(story));
                }
            }
        }
        let came_at = self.agenda.came_of_aws_at().map_or(held.claimed_at, |came| came.max(held.claimed_at));
        if now.duration_since(came_at) < self.help_patience() {
            return Ok(None);
        }
        self.unattended_change(held, came_at, now).await
    }

    /// How long nothing may come of AWS under whoever is at work.
    fn help_patience(&self) -> SignedDuration {
        self.settings.duty_patience.max(HELPS_WITHIN)
    }

    /// Until when changes in AWS are left to whoever took over last. Each change of hands after which nothing came of AWS doubles that, for
    /// what is new as well: where AWS answers nobody, it could go on with every start. Who has just begun to watch cannot tell what
    /// the changes before that were good for.
    fn left_until(&self, held: &Duty, now: Timestamp) -> Timestamp {
        let came_at = self.agenda.came_of_aws_at();
        let watching_since = self.shift.lock().watching_since;
        let counted_from = later(now, -IN_VAIN_WITHIN);
        let helped_at = [came_at, watching_since].into_iter().flatten().fold(counted_from, Timestamp::max);
        let patience = self.help_patience();
        let left_until = held.attended_until(helped_at.min(held.claimed_at), patience);
        left_until.min(later(held.claimed_at, IN_VAIN_FOR.max(patience)))
    }

    /// A part of what waits and is `wanted`, by since when: of what nobody has begun, without what is excused.
    fn part(
        &self,
        sought: Sought,
        wait: Wait,
        now: Timestamp,
        limit: usize,
        wanted: impl Fn(Timestamp) -> bool,
    ) -> Part {
        let known = self.shift.lock();
        let looks = &known.looks;
        let counts = |id: &RequestId| !looks.is_excused(sought, wait, id, now);
        let after = looks.round(sought, wait);
        self.agenda.waiting(wait, now, after, limit, |(since, id)| wanted(*since) && counts(id))
    }

    /// A change in AWS that fails whenever it is tried, for so long that another has a turn, sooner where nothing came of AWS since it
    /// waits; each turn is twice as long as the one before it.
    async fn failing_for_long(&self, held: &Duty, now: Timestamp) -> Result<Option<Unattended>, Fault> {
        let late_after = self.settings.removal_late_after;
        let came_at = self.agenda.came_of_aws_at();
        let patience = |since: Timestamp| match came_at {
            Some(came_at) if since <= came_at => late_after,
            Some(_) | None => late_after.min(FAILS_ALONE_FOR),
        };
        // Where AWS refuses everybody, what is new would be passed on with each start.
        let left_until = self.left_until(held, now);
        let is_over = |since: Timestamp| now >= left_until.max(held.attended_until(since, patience(since)));
        for wait in Wait::CHANGES {
            let undone = match wait {
                Wait::Removal => Presence::Ours,
                Wait::Grant | Wait::Start | Wait::End => Presence::Absent,
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

    fn of_request(&self, id: RequestId, since: Timestamp) -> Unattended {
        Unattended { what: What::Request(id), since, patience: self.settings.duty_patience }
    }

    /// The first of what waits for an event alone, and could be recorded here.
    async fn unattended_story(
        &self,
        held: &Duty,
        wait: Wait,
        now: Timestamp,
    ) -> Result<Option<Unattended>, Fault> {
        let is_over = |since: Timestamp| now >= held.attended_until(since, self.settings.duty_patience);
        let part = self.part(Sought::Unattended, wait, now, STORIES_MAX, is_over);
        for (since, id) in part.found {
            if self.can_be_done(Sought::Unattended, wait, &id, now).await? {
                return Ok(Some(self.of_request(id, since)));
            }
        }
        self.shift.lock().looks.went(Sought::Unattended, wait, part.to);
        Ok(None)
    }

    /// The first change in AWS that nobody has begun, although nothing keeps them from it.
    async fn unattended_change(
        &self,
        held: &Duty,
        came_at: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Unattended>, Fault> {
        let (mut ready, mut in_hands, mut rounds) = (Vec::new(), Vec::new(), Vec::new());
        let mut whole = true;
        for wait in Wait::CHANGES {
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
        // AWS takes no more at a time, so much of a queue waits for AWS; but something must come of it now and then.
        let is_queue = !whole || ready.len().saturating_add(in_hands.len()) > self.settings.outstanding_max;
        let is_left = now < self.left_until(held, now);
        let found = if is_left || (is_queue && !self.is_silent(came_at, now)) {
            None
        } else if is_queue {
            // Everything waits for something else in some account.
            self.first_that_can_begin(held, ready, None, now).await?
        } else {
            self.first_that_can_begin(held, ready, Some(in_hands.into_iter().collect()), now).await?
        };
        if found.is_none() {
            let mut known = self.shift.lock();
            for (wait, to) in rounds {
                known.looks.went(Sought::Unattended, wait, to);
            }
        }
        Ok(found)
    }

    /// Whether nothing has come of a queue for as long as an operation may take, while we watch: no access came or went, and of the
    /// ledgers that were looked at none was written.
    fn is_silent(&self, came_at: Timestamp, now: Timestamp) -> bool {
        let known = self.shift.lock();
        let came_at = known.looks.wrote_at().map_or(came_at, |at| at.max(came_at));
        let watched_for = known.watching_since.map(|since| now.duration_since(since));
        now.duration_since(came_at).min(watched_for.unwrap_or_default()) >= self.settings.operation_patience()
    }

    /// An account that is busy excuses, unless nothing does (`None`). Of the accounts some are known to be `busy`: of an account not all is
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
                let is_busy = excuses && self.is_busy(held, account, now).await?;
                known.insert(account.clone(), is_busy);
                is_busy
            };
            if !is_busy && self.can_begin(&change, now).await? {
                return Ok(Some(self.of_request(change.request.raised.id, change.since)));
            }
        }
        Ok(None)
    }

    /// Where a change stands, by its ledger: whether it could begin is not proven yet.
    async fn standing(
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
            self.shift.lock().looks.note_written(written_at);
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
    fn is_fresh(&self, held: &Duty, since: Timestamp, now: Timestamp) -> bool {
        now < later(since.max(held.claimed_at), self.help_patience())
    }

    /// Since when a change waits for what is to be done about it next. Where nothing is left in AWS any more that is to record so, and
    /// whoever tried in vain to remove it says nothing of that.
    fn waits_since(&self, ledger: Option<&Ledger>, request: &Request, since: Timestamp) -> Timestamp {
        let gone = ledger.filter(|ledger| request.is_closing() && ledger.is_settled_absent());
        gone.map_or(since, |ledger| since.max(self.agenda.happened_at(&ledger.key, ledger.last_at)))
    }

    /// Whether a call is under way, or was a moment ago, so that others in the account wait for it. Whoever intended it may be dead.
    fn is_at_work_on(
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

    /// Whether somebody is at work in an account, or may be: one change there waits for the other, also for one that is excused here or
    /// failed before.
    async fn is_busy(&self, held: &Duty, account: &AccountId, now: Timestamp) -> Result<bool, Fault> {
        for (since, id) in self.agenda.changes_in(account, now, IN_ACCOUNT_MAX) {
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

    /// Whether a change that is ready could be begun here.
    async fn can_begin(&self, change: &Change, now: Timestamp) -> Result<bool, Fault> {
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
    async fn can_be_done(
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
        if let Some(key) = key_of(&request).filter(|_| wait == Wait::Removal)
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
    pub(super) async fn can_be_recorded(&self, id: &RequestId) -> Result<bool, Fault> {
        match self.commander.load::<RequestAggregate>(&Stream::Request(*id)).await {
            Ok(_) => Ok(true),
            Err(LoadError::Corrupt(_)) => Ok(false),
            Err(unavailable @ LoadError::Unavailable(_)) => Err(unavailable.into()),
        }
    }

    fn excuse(&self, sought: Sought, wait: Wait, id: RequestId, now: Timestamp, by: SignedDuration) {
        self.shift.lock().looks.excuse(sought, wait, id, now, later(now, by));
    }
}

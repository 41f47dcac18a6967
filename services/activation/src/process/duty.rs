//! Which of several replicas does the work: whoever claimed the duty `activation` last. The others follow the log and watch how
//! long due work waits; one of them takes over when it waits too long, and nobody needs to say that they are alive.
//!
//! What waits is told by requests and ledgers alone: a window that is over and not recorded as over, a start or an end for which
//! the ledger knows no attempt. What AWS is at work on, what is tried again later, and what cannot be told here either is no
//! reason to take over.
//! INVARIANT: knowing to have the duty is never older than [`KNOWN_FOR`] when an errand begins, so a process that was paused looks
//! again first. Being wrong about it for that long is harmless: attempts are appended by compare-and-set, and calls have a fence.

use crate::agenda::Class;
use crate::core::{Core, later};
use crate::eligibility::Eligibility;
use crate::fault::Fault;
use command::aggregate::{DutyAggregate, RequestAggregate};
use command::{Command, CommandError, LoadError};
use domain::{EventId, RequestId, SignedDuration, Timestamp, hex};
use journal::{Fact, Stream};
use lifecycle::Rejection;
use lifecycle::Request;
use lifecycle::assignment::{AssignmentKey, Ledger, Presence};
use lifecycle::duty::{Claim, Duty, claim};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use views::Views;
use views::position::SHOWN_WITHIN;

/// The duty: changing AWS, with the limits that all replicas share, and recording what becomes of requests by itself.
const DUTY: &str = "activation";

/// For how long what the log said of the duty is believed.
const KNOWN_FOR: SignedDuration = SignedDuration::from_secs(1);

/// How long before something falls due the duty is looked at, so that it is known by then.
const LOOK_AHEAD: SignedDuration = SignedDuration::from_millis(500);

/// Of what waits for an event alone, so much is looked at.
const STORIES_MAX: usize = 64;

/// When to look again at what cannot be done by anybody: history that cannot be read.
const HOPELESS_FOR: SignedDuration = SignedDuration::from_hours(1);

/// A name that no other process has.
pub(crate) fn name(views: &Views) -> String {
    let mut chance = [0_u8; 8];
    views.entropy.fill(&mut chance);
    hex(&chance)
}

/// What a replica knows of who does the work.
pub(crate) struct Shift {
    replica: String,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    duty: Option<Duty>,
    /// When the log said so.
    looked_at: Option<Timestamp>,
    /// Until when what waits is no reason to take over.
    excused: BTreeMap<RequestId, Timestamp>,
}

impl Shift {
    pub(crate) fn new(replica: String) -> Self {
        Self { replica, known: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the duty is ours; `None`: it is not known any more, or was never.
    pub(crate) fn is_ours(&self, now: Timestamp) -> Option<bool> {
        let known = self.lock();
        let age = now.duration_since(known.looked_at?);
        let believed = !age.is_negative() && age < KNOWN_FOR;
        believed.then(|| known.duty.as_ref().is_some_and(|duty| duty.holder == self.replica))
    }

    /// Whether another had it when it was looked at last.
    fn was_anothers(&self) -> bool {
        self.lock().duty.as_ref().is_some_and(|duty| duty.holder != self.replica)
    }

    fn learn(&self, duty: Option<Duty>, looked_at: Timestamp) {
        let mut known = self.lock();
        let ours = |duty: &Option<Duty>| duty.as_ref().is_some_and(|duty| duty.holder == self.replica);
        let (before, after) = (ours(&known.duty), ours(&duty));
        if before != after {
            tracing::info!(replica = self.replica, on_duty = after, "the duty changes hands");
        }
        known.duty = duty;
        known.looked_at = Some(looked_at);
    }
}

/// Work that nobody seems to do.
struct Unattended {
    id: RequestId,
    since: Timestamp,
}

impl Core {
    /// Whether this replica has the duty, as the log says now or said a moment ago.
    pub(crate) async fn on_duty(&self) -> Result<bool, Fault> {
        if let Some(known) = self.shift.is_ours(self.now()) {
            return Ok(known);
        }
        let duty = self.look_at_duty().await?;
        Ok(duty.is_some_and(|duty| duty.holder == self.shift.replica))
    }

    /// Whether this replica looks for what nobody asks for: it has the duty, or nobody has it yet. What the reconciler knows of
    /// the duty stays as it is: it looks for itself, and whether it ought to take over.
    pub(crate) async fn sweeps(&self) -> Result<bool, Fault> {
        let duty = self.duty().await?;
        Ok(duty.is_none_or(|duty| duty.holder == self.shift.replica))
    }

    /// Whether it is worth while to ask the log who has the duty: there is something to do, or something that nobody does.
    pub(crate) fn should_look_at_duty(&self, now: Timestamp) -> bool {
        if self.shift.was_anothers() {
            let classes = [Class::Story, Class::Removal, Class::Grant];
            return classes.into_iter().any(|class| !self.agenda.waiting(class, now, 1).is_empty());
        }
        self.agenda.has_due(later(now, LOOK_AHEAD))
    }

    async fn look_at_duty(&self) -> Result<Option<Duty>, Fault> {
        let looked_at = self.now();
        let duty = self.duty().await?;
        self.shift.learn(duty.clone(), looked_at);
        Ok(duty)
    }

    /// Who has the duty, as the log says. Where it cannot be read any more, everybody has it: if nobody did, access would stay past
    /// its end for ever, while two who do the same meet compare-and-set, and fences.
    async fn duty(&self) -> Result<Option<Duty>, Fault> {
        match self.commander.load::<DutyAggregate>(&Stream::Duty(DUTY.to_owned())).await {
            Ok(loaded) => Ok(loaded.state.clone()),
            Err(LoadError::Corrupt(corrupt)) => {
                tracing::error!(%corrupt, "who has the duty cannot be read: every replica does the work");
                let holder = self.shift.replica.clone();
                Ok(Some(Duty { holder, claimed_at: self.now(), claims: Vec::new() }))
            }
            Err(unavailable @ LoadError::Unavailable(_)) => Err(unavailable.into()),
        }
    }

    /// Looks who has the duty, and takes over if what is due waits for nobody.
    pub(crate) async fn see_to_duty(&self) -> Result<(), Fault> {
        let duty = self.look_at_duty().await?;
        let now = self.now();
        let Some(held) = &duty else {
            // Nobody does anything: whatever is due will do.
            let due = self.agenda.has_due(later(now, LOOK_AHEAD));
            return if due { self.claim(None, now).await } else { Ok(()) };
        };
        if held.holder == self.shift.replica {
            return Ok(());
        }
        if self.unattended(held, now).await?.is_none() {
            return Ok(());
        }
        // What seems to wait may be long done: so it seems to who was paused.
        self.catch_up().await?;
        match self.unattended(held, self.now()).await? {
            Some(work) => self.claim(Some(work.id), work.since).await,
            None => Ok(()),
        }
    }

    async fn catch_up(&self) -> Result<(), Fault> {
        let reached = tokio::time::timeout(SHOWN_WITHIN, self.views.requests.projection().reach_head()).await;
        reached.map_err(|_| Fault::Behind)?.map_err(|error| Fault::Log(error.to_string()))?;
        self.refresh()
    }

    async fn claim(&self, work: Option<RequestId>, since: Timestamp) -> Result<(), Fault> {
        let mut chance = [0_u8; 16];
        self.views.entropy.fill(&mut chance);
        let event_id = EventId::from_parts([b"duty".as_slice(), chance.as_slice()]);
        let command = Command { event_id, actor: None, digest: None, trace: None };
        let replica = &self.shift.replica;
        let claimed = self
            .commander
            .execute::<DutyAggregate, Rejection>(Stream::Duty(DUTY.to_owned()), command, |loaded, at| {
                let offer = Claim {
                    replica: replica.clone(),
                    waiting_since: Some(since.min(at)),
                    patience: self.settings.duty_patience,
                    at,
                };
                claim(loaded.state.as_ref(), offer).map(Fact::Duty)
            })
            .await;
        match claimed {
            Ok(_) => {
                // Only work that another leaves undone is worth a warning; somebody has to be the first.
                match work {
                    Some(request) => {
                        tracing::warn!(replica, %request, %since, "takes over: due work waits under another");
                    }
                    None => tracing::info!(replica, "takes the duty, which nobody has"),
                }
                self.look_at_duty().await.map(|_| ())
            }
            // Another was faster, or patience is not over.
            Err(CommandError::Refused(_)) => Ok(()),
            Err(error) => Err(Fault::of_command(&error)),
        }
    }

    /// Due work that whoever has the duty ought to have done by now.
    async fn unattended(&self, held: &Duty, now: Timestamp) -> Result<Option<Unattended>, Fault> {
        let is_over = |since: Timestamp| now >= held.attended_until(since, self.settings.duty_patience);
        let alive = self.agenda.sign_of_life().map_or(held.claimed_at, |sign| sign.max(held.claimed_at));
        let silent_for = now.duration_since(alive);
        if silent_for < self.settings.duty_patience {
            return Ok(None);
        }
        // Nothing but the log is needed for these.
        for (since, id) in self.agenda.waiting(Class::Story, now, STORIES_MAX) {
            if is_over(since) && !self.is_excused(&id, now) && self.can_be_recorded(&id, now).await? {
                return Ok(Some(Unattended { id, since }));
            }
        }
        let most = self.settings.outstanding_max.saturating_add(1);
        let mut changes = self.agenda.waiting(Class::Removal, now, most);
        changes.extend(self.agenda.waiting(Class::Grant, now, most.saturating_sub(changes.len())));
        if changes.len() >= most {
            // AWS takes no more at a time, so much of this waits for AWS; but something must come of it now and then.
            let oldest =
                changes.iter().filter(|(since, id)| is_over(*since) && !self.is_excused(id, now)).min();
            let silent = silent_for >= self.settings.operation_patience();
            return Ok(oldest.filter(|_| silent).map(|(since, id)| Unattended { id: *id, since: *since }));
        }
        self.unattended_change(held, &changes, now).await
    }

    /// The first of a few changes in AWS that nobody has begun, although nothing keeps them from it.
    async fn unattended_change(
        &self,
        held: &Duty,
        changes: &[(Timestamp, RequestId)],
        now: Timestamp,
    ) -> Result<Option<Unattended>, Fault> {
        let mut found = Vec::new();
        let mut busy = BTreeSet::new();
        for (since, id) in changes {
            let Some(request) = self.agenda.request(id) else { continue };
            let Some(key) = crate::agenda::key_of(&request) else { continue };
            let attended_until = self.change_attended_until(held, &request, &key, *since, now).await?;
            if now < attended_until {
                self.excuse(*id, attended_until);
                busy.insert(key.target.account().clone());
            } else {
                found.push((*since, *id, key));
            }
        }
        let first = found.into_iter().find(|(_, _, key)| !busy.contains(key.target.account()));
        Ok(first.map(|(since, id, _)| Unattended { id, since }))
    }

    /// Until when a change in AWS that is due since `since` is in hands, as far as the log tells.
    async fn change_attended_until(
        &self,
        held: &Duty,
        request: &Request,
        key: &AssignmentKey,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<Timestamp, Fault> {
        let until = held.attended_until(since, self.settings.duty_patience);
        let id = request.raised.id;
        if now < until {
            return Ok(until);
        }
        if let Some(until) = self.shift.lock().excused.get(&id).filter(|until| now < **until) {
            return Ok(*until);
        }
        if !self.can_be_recorded(&id, now).await? {
            return Ok(later(now, HOPELESS_FOR));
        }
        let loaded = match self
            .commander
            .load::<command::aggregate::AssignmentAggregate>(&Stream::assignment(key))
            .await
        {
            Ok(loaded) => loaded,
            Err(LoadError::Corrupt(_)) => return Ok(later(now, HOPELESS_FOR)),
            Err(unavailable @ LoadError::Unavailable(_)) => return Err(unavailable.into()),
        };
        let by_ledger =
            loaded.state.as_ref().map(|ledger| self.ledger_attended_until(held, ledger, request, since));
        if let Some(until) = by_ledger.filter(|until| now < *until) {
            return Ok(until);
        }
        if request.is_closing() {
            return Ok(until);
        }
        Ok(match self.eligibility(request).await? {
            Eligibility::Eligible(_) | Eligibility::Lost(_) => until,
            // Nor could we.
            Eligibility::Unknown(_) => later(now, self.settings.eligibility_retry),
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
            return later(attempt.at.max(held.claimed_at), self.settings.operation_patience());
        }
        let fenced = ledger.fence.filter(|_| request.is_closing() && ledger.presence != Presence::Ours);
        if let Some(fence) = fenced {
            return later(fence, self.settings.operation_patience().saturating_add(patience));
        }
        if ledger.last_at < since {
            return since;
        }
        let pause = match ledger.failures {
            0 => SignedDuration::ZERO,
            failures => {
                SignedDuration::try_from(self.settings.backoff(failures)).unwrap_or(SignedDuration::MAX)
            }
        };
        later(ledger.last_at, pause.saturating_add(patience))
    }

    /// Whether the story of a request can be read to its end, so that something can follow.
    async fn can_be_recorded(&self, id: &RequestId, now: Timestamp) -> Result<bool, Fault> {
        match self.commander.load::<RequestAggregate>(&Stream::Request(*id)).await {
            Ok(_) => Ok(true),
            Err(LoadError::Corrupt(_)) => {
                self.excuse(*id, later(now, HOPELESS_FOR));
                Ok(false)
            }
            Err(unavailable @ LoadError::Unavailable(_)) => Err(unavailable.into()),
        }
    }

    fn is_excused(&self, id: &RequestId, now: Timestamp) -> bool {
        self.shift.lock().excused.get(id).is_some_and(|until| now < *until)
    }

    fn excuse(&self, id: RequestId, until: Timestamp) {
        let mut known = self.shift.lock();
        let now = self.now();
        known.excused.retain(|_, until| now < *until);
        known.excused.insert(id, until);
    }
}

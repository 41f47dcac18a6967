//! Which of several replicas does the work: whoever claimed the duty `activation` last. The others follow the log and watch how
//! long due work waits; one of them takes over when it waits too long, and nobody needs to say that they are alive.
//!
//! - `waiting`: what waits as requests and ledgers tell it: a window that is over and not recorded as over, a start or an end for
//!   which the ledger knows no attempt (`looks`: what is remembered of it from one look to the next);
//! - `undone`: what the others find when they look through ledgers and organisation themselves, and nobody has seen to.
//!
//! INVARIANT: knowing to have the duty is never older than [`KNOWN_FOR`] when an errand begins, so a process that was paused looks
//! again first. Being wrong about it for that long is harmless: attempts are appended by compare-and-set, and calls have a fence.

mod looks;
mod undone;
mod waiting;

use crate::agenda::Extent;
use crate::core::{Core, later};
use crate::fault::Fault;
use command::aggregate::DutyAggregate;
use command::{Command, CommandError, LoadError};
use domain::{AccountId, EventId, RequestId, SignedDuration, Timestamp, hex};
use journal::{Fact, Stream};
use lifecycle::Rejection;
use lifecycle::assignment::AssignmentKey;
use lifecycle::duty::{Claim, Duty, claim};
use std::sync::{Mutex, MutexGuard, PoisonError};
use views::Views;
use views::position::SHOWN_WITHIN;

/// The duty: changing AWS, with the limits that all replicas share, and recording what becomes of requests by itself.
const DUTY: &str = journal::types::ACTIVATION_DUTY;

/// For how long what the log said of the duty is believed.
const KNOWN_FOR: SignedDuration = SignedDuration::from_secs(1);

/// How long before something falls due the duty is looked at, so that it is known by then.
const LOOK_AHEAD: SignedDuration = SignedDuration::from_millis(500);

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
    undone: undone::Undone,
}

#[derive(Default)]
struct Known {
    duty: Option<Duty>,
    /// When the log said so.
    looked_at: Option<Timestamp>,
    /// The latest claim, where it was dated ahead of our clock when it was read first, and since when it is known here.
    ahead: Option<(Duty, Timestamp)>,
    /// Since when everything that is due is known here, so that what becomes of it would be seen.
    watching_since: Option<Timestamp>,
    /// What is known of due work from earlier looks.
    looks: looks::Looks,
}

impl Shift {
    pub(crate) fn new(replica: String) -> Self {
        Self { replica, known: Mutex::default(), undone: undone::Undone::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that is due is known here now. A clock that was set back has not watched for longer.
    fn watches(&self, now: Timestamp) {
        let mut known = self.lock();
        known.watching_since = Some(known.watching_since.map_or(now, |since| since.min(now)));
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

    /// A duty, dated no later than it is known here: also once the date has come, for the claim was no later for that.
    fn as_known(&self, duty: Duty, now: Timestamp) -> Duty {
        let mut known = self.lock();
        let since = match &known.ahead {
            // A clock that was set back has not known it for longer.
            Some((seen, since)) if *seen == duty => (*since).min(now),
            Some(_) | None if duty.claimed_at <= now => {
                known.ahead = None;
                return duty;
            }
            Some(_) | None => now,
        };
        known.ahead = Some((duty.clone(), since));
        duty.known_since(since)
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
    what: What,
    since: Timestamp,
    /// How long it may wait.
    patience: SignedDuration,
}

/// What it is about.
enum What {
    Request(RequestId),
    Assignment(AssignmentKey),
    /// A restored log, before AWS was looked through.
    Restored,
    Denials(AccountId),
}

impl std::fmt::Display for What {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Request(id) => write!(f, "request {id}"),
            Self::Assignment(key) => write!(f, "{} for {}", key.target, key.principal),
            Self::Restored => f.write_str("the restored log"),
            Self::Denials(account) => write!(f, "what is denied in {account}"),
        }
    }
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

    /// Whether this replica has the duty, or nobody has it yet, for who decides nothing by it: what the reconciler knows of the duty
    /// stays as it is.
    pub(crate) async fn seems_on_duty(&self) -> Result<bool, Fault> {
        match self.shift.is_ours(self.now()) {
            Some(known) => Ok(known),
            None => self.sweeps().await,
        }
    }

    /// Whether it is worth while to ask the log who has the duty: there is something to do, or something that nobody does.
    pub(crate) fn should_look_at_duty(&self, now: Timestamp) -> bool {
        if self.shift.was_anothers() {
            return self.agenda.is_waiting(now);
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
            Ok(loaded) => Ok(loaded.state.clone().map(|duty| self.shift.as_known(duty, self.now()))),
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
            return if due { self.claim(None).await } else { Ok(()) };
        };
        if held.holder == self.shift.replica {
            return Ok(());
        }
        // What is due and not taken up yet may be what keeps the holder busy.
        if !self.agenda.knows_due(now) {
            return Ok(());
        }
        self.shift.watches(now);
        if self.unattended(held, now).await?.is_none() {
            return Ok(());
        }
        // What seems to wait may be long done: so it seems to who was paused.
        self.catch_up().await?;
        match self.unattended(held, self.now()).await? {
            Some(work) => self.claim(Some(work)).await,
            None => Ok(()),
        }
    }

    /// Whether it is for this replica to look through AWS since the log was restored, at this time; others have `patience` with who
    /// took that over. Who had the duty in the backup may not be there any more.
    pub(crate) async fn sees_to_restored(
        &self,
        at: Timestamp,
        patience: SignedDuration,
    ) -> Result<bool, Fault> {
        match self.duty().await? {
            None => self.claim(None).await?,
            Some(held) if held.holder == self.shift.replica => return Ok(true),
            Some(held) => {
                let patience = if held.claimed_at > at { patience } else { self.settings.duty_patience };
                if self.now() >= held.attended_until(at, patience) {
                    self.claim(Some(Unattended { what: What::Restored, since: at, patience })).await?;
                }
            }
        }
        self.sweeps().await
    }

    /// Takes up all that the log has now.
    pub(crate) async fn catch_up(&self) -> Result<(), Fault> {
        let reached = tokio::time::timeout(SHOWN_WITHIN, self.views.requests.projection().reach_head()).await;
        reached.map_err(|_| Fault::Behind)?.map_err(|error| Fault::Log(error.to_string()))?;
        self.take_up(Extent::Due).map(|_| ())
    }

    /// Whether what is to be denied since `since` has waited for so long that another may take over.
    pub(crate) async fn may_take_over_denials(
        &self,
        since: Timestamp,
        patience: SignedDuration,
    ) -> Result<bool, Fault> {
        let held = self.duty().await?;
        Ok(held.is_some_and(|held| self.now() >= held.attended_until(since, patience)))
    }

    /// Takes over for the sake of what is to be denied in an account since `since`, once that has waited; says whether the duty is
    /// ours now.
    pub(crate) async fn take_over_denials(
        &self,
        account: &AccountId,
        since: Timestamp,
        patience: SignedDuration,
    ) -> Result<bool, Fault> {
        if !self.may_take_over_denials(since, patience).await? {
            return Ok(false);
        }
        self.claim(Some(Unattended { what: What::Denials(account.clone()), since, patience })).await?;
        self.on_duty().await
    }

    /// Takes over for the sake of `work`; `None`: nobody has the duty.
    async fn claim(&self, work: Option<Unattended>) -> Result<(), Fault> {
        let mut chance = [0_u8; 16];
        self.views.entropy.fill(&mut chance);
        let event_id = EventId::from_parts([b"duty".as_slice(), chance.as_slice()]);
        let command = Command { event_id, actor: None, digest: None, trace: None };
        let replica = &self.shift.replica;
        let claimed = self
            .commander
            .execute::<DutyAggregate, Rejection>(Stream::Duty(DUTY.to_owned()), command, |loaded, at| {
                let at = self.now().min(at);
                let held = loaded.state.clone().map(|duty| self.shift.as_known(duty, at));
                let offer = Claim {
                    replica: replica.clone(),
                    waiting_since: Some(work.as_ref().map_or(at, |work| work.since.min(at))),
                    patience: work.as_ref().map_or(self.settings.duty_patience, |work| work.patience),
                    at,
                };
                claim(held.as_ref(), offer).map(Fact::Duty)
            })
            .await;
        match claimed {
            Ok(_) => {
                // Only work that another leaves undone is worth a warning; somebody has to be the first.
                if let Some(Unattended { what, since, .. }) = work {
                    tracing::warn!(replica, %what, %since, "takes over: due work waits under another");
                } else {
                    tracing::info!(replica, "takes the duty, which nobody has");
                }
                self.look_at_duty().await.map(|_| ())
            }
            // Another was faster, or patience is not over.
            Err(CommandError::Refused(_)) => Ok(()),
            Err(error) => Err(Fault::of_command(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_back_counts_what_it_watches_from_then_on() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let shift = Shift::new("one".to_owned());
        for (now, since) in [(3_600, 3_600), (3_610, 3_600), (10, 10), (20, 10)] {
            shift.watches(at(now));
            assert_eq!(shift.lock().watching_since, Some(at(since)), "at {now}");
        }
    }

    #[test]
    fn a_claim_that_was_dated_ahead_counts_from_when_it_was_known_also_after_that_date() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let shift = Shift::new("one".to_owned());
        let ahead = Duty { holder: "two".to_owned(), claimed_at: at(300), claims: vec![at(300)] };
        for now in [10, 299, 300, 4_000] {
            let known = shift.as_known(ahead.clone(), at(now));
            assert_eq!((known.claimed_at, known.claims), (at(10), vec![at(10)]), "at {now}");
        }
        let next = Duty { holder: "one".to_owned(), claimed_at: at(4_001), claims: vec![at(300), at(4_001)] };
        assert_eq!(shift.as_known(next.clone(), at(4_002)), next);
    }
}

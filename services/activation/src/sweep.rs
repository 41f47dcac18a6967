//! What no request asks for: assignments that our ledgers or AWS know of, and nobody needs.
//!
//! INVARIANT: AWS having something is no reason to remove it. Only what a ledger says is ours is removed, by the same errand as
//! everything else ([`Core::tend`]), which looks at requests and log again before it calls. Someone else's is noted in a ledger
//! once, and left alone; that it is gone is noted as well, and then what comes back once more.

mod left;
mod places;
mod standing;
mod unknown;

use crate::agenda::Extent;
use crate::core::{Core, later};
use crate::fault::Fault;
use crate::meters::Drift;
use command::Aggregate as _;
use command::aggregate::{AssignmentAggregate, DenialAggregate};
use domain::{AccountId, SignedDuration, Timestamp};
use event_log::{Position, Recorded};
use futures::TryStreamExt as _;
use journal::{Event, Fact, Stream};
use lifecycle::Request;
use lifecycle::assignment::{self, AssignmentEvent, AssignmentKey, Ledger, Presence};
use lifecycle::denial::Denials;
use lifecycle::log::LogEvent;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;
use tokio::sync::{Mutex, MutexGuard, Notify};
use views::clock_health::SKEW_MAX;

/// By how much a clock may be wrong that is not in doubt: by what has to be noticed, and by what an answer leaves open, whose date is
/// cut to the second and which was under way for a while.
pub(crate) const WRONG_MAX: SignedDuration = SignedDuration::from_secs(SKEW_MAX.as_secs() + 3);

/// By how much two clocks may differ of which neither is in doubt.
pub(crate) const APART_MAX: SignedDuration = SignedDuration::from_secs(2 * WRONG_MAX.as_secs());

/// How the names of ledgers' streams begin.
const LEDGERS: &str = "assignment-";

/// How those of the denials of accounts do.
const DENIALS: &str = "denial-";

/// How that of the log's own story does.
const LOG: &str = "log-";

/// The ledgers of which something is, or may yet appear, in AWS; as of a place in the log.
///
/// The others are forgotten, but for the keys of what others made, so this is as large as what is there. A ledger that is taken up
/// again begins like a new one: what is forgotten of it (that it stood there, that it was tried) changes nothing of what is asked here.
#[derive(Default)]
pub(crate) struct Ledgers(Mutex<Followed>);

struct Followed {
    to: Position,
    open: BTreeMap<String, Ledger>,
    denials: BTreeMap<String, Denials>,
    /// The accounts of whose denials something cannot be read.
    unreadable: BTreeSet<AccountId>,
    /// What others made and is there, by its ledger.
    standing: BTreeMap<String, AssignmentKey>,
    /// Whether the log was restored, and AWS not looked through since.
    unswept: bool,
    /// What was found in AWS in that time, and is neither adopted nor seen to be gone, by its ledger.
    unknown: BTreeMap<String, AssignmentKey>,
}

impl Default for Followed {
    fn default() -> Self {
        Self {
            to: Position::START,
            open: BTreeMap::new(),
            denials: BTreeMap::new(),
            unreadable: BTreeSet::new(),
            standing: BTreeMap::new(),
            unswept: false,
            unknown: BTreeMap::new(),
        }
    }
}

impl Followed {
    fn take_up(&mut self, recorded: &Recorded) {
        self.to = recorded.position;
        let stream = recorded.stream.as_str();
        if ![LEDGERS, DENIALS, LOG].iter().any(|kind| stream.starts_with(kind)) {
            return;
        }
        let envelope = &recorded.envelope;
        let event =
            journal::decode_recorded(stream, &envelope.event_id, envelope.writer.as_str(), &envelope.body);
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                let account = stream.strip_prefix(DENIALS).map(AccountId::new);
                if let Some(Ok(account)) = account {
                    // Told where it is seen to (`denial`).
                    self.unreadable.insert(account);
                    return;
                }
                tracing::error!(stream, %error, "a ledger has an event that cannot be read: what it says is not swept");
                return;
            }
        };
        if let Fact::Log(fact) = &event.fact {
            self.unswept = matches!(fact, LogEvent::Restored { .. });
            return;
        }
        if stream.starts_with(DENIALS) {
            let denials = DenialAggregate::evolve(self.denials.remove(stream), &event);
            self.denials.extend(denials.map(|denials| (stream.to_owned(), denials)));
            return;
        }
        let before = self.open.remove(stream);
        let ledger = AssignmentAggregate::evolve(before, &event);
        self.note_standing(stream, &event, ledger.as_ref());
        self.note_unknown(stream, &event, ledger.as_ref());
        if let Some(ledger) = ledger.filter(is_open) {
            self.open.insert(stream.to_owned(), ledger);
        }
    }
}

/// Whether something of ours is in AWS, or may appear there.
fn is_open(ledger: &Ledger) -> bool {
    !ledger.is_settled_absent() || ledger.abandoned
}

/// What this replica was asked to look at while another has the duty, and has not looked at yet.
#[derive(Default)]
pub(crate) struct Asked {
    keys: std::sync::Mutex<BTreeSet<AssignmentKey>>,
    more: Notify,
}

impl Asked {
    pub(crate) fn add(&self, keys: BTreeSet<AssignmentKey>) {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).extend(keys);
        self.more.notify_one();
    }

    /// The next of them, once there is one.
    pub(crate) async fn next(&self) -> AssignmentKey {
        loop {
            let next = self.keys.lock().unwrap_or_else(PoisonError::into_inner).pop_first();
            if let Some(key) = next {
                return key;
            }
            self.more.notified().await;
        }
    }
}

impl Core {
    /// The ledgers of which something is, or may yet appear, in AWS, as of now.
    pub(crate) async fn open_ledgers(&self) -> Result<Vec<Ledger>, Fault> {
        Ok(self.follow_ledgers().await?.open.values().cloned().collect())
    }

    /// What was ever denied, by account, as of now; and the accounts of which that cannot be read.
    pub(crate) async fn followed_denials(&self) -> Result<(Vec<Denials>, BTreeSet<AccountId>), Fault> {
        let followed = self.follow_ledgers().await?;
        Ok((followed.denials.values().cloned().collect(), followed.unreadable.clone()))
    }

    async fn follow_ledgers(&self) -> Result<MutexGuard<'_, Followed>, Fault> {
        let mut followed = self.ledgers.0.lock().await;
        let mut events = self.views.log.read_all(followed.to);
        while let Some(recorded) = events.try_next().await.map_err(|error| Fault::Log(error.to_string()))? {
            followed.take_up(&recorded);
        }
        Ok(followed)
    }

    /// Sees to every open ledger that nobody sees to soon: no request is about it, or only such as begin later.
    pub(crate) async fn sweep_ledgers(&self) -> Result<(), Fault> {
        for ledger in self.open_ledgers().await? {
            self.refresh().await?;
            if ledger.late_removal.is_some() {
                // Who has just started knows no better.
                self.agenda.note_at_risk(&ledger.key, true);
            }
            if self.is_seen_to(&ledger.key) {
                continue;
            }
            if ledger.is_settled_absent() {
                // Given up, with its account or its user. Should these come back, so may what was theirs.
                if self.is_back(&ledger.key)
                    && let Err(fault) = self.inspect(&ledger.key).await
                {
                    tracing::debug!(target = %ledger.key.target, %fault, "what was given up cannot be looked at");
                }
                continue;
            }
            self.see_to_orphan(&ledger.key, ledger.presence);
        }
        Ok(())
    }

    /// Whether an errand on an assignment is under way, or is due before the next sweep.
    fn is_seen_to(&self, key: &AssignmentKey) -> bool {
        let check_within = self.settings.sweep_interval.max(self.settings.eligibility_retry);
        self.agenda.is_seen_to(key, self.now(), check_within)
    }

    /// Ours, and no request needs it: seen to like what a request has left.
    fn see_to_orphan(&self, key: &AssignmentKey, presence: Presence) {
        if presence == Presence::Ours {
            tracing::warn!(target = %key.target, principal = %key.principal, "ours, and no request needs it: it is removed");
            self.meters.drift(Drift::Orphan);
        }
        self.agenda.see_to_orphan(key, self.now());
    }

    /// Looks at one assignment now, notes what is there or missing, and has it seen to: here, or by whoever has the duty, who hears
    /// of what is noted ([`Self::heed_ledger`]).
    pub(crate) async fn inspect(&self, key: &AssignmentKey) -> Result<(), Fault> {
        let looked_at = self.now();
        if self.look(key).await? {
            self.note(key, looked_at).await?;
        } else {
            self.note_missing(key, looked_at).await?;
        }
        if self.sweeps().await? {
            self.look_again_at(&Stream::assignment(key)).await?;
        }
        Ok(())
    }

    /// Sees to an assignment once anybody has noted that AWS is not as its ledger says, that it is ours after all, or that it was given
    /// up.
    pub(crate) async fn heed_ledger(&self, event: &Event) -> Result<(), Fault> {
        let Fact::Assignment(
            AssignmentEvent::DriftFound { .. }
            | AssignmentEvent::Adopted { .. }
            | AssignmentEvent::Abandoned { .. },
        ) = &event.fact
        else {
            return Ok(());
        };
        if self.sweeps().await? { self.look_again_at(&event.stream).await } else { Ok(()) }
    }

    async fn look_again_at(&self, ledger: &Stream) -> Result<(), Fault> {
        let loaded = self.commander.load::<AssignmentAggregate>(ledger).await?;
        let Some(ledger) = &loaded.state else { return Ok(()) };
        let now = self.now();
        if ledger.presence == Presence::Ours && !self.agenda.is_accounted_for(&ledger.key, now) {
            // What must go waits for nothing that must come, even if a request about it begins later.
            self.agenda.see_to_orphan(&ledger.key, now);
        } else if !ledger.is_settled_absent() || self.agenda.has(&ledger.key) {
            self.agenda.look_at(&ledger.key, now);
        }
        Ok(())
    }

    /// Notes that AWS, looked at since `looked_at`, lacks an assignment that a live request has, or that others made.
    pub(crate) async fn note_missing(&self, key: &AssignmentKey, looked_at: Timestamp) -> Result<(), Fault> {
        let loaded = self.ledger(key).await?;
        let lacking = loaded.state.as_ref().filter(|ledger| self.lacks(ledger, looked_at));
        let Some(ledger) = lacking else { return Ok(()) };
        // Whoever has it by a request that was not taken up yet lacks it as well.
        self.take_up(Extent::About(key))?;
        let now = self.now();
        let has = |request: &Request| {
            request.is_live(now) && request.approved().is_ok_and(|(_, active)| active.is_some())
        };
        let is_had = self.agenda.requests_of(key).iter().any(has);
        // What is ours and needed by nobody is removed, seen or not.
        if !is_had && ledger.presence != Presence::Standing {
            return Ok(());
        }
        let missing =
            |ledger: Option<&Ledger>, _| assignment::attempt(ledger, key, true, false, Timestamp::MAX);
        let written = self.write(key, loaded.revision, missing).await?.is_ok();
        if written && !is_had {
            tracing::info!(target = %key.target, principal = %key.principal, "someone else's, and gone");
        } else if written {
            tracing::warn!(target = %key.target, present = false, "AWS is not as the ledger says");
            self.meters.drift(Drift::Missing);
        }
        Ok(())
    }

    /// Whether a look of `looked_at` that did not find an assignment proves that its ledger is wrong.
    pub(crate) fn lacks(&self, ledger: &Ledger, looked_at: Timestamp) -> bool {
        ledger.presence != Presence::Absent && self.proves_absence(ledger, looked_at)
    }

    /// Notes that AWS, looked at since `looked_at`, has an assignment.
    async fn note(&self, key: &AssignmentKey, looked_at: Timestamp) -> Result<(), Fault> {
        let loaded = self.ledger(key).await?;
        if loaded.state.as_ref().is_some_and(|ledger| self.list_proves_nothing(ledger, looked_at)) {
            return Ok(());
        }
        let written = self.write(key, loaded.revision, |ledger, _| assignment::notice(ledger, key)).await?;
        let Ok(written) = written else { return Ok(()) };
        match written.event {
            AssignmentEvent::StandingFound { .. } => {
                tracing::info!(target = %key.target, principal = %key.principal, "someone else's: left alone");
                self.meters.drift(Drift::Standing);
            }
            AssignmentEvent::DriftFound { .. }
            | AssignmentEvent::Attempted { .. }
            | AssignmentEvent::AttemptAbandoned { .. }
            | AssignmentEvent::Confirmed { .. }
            | AssignmentEvent::Failed { .. }
            | AssignmentEvent::Adopted { .. }
            | AssignmentEvent::AbandonAsked { .. }
            | AssignmentEvent::Abandoned { .. } => {
                tracing::warn!(target = %key.target, principal = %key.principal, "ours has appeared after all");
                self.meters.drift(Drift::Ours);
            }
        }
        Ok(())
    }

    /// Notes what was found at a place of the organisation, and has it seen to where it is ours.
    pub(crate) async fn note_found(&self, key: &AssignmentKey, looked_at: Timestamp) -> Result<(), Fault> {
        self.note(key, looked_at).await?;
        let loaded = self.ledger(key).await?;
        let Some(ledger) = &loaded.state else { return Ok(()) };
        self.refresh().await?;
        if !ledger.is_settled_absent() && !self.is_seen_to(key) {
            self.see_to_orphan(key, ledger.presence);
        }
        Ok(())
    }

    /// Looks who holds what at one place of the organisation. Adds the calls that it took to `calls`.
    pub(crate) async fn sweep_place(&self, place: usize, calls: &mut usize) -> Result<(), Fault> {
        let Some(directory) = self.views.directory.snapshot() else { return Ok(()) };
        let listed = self.held_in(&directory, place, calls).await?;
        self.note_gone(&listed).await?;
        let there: BTreeSet<AssignmentKey> = listed.held.iter().cloned().collect();
        self.note_held(listed.held, listed.looked_at).await;
        match self.place_of(&directory, place) {
            Some(place) => self.inspect_unknown(&place, &there).await,
            None => Ok(()),
        }
    }

    /// Notes what users hold at one place.
    async fn note_held(&self, held: Vec<AssignmentKey>, looked_at: Timestamp) {
        for key in held {
            if let Err(fault) = self.note_found(&key, looked_at).await {
                tracing::warn!(target = %key.target, principal = %key.principal, %fault, "what is there cannot be noted");
            }
        }
    }

    /// Whether a list of `looked_at` may not show yet what the ledger's latest event brought about.
    pub(crate) fn list_is_stale(&self, ledger: &Ledger, looked_at: Timestamp) -> bool {
        looked_at < later(self.agenda.happened_at(&ledger.key, ledger.last_at), self.settings.list_lag_max)
    }

    /// Whether a list of `looked_at` in which it is not proves that what the ledger says is there is gone. A clock that is ahead takes
    /// a list for newer than it is, and one that was behind has dated what it wrote before it was so.
    pub(crate) fn proves_absence(&self, ledger: &Ledger, looked_at: Timestamp) -> bool {
        let surely_at = later(looked_at, -APART_MAX);
        !self.list_is_stale(ledger, surely_at) && self.views.certain_of_time().is_ok()
    }

    /// Whether an account is known to have left the organisation, or to be closed.
    pub(crate) fn lacks_account(&self, account: &AccountId) -> bool {
        self.views.directory.snapshot().is_some_and(|directory| lacks(&directory, account))
    }

    /// Whether the account and the user of what was given up are there, as far as is known. While they are not, AWS may go on listing
    /// it: nobody can use it, and to remove it would fail as before. An old directory does not say that they have come back, nor
    /// does none.
    fn is_back(&self, key: &AssignmentKey) -> bool {
        self.views.directory.snapshot().is_some_and(|directory| !is_gone(&directory, key))
    }

    /// Whether nothing may be noted by a list of `looked_at`: it is that stale, or may be, because our clock may be ahead. What was
    /// given up waits for no clock: the latest change of ours is long ago, and what has come back is to be removed; but what has not
    /// come back is listed all the same.
    pub(crate) fn list_proves_nothing(&self, ledger: &Ledger, looked_at: Timestamp) -> bool {
        if ledger.abandoned && !self.is_back(&ledger.key) {
            return true;
        }
        let in_doubt = !ledger.abandoned && self.views.certain_of_time().is_err();
        in_doubt || self.list_is_stale(ledger, looked_at)
    }
}

/// Whether a directory says that an assignment cannot be removed any more: its account has left the organisation or is closed, or
/// its user is there no more. A user who is disabled is there.
pub(crate) fn is_gone(directory: &aws::Directory, key: &AssignmentKey) -> bool {
    lacks(directory, key.target.account()) || directory.user(&key.principal).is_none()
}

/// Whether an account has left the organisation, or is closed, as a directory says.
fn lacks(directory: &aws::Directory, account: &AccountId) -> bool {
    directory.account(account).is_none_or(|account| !account.active)
}

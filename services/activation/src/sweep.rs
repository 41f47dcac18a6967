//! What no request asks for: assignments that our ledgers or AWS know of, and nobody needs.
//!
//! INVARIANT: AWS having something is no reason to remove it. Only what a ledger says is ours is removed, by the same errand as
//! everything else ([`Core::tend`]), which looks at requests and log again before it calls. Someone else's is noted in a ledger
//! once, and left alone.

use crate::assignment::ledger::NotWritten;
use crate::core::{Core, later};
use crate::fault::Fault;
use crate::meters::Drift;
use crate::traffic::Urgency;
use command::Aggregate as _;
use command::aggregate::AssignmentAggregate;
use domain::{AccountId, Entitlement, PermissionSetArn, Target, Timestamp};
use event_log::{Position, Recorded};
use futures::TryStreamExt as _;
use lifecycle::Rejection;
use lifecycle::assignment::{self, AssignmentEvent, AssignmentKey, Ledger, Presence};
use std::collections::BTreeMap;
use tokio::sync::Mutex;

/// How the names of ledgers' streams begin.
const LEDGERS: &str = "assignment-";

/// The ledgers of which something is, or may yet appear, in AWS; as of a place in the log.
///
/// The others are forgotten, so this is as large as what is there. A ledger that is taken up again begins like a new one: what is
/// forgotten of it (that it stood there, that it was tried) changes nothing of what is asked here.
#[derive(Default)]
pub(crate) struct Ledgers(Mutex<Followed>);

struct Followed {
    to: Position,
    open: BTreeMap<String, Ledger>,
}

impl Default for Followed {
    fn default() -> Self {
        Self { to: Position::START, open: BTreeMap::new() }
    }
}

impl Followed {
    fn take_up(&mut self, recorded: &Recorded) {
        self.to = recorded.position;
        let stream = recorded.stream.as_str();
        if !stream.starts_with(LEDGERS) {
            return;
        }
        let envelope = &recorded.envelope;
        let event =
            journal::decode_recorded(stream, &envelope.event_id, envelope.writer.as_str(), &envelope.body);
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                tracing::error!(stream, %error, "a ledger has an event that cannot be read: what it says is not swept");
                return;
            }
        };
        let before = self.open.remove(stream);
        if let Some(ledger) = AssignmentAggregate::evolve(before, &event).filter(is_open) {
            self.open.insert(stream.to_owned(), ledger);
        }
    }
}

/// Whether something of ours is in AWS, or may appear there.
fn is_open(ledger: &Ledger) -> bool {
    !ledger.is_settled_absent() || ledger.abandoned
}

/// What a look at AWS came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing is there.
    Nothing,
    /// What is there is known.
    Known,
    /// What is there was not known, and is noted now.
    Noted,
}

impl Core {
    /// The ledgers of which something is, or may yet appear, in AWS, as of now.
    pub(crate) async fn open_ledgers(&self) -> Result<Vec<Ledger>, Fault> {
        let mut followed = self.ledgers.0.lock().await;
        let mut events = self.views.log.read_all(followed.to);
        while let Some(recorded) = events.try_next().await.map_err(|error| Fault::Log(error.to_string()))? {
            followed.take_up(&recorded);
        }
        Ok(followed.open.values().cloned().collect())
    }

    /// Sees to every open ledger that no unfinished request is about.
    pub(crate) async fn sweep_ledgers(&self) -> Result<(), Fault> {
        if !self.sweeps().await? {
            return Ok(());
        }
        for ledger in self.open_ledgers().await? {
            self.refresh()?;
            if self.agenda.has(&ledger.key) {
                continue;
            }
            if ledger.is_settled_absent() {
                // Given up, with its account. Should the account come back, so may what is in it.
                if let Err(fault) = self.inspect(&ledger.key).await {
                    tracing::debug!(target = %ledger.key.target, %fault, "what was given up cannot be looked at");
                }
                continue;
            }
            self.see_to_orphan(&ledger.key, ledger.presence);
        }
        Ok(())
    }

    /// Ours, and no request is about it: seen to like what a request has left.
    fn see_to_orphan(&self, key: &AssignmentKey, presence: Presence) {
        if presence == Presence::Ours {
            tracing::warn!(target = %key.target, principal = %key.principal, "ours, and no request is about it: it is removed");
            self.meters.drift(Drift::Orphan);
        }
        self.agenda.look_at(key, self.now());
    }

    /// Looks at one assignment now, notes what is there, and has it seen to.
    pub(crate) async fn inspect(&self, key: &AssignmentKey) -> Result<Found, Fault> {
        let looked_at = self.now();
        let found = if self.look(key).await? { self.note(key, looked_at).await? } else { Found::Nothing };
        if self.ledger(key).await?.state.as_ref().is_some_and(|ledger| !ledger.is_settled_absent()) {
            self.agenda.look_at(key, self.now());
        }
        Ok(found)
    }

    /// Notes that AWS, looked at since `looked_at`, has an assignment.
    async fn note(&self, key: &AssignmentKey, looked_at: Timestamp) -> Result<Found, Fault> {
        let loaded = self.ledger(key).await?;
        let is_stale = |ledger: &Ledger| looked_at < later(ledger.last_at, self.settings.list_lag_max);
        if loaded.state.as_ref().is_some_and(is_stale) {
            // A list proves nothing so soon after a change of ours.
            return Ok(Found::Known);
        }
        match self.write(key, loaded.revision, |ledger, _| assignment::notice(ledger, key)).await? {
            Ok(written) => {
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
                Ok(Found::Noted)
            }
            Err(NotWritten::Moved | NotWritten::Refused(Rejection::AsItShouldBe | _)) => Ok(Found::Known),
        }
    }

    /// How many places the organisation has to look at: a permission set in an account each.
    pub(crate) fn places(&self) -> usize {
        let Some(directory) = self.views.directory.snapshot() else { return 0 };
        let contents = directory.contents();
        contents.permission_sets.len().saturating_mul(swept_accounts(&directory).count())
    }

    /// Looks who holds what at one place of the organisation.
    pub(crate) async fn sweep_place(&self, place: usize) -> Result<(), Fault> {
        let Some((account, set)) = self.place_of(place) else { return Ok(()) };
        let entitlement = Entitlement::PermissionSet(set);
        let traffic = self.identity_center_traffic();
        traffic.call(Urgency::Check).await;
        let looked_at = self.now();
        let look = self.ports.identity_center().holders(&account, &entitlement);
        let holders = tokio::time::timeout(self.settings.call_within, look).await.unwrap_or_else(|_| {
            Err(aws::AwsError::new(aws::ErrorKind::Unavailable, "Timeout", "no answer came"))
        });
        traffic.heard(&holders);
        for principal in holders? {
            let Ok(target) = Target::new(account.clone(), entitlement.clone()) else { continue };
            let key = AssignmentKey { principal, target };
            self.note(&key, looked_at).await?;
            let loaded = self.ledger(&key).await?;
            let Some(ledger) = &loaded.state else { continue };
            self.refresh()?;
            if !ledger.is_settled_absent() && !self.agenda.has(&key) {
                self.see_to_orphan(&key, ledger.presence);
            }
        }
        Ok(())
    }

    fn place_of(&self, place: usize) -> Option<(AccountId, PermissionSetArn)> {
        let directory = self.views.directory.snapshot()?;
        let sets = &directory.contents().permission_sets;
        let account = swept_accounts(&directory).nth(place.checked_div(sets.len())?)?;
        let set = sets.keys().nth(place.checked_rem(sets.len())?)?;
        Some((account.clone(), set.clone()))
    }
}

/// The accounts in which Daypass could have assigned anything.
fn swept_accounts(directory: &aws::Directory) -> impl Iterator<Item = &AccountId> {
    let accounts = directory.contents().accounts.iter();
    accounts.filter(|(_, account)| account.active && !account.management).map(|(id, _)| id)
}

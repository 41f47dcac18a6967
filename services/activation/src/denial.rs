//! Live sessions of requests that ended early: denied in their account until they must be dead, where a deployment allows it.
//!
//! - Which: requests that ended before their window did and had access, or may have had it before anybody heard so. Not standing
//!   access, the person's own or a group's, not while another live request of the same person needs the same, not in the management
//!   account (which no service control policy binds).
//! - How (`policy`): the ledger of the account's denials; each attempt says everything that is to be denied there.
//! - Until: the last session has expired. A request is closed only after that, for what denies it is left in AWS.
//!
//! INVARIANT: where it cannot be done (AWS's limits, no rights), the bound that was told when the access began still stands.

mod policy;
mod undenied;

use crate::agenda::{key_of, never_begun};
use crate::assignment::ledger;
use crate::core::{Core, later};
use crate::fault::Fault;
use crate::sweep::WRONG_MAX;
use crate::traffic::Urgency;
use aws::{AwsError, ErrorKind, GroupId};
use domain::{AccountId, Entitlement, PermissionSetArn, Provider, RequestId, SignedDuration, Timestamp};
use lifecycle::Request;
use lifecycle::assignment::{AssignmentKey, Presence};
use lifecycle::denial::Denied;
use lifecycle::state::Phase;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{MutexGuard, PoisonError};

/// After so many requests of an account that cannot be told, the others are told by what is known: AWS may be silent, and what needs
/// nothing of it must not wait.
const ASKED_IN_VAIN_MAX: usize = 3;

/// The longest session that a permission set can be set to allow (IAM Identity Center User Guide, "Set session duration").
const SESSION_MAX: SignedDuration = SignedDuration::from_hours(12);

/// For so long who did not say which groups hold something is not asked again: longer than the above take to time out, so that what can be
/// told is denied before they are.
const ASK_AGAIN_AFTER: SignedDuration = SignedDuration::from_mins(1);

/// What took so long and gave no answer would take as long again.
const ASKED_FOR_LONG: SignedDuration = SignedDuration::from_secs(1);

/// After so many failures in a row, requests whose sessions are dead do not wait for what denies them.
const LIFTING_TRIES: u32 = 3;

/// Who is asked through which groups people hold what they have an assignment for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// AWS: by who has the duty, or is about to take it over.
    Aws,
    /// Nobody, by who only watches: AWS's limit of calls is for those who have something to do. What AWS said before counts, however
    /// long ago that was, and what others have tried to deny; where neither tells, no group holds the same.
    Nobody,
}

/// What is left of an early end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sessions {
    /// Those that began before are its own; `None`: its own can be told by a tag.
    begun_before: Option<Timestamp>,
    /// When the last of them must be dead.
    dead_at: Timestamp,
    /// Whether no more of them can begin.
    complete: bool,
    /// Whether it is known that they are its own; otherwise a group may hold the same.
    certain: bool,
}

/// Whether the assignment of an ended request is gone.
#[derive(Clone, Copy, Debug, Default)]
struct Gone {
    /// When it was first, at the latest; `None`: not yet.
    at: Option<Timestamp>,
    /// Whether nothing of it can appear any more: then `at` is when that which had appeared was gone as well.
    for_good: bool,
}

/// What is left of an account's closing requests, as far as that can be told.
#[derive(Debug, Default)]
pub(crate) struct Left {
    /// What can be told.
    pub(crate) sessions: BTreeMap<RequestId, Sessions>,
    /// Those of which it cannot be told now: nothing is added or lifted for their sake.
    pub(crate) untold: BTreeSet<RequestId>,
    /// What is denied of these already.
    kept: Denied,
    /// Whether it is not known what of one of them is denied: then nothing can be written that leaves that as it is.
    pub(crate) stuck: bool,
    /// Why one of them cannot be told.
    fault: Option<Fault>,
}

impl Left {
    /// What AWS is told of all of them.
    pub(crate) fn denied(&self) -> Denied {
        let told = self.sessions.iter().map(|(id, sessions)| (*id, sessions.begun_before));
        told.chain(self.kept.iter().map(|(id, begun_before)| (*id, *begun_before))).collect()
    }

    /// Itself; a fault where the account has to wait.
    pub(crate) fn unless_stuck(mut self) -> Result<Self, Fault> {
        if self.stuck
            && let Some(fault) = self.fault.take()
        {
            return Err(fault);
        }
        Ok(self)
    }

    /// Whether something of a request is left, or may be.
    pub(crate) fn may_have(&self, id: &RequestId) -> bool {
        self.sessions.contains_key(id) || self.untold.contains(id)
    }

    /// Whether all of it could be told.
    pub(crate) fn told(self) -> Result<(), Fault> {
        self.fault.map_or(Ok(()), Err)
    }
}

impl Core {
    /// Whether something about the sessions of a closing request is still to be done, so that it is not closed yet. What denies the
    /// dead is in nobody's way: where it cannot be lifted now, the request does not wait for it.
    pub(crate) async fn sessions_hold_open(&self, request: &Request) -> Result<bool, Fault> {
        if self.ports.session_denials().is_none() || never_begun(request) {
            return Ok(false);
        }
        if self.sessions_left(request, Ask::Aws).await?.is_some() {
            return Ok(true);
        }
        // Where it cannot be read what is denied, nobody will ever lift it.
        let Some(denials) = self.denials(request.raised.target.account()).await? else { return Ok(false) };
        Ok(denials
            .state
            .as_ref()
            .is_some_and(|denials| denials.failures < LIFTING_TRIES && denials.may_deny(&request.raised.id)))
    }

    /// What is left of an account's closing requests. That one cannot be told keeps none of the others waiting.
    pub(crate) async fn all_sessions_left(
        &self,
        account: &AccountId,
        closing: &[Request],
        ask: Ask,
    ) -> Result<Left, Fault> {
        let mut left = Left::default();
        // Whoever was not answered before comes last, so that the others are asked about.
        let (first, last): (Vec<_>, Vec<_>) = closing
            .iter()
            .partition(|request| !key_of(request).is_some_and(|key| self.is_asked_in_vain(&key)));
        for request in first.into_iter().chain(last) {
            let id = request.raised.id;
            let asked = if left.untold.len() < ASKED_IN_VAIN_MAX { ask } else { Ask::Nobody };
            match self.sessions_left(request, asked).await {
                Ok(None) => {}
                Ok(Some(sessions)) if sessions.certain || ask == Ask::Nobody => {
                    left.sessions.insert(id, sessions);
                }
                Ok(Some(_)) => {
                    left.untold.insert(id);
                }
                Err(fault) => {
                    left.untold.insert(id);
                    if left.fault.is_none() {
                        left.fault = Some(fault);
                    }
                }
            }
        }
        if left.untold.is_empty() {
            return Ok(left);
        }
        let loaded = self.denials(account).await?;
        if let Some(denials) = loaded.as_ref().and_then(|loaded| loaded.state.as_ref()) {
            let unknown = |id: &RequestId| denials.may_deny(id) && !denials.confirmed.contains_key(id);
            left.stuck = left.untold.iter().any(unknown);
            let untold = denials.confirmed.iter().filter(|(id, _)| left.untold.contains(*id));
            left.kept = untold.map(|(id, begun_before)| (*id, *begun_before)).collect();
        }
        Ok(left)
    }

    /// Until when nothing is expected of whoever has the duty for a closing request, because its sessions are still to die; `None`:
    /// something is, or that cannot be told now.
    pub(crate) async fn waits_for_sessions_until(&self, request: &Request) -> Option<Timestamp> {
        self.ports.session_denials()?;
        let known = self.sessions_left(request, Ask::Nobody).await.ok()?;
        let sessions = match known.filter(|sessions| sessions.certain) {
            Some(sessions) => sessions,
            // Who asks this is about to take over.
            None => self.sessions_left(request, Ask::Aws).await.ok()??,
        };
        self.held_until(&sessions)
    }

    /// Until when a request is held open for its sessions, and nobody is late with it.
    pub(crate) fn held_until(&self, sessions: &Sessions) -> Option<Timestamp> {
        let held = sessions.complete && sessions.certain;
        held.then(|| later(sessions.dead_at, self.settings.removal_late_after))
    }

    /// Whether sessions that must be dead at `dead_at` may live. By a clock that may be ahead, nothing is dead.
    fn may_live(&self, dead_at: Timestamp) -> bool {
        self.now() < dead_at || self.views.certain_of_time().is_err()
    }

    /// Whether a request that is not over needs an assignment.
    fn is_needed(&self, key: &AssignmentKey) -> bool {
        let now = self.now();
        let needs = |request: &Request| request.is_live(now) && !self.agenda.is_let_go(&request.raised.id);
        self.agenda.requests_of(key).iter().any(needs)
    }

    /// Which of its sessions are to be denied, by when they began, and when the last of them must be dead.
    async fn sessions_left(&self, request: &Request, ask: Ask) -> Result<Option<Sessions>, Fault> {
        let Some(sessions) = self.sessions_by_log(request).await? else { return Ok(None) };
        let Some(key) = key_of(request) else { return Ok(Some(sessions)) };
        // Its sessions cannot be told from those of a group's standing assignment.
        Ok(match self.is_held_by_group(request.raised.id, &key, ask).await? {
            Some(true) => None,
            held => Some(Sessions { certain: held.is_some(), ..sessions }),
        })
    }

    /// The same, if no group holds what the request was about.
    async fn sessions_by_log(&self, request: &Request) -> Result<Option<Sessions>, Fault> {
        let Phase::Ended { at: ended_at, active, .. } = &request.phase else { return Ok(None) };
        let early = request.window().is_some_and(|window| *ended_at < window.end());
        let account = request.raised.target.account();
        if !early || self.is_management(account) {
            return Ok(None);
        }
        match request.raised.grounds.provider {
            Provider::Sts => {
                let dead_at = request.issues_expire_at().filter(|dead_at| self.may_live(*dead_at));
                let left = |dead_at| Sessions { begun_before: None, dead_at, complete: true, certain: true };
                Ok(dead_at.map(left))
            }
            Provider::IdentityCenter => {
                let Some(key) = key_of(request) else { return Ok(None) };
                if self.is_needed(&key) || !self.may_have_had(request, &key).await? {
                    return Ok(None);
                }
                // Until the assignment is gone, new sessions can begin.
                let gone = self.gone(request.raised.id, &key, *ended_at).await?;
                // AWS dates sessions by its own clock, which may be ahead of the one that saw it gone.
                let begun_before = later(gone.at.unwrap_or(*ended_at), WRONG_MAX);
                // It may have been raised since their bound was told, and only the directory says so.
                let told = active.map(|active| active.activated.bound.after_early_end);
                let longest =
                    self.session_duration(&key).map_or(SESSION_MAX, |now| told.max(Some(now)).unwrap_or(now));
                let dead_at = later(begun_before, longest);
                if !self.may_live(dead_at) || self.is_nameless(request, &key).await? {
                    return Ok(None);
                }
                Ok(Some(Sessions {
                    begun_before: Some(begun_before),
                    dead_at,
                    complete: gone.for_good,
                    certain: true,
                }))
            }
            // Its sessions carry nothing that tells them from others of the same role.
            Provider::AccountAccess => Ok(None),
        }
    }

    /// Whether a request had an assignment of its own, or may have had: AWS may have made it although nobody recorded so, or before the
    /// start. Of what its ledger does not tell nothing is denied: it may be others'.
    async fn may_have_had(&self, request: &Request, key: &AssignmentKey) -> Result<bool, Fault> {
        let Phase::Ended { grant: Some(grant), active, .. } = &request.phase else { return Ok(false) };
        if let Some(active) = active {
            return Ok(!active.activated.standing);
        }
        if never_begun(request) || self.ledger_unless_corrupt(key).await?.is_none() {
            return Ok(false);
        }
        let earliest = later(grant.approved.window.start(), -self.settings.start_lead());
        let events = self.ledger_events(key).await?;
        Ok(ledger::may_have_made(&events, earliest.max(grant.at)))
    }

    /// Whether the user of an assignment holds the same through a group; `None`: it is not known, and nobody is to be asked.
    async fn is_held_by_group(
        &self,
        id: RequestId,
        key: &AssignmentKey,
        ask: Ask,
    ) -> Result<Option<bool>, Fault> {
        if ask == Ask::Aws {
            return Ok(Some(!self.groups_holding(key, Urgency::Look).await?.is_empty()));
        }
        let told = self.held_by_groups().get(key).map(|(_, groups)| !groups.is_empty());
        if told.is_some() {
            return Ok(told);
        }
        if self.agenda.was_denied(&id) {
            return Ok(Some(false));
        }
        // Who tried to deny them has asked before.
        let Some(denials) = self.denials(key.target.account()).await? else {
            // Nothing is denied there, whoever holds the same.
            return Ok(Some(false));
        };
        if denials.state.as_ref().is_some_and(|denials| denials.may_deny(&id)) {
            self.agenda.note_denied(id);
            return Ok(Some(false));
        }
        Ok(None)
    }

    /// Whether an assignment was gone after `since`. Where its ledger cannot be read, that is never known: then what began before the end is
    /// denied, and nobody else's sessions wait for it.
    async fn gone(&self, id: RequestId, key: &AssignmentKey, since: Timestamp) -> Result<Gone, Fault> {
        if let Some(known) = self.agenda.gone_at(&id) {
            return Ok(Gone { at: Some(known), for_good: true });
        }
        let loaded = self.ledger_unless_corrupt(key).await?;
        let Some(ledger) = loaded.as_ref().and_then(|loaded| loaded.state.as_ref()) else {
            return Ok(Gone::default());
        };
        if ledger.presence == Presence::Ours && ledger.last_at < since {
            return Ok(Gone::default());
        }
        let events = self.ledger_events(key).await?;
        let Some(at) = ledger::settled_absent_since(&events, since) else {
            return Ok(Gone { at: ledger::removed_at(&events, since), for_good: false });
        };
        self.agenda.note_gone(id, at);
        Ok(Gone { at: Some(at), for_good: true })
    }

    /// How long sessions live that begin now, where the directory says so: it may have changed since their bound was told.
    fn session_duration(&self, key: &AssignmentKey) -> Option<SignedDuration> {
        let Entitlement::PermissionSet(set) = key.target.entitlement() else { return None };
        Some(self.views.directory.snapshot()?.permission_set(set)?.session_duration)
    }

    /// Whether nobody knows any more what the permission set of a request was called: its sessions cannot be told from others. Someone is
    /// told of it once.
    async fn is_nameless(&self, request: &Request, key: &AssignmentKey) -> Result<bool, Fault> {
        let Entitlement::PermissionSet(set) = key.target.entitlement() else { return Ok(false) };
        if self.views.directory.snapshot().is_none() || self.name_of(set).is_some() {
            return Ok(false);
        }
        let id = request.raised.id;
        let denials = self.denials(key.target.account()).await?;
        let denials = denials.as_ref().and_then(|loaded| loaded.state.as_ref());
        if denials.is_some_and(|denials| denials.names.contains_key(&id)) {
            return Ok(false);
        }
        if self.agenda.note_nameless(id) {
            tracing::error!(request = %id, %set, "the permission set is gone: its sessions live as long as was told");
        }
        Ok(true)
    }

    /// The groups through which the user of an assignment holds the same; asked of AWS now and then.
    pub(crate) async fn groups_holding(
        &self,
        key: &AssignmentKey,
        urgency: Urgency,
    ) -> Result<BTreeSet<GroupId>, Fault> {
        let now = self.now();
        let fresh = later(now, -self.settings.sweep_interval);
        let known = self.held_by_groups().get(key).cloned();
        if let Some((_, groups)) = known.filter(|(at, _)| fresh < *at && *at <= now) {
            return Ok(groups);
        }
        if let Some(error) = self.unanswered(key, now) {
            return Err(error.into());
        }
        let port =
            self.ports.assignments_of(&aws::AssignmentKey::of_target(key.principal.clone(), &key.target))?;
        let asking = self.traffic(key).asking(urgency).await;
        let asked_at = self.now();
        let groups = port.groups_holding(key.target.account(), key.target.entitlement(), &asking);
        let groups = asking.answer(self.settings.call_within, ErrorKind::Unavailable, groups).await;
        let mut groups = match groups {
            Ok(groups) => groups,
            // A set that is gone is nobody's.
            Err(error) if error.kind == ErrorKind::NotFound => BTreeSet::new(),
            Err(error) => {
                let now = self.now();
                let mut in_vain = self.asked_in_vain();
                in_vain.retain(|_, (at, _)| *at <= now && now < later(*at, ASK_AGAIN_AFTER));
                // What is refused at once costs no time, and may be answered a moment later.
                if now.duration_since(asked_at) >= ASKED_FOR_LONG {
                    in_vain.insert(key.clone(), (now, error.clone()));
                }
                return Err(error.into());
            }
        };
        // Who is in which group is not known before the directory was read: then it cannot be told.
        let directory = self.views.directory.snapshot().ok_or(Fault::Behind)?;
        let mine = directory.contents().memberships.get(&key.principal);
        groups.retain(|group| mine.is_some_and(|mine| mine.contains(group)));
        let mut known = self.held_by_groups();
        known.retain(|_, (at, _)| fresh < *at);
        known.insert(key.clone(), (now, groups.clone()));
        Ok(groups)
    }

    /// What AWS did not answer in time about an assignment, a moment ago.
    fn unanswered(&self, key: &AssignmentKey, now: Timestamp) -> Option<AwsError> {
        let (at, error) = self.asked_in_vain().get(key).cloned()?;
        (at <= now && now < later(at, ASK_AGAIN_AFTER)).then_some(error)
    }

    fn is_asked_in_vain(&self, key: &AssignmentKey) -> bool {
        self.unanswered(key, self.now()).is_some()
    }

    fn held_by_groups(&self) -> MutexGuard<'_, BTreeMap<AssignmentKey, (Timestamp, BTreeSet<GroupId>)>> {
        self.held_by_groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn asked_in_vain(&self) -> MutexGuard<'_, BTreeMap<AssignmentKey, (Timestamp, AwsError)>> {
        self.asked_in_vain.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_management(&self, account: &AccountId) -> bool {
        self.views
            .directory
            .snapshot()
            .is_some_and(|directory| directory.account(account).is_some_and(|account| account.management))
    }

    /// The name of a permission set: as the directory says, or as it said before the set was deleted.
    fn name_of(&self, set: &PermissionSetArn) -> Option<String> {
        let mut names = self.set_names.lock().unwrap_or_else(PoisonError::into_inner);
        let directory = self.views.directory.snapshot();
        let now = directory.and_then(|directory| Some(directory.permission_set(set)?.name.clone()));
        if let Some(name) = &now {
            names.insert(set.clone(), name.clone());
        }
        now.or_else(|| names.get(set).cloned())
    }
}

//! The ledger of one assignment: what Daypass attempted in AWS for one principal and one target, and what came of it.
//!
//! Desired state comes from requests; the ledger says what exists, so far as Daypass knows. Every call to AWS follows an
//! `Attempted` event, and its outcome is learnt by observing. INVARIANT: a standing assignment is never deleted.
//!
//! The fence: AWS has no fencing token, so a create whose outcome is not known may take effect until its deadline, even after
//! a delete. While a ledger has a fence, what appears is ours, and absence is not final. The fence goes when a look after it
//! found nothing ([`settle`]). A removal whose outcome is not known is the mirror of it: what a later request needs may vanish
//! until its deadline. What is found missing is not by others' doing then, and neither is it after a removal that is confirmed
//! ([`Ledger::late_removal`]).

use crate::Rejection;
use crate::state::Identities;
use domain::{
    Actor, EventId, Person, PrincipalId, Sealed, SignedDuration, Target, Timestamp, canonical_digest, hex,
};
use std::collections::BTreeMap;

/// For how long one person's word to give an assignment up waits for a second's: two people decide on the same state of things,
/// and a word that nobody remembers completes nothing. Long enough for a second administrator to be back at work.
pub const ABANDON_ASK_AGE_MAX: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Who holds what, where: the identity of one assignment.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AssignmentKey {
    /// The user in Identity Center.
    pub principal: PrincipalId,
    /// The permission set and the account.
    pub target: Target,
}

impl AssignmentKey {
    /// 32 hexadecimal digits that stand for this key, for the name of its stream.
    pub fn digest(&self) -> String {
        let digest = canonical_digest([
            self.principal.as_str().as_bytes(),
            self.target.account().as_str().as_bytes(),
            self.target.entitlement().arn().as_bytes(),
        ]);
        hex(digest.split_at(16).0)
    }
}

/// What an attempt would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// Create the assignment.
    Create,
    /// Delete it.
    Delete,
}

/// What can happen to an assignment.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AssignmentEvent {
    /// A call to AWS is intended, and may be made until the deadline.
    Attempted {
        /// Whose and what; repeated on every attempt, so that a ledger explains itself.
        key: AssignmentKey,
        /// What the call does.
        operation: Operation,
        /// The call starts before this instant or not at all.
        deadline: Timestamp,
    },
    /// The call was not made.
    AttemptAbandoned {
        /// The event that intended it.
        attempt: EventId,
    },
    /// AWS confirmed the outcome, or it was observed.
    Confirmed {
        /// The event that intended it.
        attempt: EventId,
    },
    /// AWS refused, or the call had no effect.
    Failed {
        /// The event that intended it.
        attempt: EventId,
        /// What AWS said.
        reason: String,
        /// Whether it is certain that the call has, and will have, no effect.
        definite: bool,
    },
    /// The assignment existed before Daypass attempted anything.
    StandingFound {
        /// Whose and what.
        key: AssignmentKey,
    },
    /// AWS is not as the ledger says, or as it may have become by an attempt of unknown outcome.
    DriftFound {
        /// Whether the assignment exists in AWS.
        present: bool,
    },
    /// An administrator said that what stands there is Daypass's, to be removed when no request needs it.
    Adopted {
        /// Whose and what.
        key: AssignmentKey,
    },
    /// Someone asked to give up on removing it; another must ask the same.
    AbandonAsked {
        /// Who.
        by: Actor,
        /// Their user in Identity Center, if known.
        principal: Option<PrincipalId>,
        /// Why, in their words.
        comment: Option<Sealed>,
    },
    /// The second person asked: it is given up.
    Abandoned {
        /// Who.
        by: Actor,
        /// Their user in Identity Center, if known.
        principal: Option<PrincipalId>,
        /// Why, in their words.
        comment: Option<Sealed>,
    },
}

/// An attempt whose outcome is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Attempt {
    /// What it does.
    pub operation: Operation,
    /// When it was intended.
    pub at: Timestamp,
    /// The call starts before this instant or not at all.
    pub deadline: Timestamp,
}

/// One person's word to give an assignment up.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AbandonAsk {
    /// Whose.
    pub person: Person,
    /// Their user in Identity Center, if known.
    pub principal: Option<PrincipalId>,
    /// When.
    pub at: Timestamp,
}

/// Whether the assignment exists, as far as Daypass knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Presence {
    /// Not, or never looked.
    Absent,
    /// By our doing.
    Ours,
    /// Before we did anything.
    Standing,
}

/// What the events of one assignment add up to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ledger {
    /// Whose and what.
    pub key: AssignmentKey,
    /// What exists.
    pub presence: Presence,
    /// Attempts under way.
    pub open: BTreeMap<EventId, Attempt>,
    /// Set while what appears is ours and absence is not final: a create whose outcome was never definite may take effect until
    /// this instant, or ours was missing in one list at it; and nobody has found nothing since.
    pub fence: Option<Timestamp>,
    /// Until this instant a removal of ours may take effect, because its outcome was never definite, or then it was confirmed: what is
    /// found missing is our doing. It stays until something was made, or seen to be there still ([`outlive`]), no earlier than that.
    pub late_removal: Option<Timestamp>,
    /// Attempts in a row that failed, for backing off.
    pub failures: u32,
    /// What AWS said last.
    pub last_failure: Option<String>,
    /// When it said that.
    pub failed_at: Option<Timestamp>,
    /// Who asked to give it up as it is: it counts until the assignment is made anew or found absent, and for
    /// [`ABANDON_ASK_AGE_MAX`].
    pub abandon_asked: Option<AbandonAsk>,
    /// Two people gave it up. What of it appears again, because the account or the user came back, say, is ours.
    pub abandoned: bool,
    /// The time of the latest event.
    pub last_at: Timestamp,
}

impl Ledger {
    /// Folds one event; `id` is the event's.
    pub fn evolve(state: Option<Self>, event: &AssignmentEvent, id: EventId, at: Timestamp) -> Option<Self> {
        let mut ledger = match (state, event) {
            (Some(ledger), _) => ledger,
            (
                None,
                AssignmentEvent::Attempted { key, .. }
                | AssignmentEvent::StandingFound { key }
                | AssignmentEvent::Adopted { key },
            ) => Self {
                key: key.clone(),
                presence: Presence::Absent,
                open: BTreeMap::new(),
                fence: None,
                late_removal: None,
                failures: 0,
                last_failure: None,
                failed_at: None,
                abandon_asked: None,
                abandoned: false,
                last_at: at,
            },
            (
                None,
                AssignmentEvent::AttemptAbandoned { .. }
                | AssignmentEvent::Confirmed { .. }
                | AssignmentEvent::Failed { .. }
                | AssignmentEvent::DriftFound { .. }
                | AssignmentEvent::AbandonAsked { .. }
                | AssignmentEvent::Abandoned { .. },
            ) => return None,
        };
        ledger.last_at = ledger.last_at.max(at);
        ledger.apply(event, id, at);
        Some(ledger)
    }

    fn apply(&mut self, event: &AssignmentEvent, id: EventId, at: Timestamp) {
        match event {
            AssignmentEvent::Attempted { operation, deadline, .. } => {
                self.open.insert(id, Attempt { operation: *operation, at, deadline: *deadline });
            }
            AssignmentEvent::AttemptAbandoned { attempt } => {
                self.open.remove(attempt);
            }
            AssignmentEvent::Confirmed { attempt } => {
                let Some(confirmed) = self.open.remove(attempt) else {
                    return;
                };
                self.failures = 0;
                self.last_failure = None;
                self.failed_at = None;
                match confirmed.operation {
                    Operation::Create => {
                        self.presence = Presence::Ours;
                        self.abandon_asked = None;
                        self.abandoned = false;
                        // What was seen may be an earlier create's doing; this one's call may still be on its way.
                        self.fence = self.fence.map(|fence| fence.max(confirmed.deadline));
                        self.late_removal = self.late_removal.filter(|until| at < *until);
                    }
                    Operation::Delete => {
                        self.presence = Presence::Absent;
                        self.abandon_asked = None;
                        // Whoever needs it all the same lacks it by our doing: it was over by a clock that was ahead, say.
                        self.late_removal = self.late_removal.max(Some(at));
                        // The fence stays: the clock that this was intended by may have been ahead. A look settles it.
                    }
                }
            }
            AssignmentEvent::Failed { attempt, reason, definite } => {
                let Some(failed) = self.open.remove(attempt) else {
                    return;
                };
                self.failures = self.failures.saturating_add(1);
                self.last_failure = Some(reason.clone());
                self.failed_at = Some(at);
                if !definite {
                    let may_take_effect = match failed.operation {
                        Operation::Create => &mut self.fence,
                        Operation::Delete => &mut self.late_removal,
                    };
                    *may_take_effect = (*may_take_effect).max(Some(failed.deadline));
                }
            }
            AssignmentEvent::StandingFound { .. } | AssignmentEvent::DriftFound { present: true } => {
                // What appears on a key with an unresolved create of ours is ours.
                self.presence = match self.presence {
                    Presence::Absent if self.may_appear() => Presence::Ours,
                    Presence::Absent => Presence::Standing,
                    known @ (Presence::Ours | Presence::Standing) => known,
                };
                self.late_removal = self.late_removal.filter(|until| at < *until);
                self.abandoned = false;
            }
            AssignmentEvent::DriftFound { present: false } => {
                self.fence = match self.presence {
                    // Only `settle` says this of what counts as absent already. What others made and took away is told again
                    // when they make it again.
                    Presence::Absent | Presence::Standing => self.fence.filter(|fence| at < *fence),
                    // The list may be stale: should ours appear again, it is still ours.
                    Presence::Ours => self.fence.max(Some(at)),
                };
                self.presence = Presence::Absent;
                self.abandon_asked = None;
            }
            AssignmentEvent::Adopted { .. } => {
                self.presence = Presence::Ours;
                self.late_removal = self.late_removal.filter(|until| at < *until);
                self.abandoned = false;
            }
            AssignmentEvent::AbandonAsked { by, principal, .. } => {
                self.abandon_asked =
                    Some(AbandonAsk { person: by.person.clone(), principal: principal.clone(), at });
            }
            AssignmentEvent::Abandoned { .. } => {
                self.open.clear();
                self.presence = Presence::Absent;
                self.fence = None;
                self.late_removal = None;
                self.abandon_asked = None;
                self.abandoned = true;
            }
        }
    }

    /// Whether a create of ours may take effect that has not.
    fn may_appear(&self) -> bool {
        self.abandoned
            || self.fence.is_some()
            || self.open.values().any(|attempt| attempt.operation == Operation::Create)
    }

    /// The attempt under way, if any.
    pub fn attempt(&self) -> Option<(EventId, Attempt)> {
        self.open.first_key_value().map(|(id, attempt)| (*id, *attempt))
    }

    /// Until when what is absent now may still appear by our doing; `None`: it is there, may be under way, or will not appear.
    pub fn absent_until(&self) -> Option<Timestamp> {
        self.fence.filter(|_| self.open.is_empty() && self.presence != Presence::Ours)
    }

    /// Whether it is certain that nothing of ours exists or can still appear. Time alone does not make it so: after the fence
    /// someone must have looked, and recorded it ([`settle`]).
    pub fn is_settled_absent(&self) -> bool {
        self.open.is_empty() && self.fence.is_none() && self.presence != Presence::Ours
    }
}

/// Records that a look at AWS, which was begun after the ledger's last event and shows what was so at `looked_at` at least, found
/// nothing, when that is final.
pub fn settle(ledger: &Ledger, looked_at: Timestamp) -> Result<AssignmentEvent, Rejection> {
    if !ledger.open.is_empty() {
        return Err(Rejection::AttemptOpen);
    }
    match (ledger.presence, ledger.fence) {
        // One list may be stale: what is ours is deleted, seen or not.
        (Presence::Ours, _) => Err(Rejection::NotClosable),
        (Presence::Absent | Presence::Standing, None) => Err(Rejection::AsItShouldBe),
        (Presence::Absent | Presence::Standing, Some(fence)) if looked_at < fence => {
            Err(Rejection::NotClosable)
        }
        (Presence::Absent | Presence::Standing, Some(_)) => {
            Ok(AssignmentEvent::DriftFound { present: false })
        }
    }
}

/// Records that a look at AWS, begun at `looked_at` and after the ledger's last event, found what a removal of unknown outcome might
/// have taken, when it can take it no more. From then on, what is found missing is somebody else's doing.
pub fn outlive(ledger: &Ledger, looked_at: Timestamp) -> Result<AssignmentEvent, Rejection> {
    if !ledger.open.is_empty() {
        return Err(Rejection::AttemptOpen);
    }
    match (ledger.presence, ledger.late_removal) {
        (Presence::Ours | Presence::Standing, Some(until)) if looked_at >= until => {
            Ok(AssignmentEvent::DriftFound { present: true })
        }
        (Presence::Ours | Presence::Standing, Some(_)) => Err(Rejection::NotClosable),
        (Presence::Ours | Presence::Standing, None) | (Presence::Absent, _) => Err(Rejection::AsItShouldBe),
    }
}

/// Intends a call to AWS, or records that the person holds the assignment already. `seen` is what a look at AWS, made since
/// the ledger's last event, found.
pub fn attempt(
    ledger: Option<&Ledger>,
    key: &AssignmentKey,
    desired: bool,
    seen: bool,
    deadline: Timestamp,
) -> Result<AssignmentEvent, Rejection> {
    let presence = ledger.map_or(Presence::Absent, |ledger| ledger.presence);
    if ledger.is_some_and(|ledger| !ledger.open.is_empty()) {
        return Err(Rejection::AttemptOpen);
    }
    let expected = ledger.is_some_and(|ledger| ledger.fence.is_some() || ledger.abandoned);
    let intend = |operation| AssignmentEvent::Attempted { key: key.clone(), operation, deadline };
    match (desired, presence, seen) {
        // A create of unknown outcome has taken effect after all: it is ours.
        (_, Presence::Absent, true) if expected => Ok(AssignmentEvent::DriftFound { present: true }),
        (true, Presence::Absent, true) => Ok(AssignmentEvent::StandingFound { key: key.clone() }),
        (true, Presence::Absent, false) => Ok(intend(Operation::Create)),
        // Someone else deleted it; look at it afresh.
        (true, Presence::Ours | Presence::Standing, false) => {
            Ok(AssignmentEvent::DriftFound { present: false })
        }
        (true, Presence::Ours | Presence::Standing, true) => Err(Rejection::AsItShouldBe),
        (false, Presence::Ours, true | false) => Ok(intend(Operation::Delete)),
        // A list may be stale after a delete of ours, and what others make is theirs.
        (false, Presence::Absent, true | false) => Err(Rejection::AsItShouldBe),
        (false, Presence::Standing, true | false) => Err(Rejection::Standing),
    }
}

/// Records what a look at AWS, made since the ledger's last event, found although no request asked for it: ours after all, or
/// someone else's, which is noted once, until it was found to be gone, and left alone.
pub fn notice(ledger: Option<&Ledger>, key: &AssignmentKey) -> Result<AssignmentEvent, Rejection> {
    let Some(ledger) = ledger else { return Ok(AssignmentEvent::StandingFound { key: key.clone() }) };
    match ledger.presence {
        _ if !ledger.open.is_empty() => Err(Rejection::AttemptOpen),
        Presence::Absent if ledger.may_appear() => Ok(AssignmentEvent::DriftFound { present: true }),
        Presence::Absent => Ok(AssignmentEvent::StandingFound { key: key.clone() }),
        Presence::Ours | Presence::Standing => Err(Rejection::AsItShouldBe),
    }
}

/// Someone says that what stands there is Daypass's. `seen` is what a look at AWS found.
pub fn adopt(
    ledger: Option<&Ledger>,
    key: &AssignmentKey,
    by: &Actor,
    seen: bool,
) -> Result<AssignmentEvent, Rejection> {
    if !by.is_human() {
        return Err(Rejection::NotAPerson);
    }
    if !seen {
        return Err(Rejection::NotThere);
    }
    if ledger.is_some_and(|ledger| ledger.presence == Presence::Ours) {
        return Err(Rejection::AsItShouldBe);
    }
    Ok(AssignmentEvent::Adopted { key: key.clone() })
}

/// Someone asks to give up on removing an assignment whose account, or whose user, is gone.
#[derive(Clone, Debug)]
pub struct Abandon {
    /// Who.
    pub by: Actor,
    /// Everyone that they are.
    pub identities: Identities,
    /// Why, in their words.
    pub comment: Option<Sealed>,
    /// Whether the directory says that the account is gone or closed, or that the user is gone.
    pub gone: bool,
    /// Whether a live request needs it.
    pub needed: bool,
}

/// Gives up what cannot be removed: the first person asks, the second decides, within [`ABANDON_ASK_AGE_MAX`].
pub fn give_up(
    ledger: Option<&Ledger>,
    command: Abandon,
    at: Timestamp,
) -> Result<AssignmentEvent, Rejection> {
    let Abandon { by, identities, comment, gone, needed } = command;
    if !by.is_human() {
        return Err(Rejection::NotAPerson);
    }
    if needed {
        return Err(Rejection::StillNeeded);
    }
    let Some(ledger) = ledger.filter(|ledger| !ledger.is_settled_absent()) else {
        return Err(Rejection::AsItShouldBe);
    };
    if !gone {
        return Err(Rejection::AccountNotGone);
    }
    let principal = identities.principal.clone();
    match ledger.abandon_asked.as_ref().filter(|ask| at.duration_since(ask.at) < ABANDON_ASK_AGE_MAX) {
        None => Ok(AssignmentEvent::AbandonAsked { by, principal, comment }),
        Some(ask) if identities.same_as(&ask.person, ask.principal.as_ref()) => {
            Err(Rejection::SecondPersonNeeded)
        }
        Some(_) => Ok(AssignmentEvent::Abandoned { by, principal, comment }),
    }
}

/// Gives up an attempt whose call was not made.
pub fn abandon(ledger: &Ledger, attempt: EventId) -> Result<AssignmentEvent, Rejection> {
    open(ledger, attempt)?;
    Ok(AssignmentEvent::AttemptAbandoned { attempt })
}

/// Records what AWS confirmed, or what was observed.
pub fn confirm(ledger: &Ledger, attempt: EventId) -> Result<AssignmentEvent, Rejection> {
    open(ledger, attempt)?;
    Ok(AssignmentEvent::Confirmed { attempt })
}

/// Records that AWS refused, or that no effect was observed.
pub fn fail(
    ledger: &Ledger,
    attempt: EventId,
    reason: String,
    definite: bool,
) -> Result<AssignmentEvent, Rejection> {
    open(ledger, attempt)?;
    Ok(AssignmentEvent::Failed { attempt, reason, definite })
}

fn open(ledger: &Ledger, attempt: EventId) -> Result<(), Rejection> {
    if ledger.open.contains_key(&attempt) { Ok(()) } else { Err(Rejection::NoSuchAttempt) }
}

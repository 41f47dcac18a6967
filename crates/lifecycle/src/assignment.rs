//! The ledger of one assignment: what Daypass attempted in AWS for one principal and one target, and what came of it.
//!
//! Desired state comes from requests; the ledger says what exists, so far as Daypass knows. Every call to AWS follows an
//! `Attempted` event, and its outcome is learnt by observing. INVARIANT: a standing assignment is never deleted.

use crate::Rejection;
use domain::{EventId, PrincipalId, Target, Timestamp, canonical_digest, hex};
use std::collections::BTreeMap;

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
    /// AWS is not as the ledger says.
    DriftFound {
        /// Whether the assignment exists in AWS.
        present: bool,
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
    /// A create whose outcome was never definite may still take effect until this instant: absence counts only after it.
    pub fence: Option<Timestamp>,
    /// Attempts in a row that failed, for backing off.
    pub failures: u32,
    /// What AWS said last.
    pub last_failure: Option<String>,
    /// The time of the latest event.
    pub last_at: Timestamp,
}

impl Ledger {
    /// Folds one event; `id` is the event's.
    pub fn evolve(state: Option<Self>, event: &AssignmentEvent, id: EventId, at: Timestamp) -> Option<Self> {
        let mut ledger = match (state, event) {
            (Some(ledger), _) => ledger,
            (None, AssignmentEvent::Attempted { key, .. } | AssignmentEvent::StandingFound { key }) => Self {
                key: key.clone(),
                presence: Presence::Absent,
                open: BTreeMap::new(),
                fence: None,
                failures: 0,
                last_failure: None,
                last_at: at,
            },
            (
                None,
                AssignmentEvent::AttemptAbandoned { .. }
                | AssignmentEvent::Confirmed { .. }
                | AssignmentEvent::Failed { .. }
                | AssignmentEvent::DriftFound { .. },
            ) => return None,
        };
        ledger.last_at = ledger.last_at.max(at);
        ledger.apply(event, id, at);
        Some(ledger)
    }

    fn apply(&mut self, event: &AssignmentEvent, id: EventId, at: Timestamp) {
        match event {
            AssignmentEvent::Attempted {
                operation, deadline, ..
            } => {
                self.open.insert(
                    id,
                    Attempt {
                        operation: *operation,
                        at,
                        deadline: *deadline,
                    },
                );
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
                match confirmed.operation {
                    Operation::Create => self.presence = Presence::Ours,
                    Operation::Delete => {
                        self.presence = Presence::Absent;
                        self.fence = None;
                    }
                }
            }
            AssignmentEvent::Failed {
                attempt,
                reason,
                definite,
            } => {
                let Some(failed) = self.open.remove(attempt) else {
                    return;
                };
                self.failures = self.failures.saturating_add(1);
                self.last_failure = Some(reason.clone());
                if failed.operation == Operation::Create && !definite {
                    self.fence = Some(
                        self.fence
                            .map_or(failed.deadline, |fence| fence.max(failed.deadline)),
                    );
                }
            }
            AssignmentEvent::StandingFound { .. } => self.presence = Presence::Standing,
            AssignmentEvent::DriftFound { present } => {
                // What appears on a key with an unresolved create of ours is ours.
                self.presence = match (present, self.presence, self.fence) {
                    (false, Presence::Absent | Presence::Ours | Presence::Standing, _) => Presence::Absent,
                    (true, Presence::Absent, None) => Presence::Standing,
                    (true, Presence::Absent, Some(_)) | (true, Presence::Ours, _) => Presence::Ours,
                    (true, Presence::Standing, _) => Presence::Standing,
                };
            }
        }
    }

    /// The attempt under way, if any.
    pub fn attempt(&self) -> Option<(EventId, Attempt)> {
        self.open.first_key_value().map(|(id, attempt)| (*id, *attempt))
    }

    /// Whether it is certain that nothing of ours exists or can still appear.
    pub fn is_settled_absent(&self, at: Timestamp) -> bool {
        let fenced = self.fence.is_some_and(|fence| at < fence);
        self.open.is_empty() && !fenced && self.presence != Presence::Ours
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
    let fenced = ledger.is_some_and(|ledger| ledger.fence.is_some());
    let intend = |operation| AssignmentEvent::Attempted {
        key: key.clone(),
        operation,
        deadline,
    };
    match (desired, presence, seen) {
        // A create of unknown outcome has taken effect after all: it is ours.
        (_, Presence::Absent, true) if fenced => Ok(AssignmentEvent::DriftFound { present: true }),
        (true, Presence::Absent, true) => Ok(AssignmentEvent::StandingFound { key: key.clone() }),
        (true, Presence::Absent, false) => Ok(intend(Operation::Create)),
        // Someone else deleted it; look at it afresh.
        (true, Presence::Ours | Presence::Standing, false) => {
            Ok(AssignmentEvent::DriftFound { present: false })
        }
        (true, Presence::Ours | Presence::Standing, true) => Err(Rejection::AsItShouldBe),
        (false, Presence::Ours, true | false) => Ok(intend(Operation::Delete)),
        (false, Presence::Absent, true | false) => Err(Rejection::AsItShouldBe),
        (false, Presence::Standing, true | false) => Err(Rejection::Standing),
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
    Ok(AssignmentEvent::Failed {
        attempt,
        reason,
        definite,
    })
}

fn open(ledger: &Ledger, attempt: EventId) -> Result<(), Rejection> {
    if ledger.open.contains_key(&attempt) {
        Ok(())
    } else {
        Err(Rejection::NoSuchAttempt)
    }
}

//! What Daypass denies in one account: the sessions of requests that ended early, until they must be dead.
//!
//! Deleting an assignment, or ending a request, leaves sessions alive that began before. Where a deployment allows it, a
//! service control policy of the account denies them. One ledger per account, because the policy is one document: each
//! attempt says all that it should deny, so attempts need no order beyond the ledger's own, and repeating one is harmless.
//! INVARIANT: an older document that arrives late can deny too little for a while, or the dead; never anyone else.

use crate::Rejection;
use domain::{AccountId, EventId, RequestId, SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// Who changes the policy again sooner than this does so again and again. Several looks at it, and far less than sessions live.
pub const REVERTED_AGAIN_WITHIN: SignedDuration = SignedDuration::from_mins(15);

/// Requests, and the instant up to which sessions that begin are theirs; `None`: theirs can be told by a tag.
pub type Denied = BTreeMap<RequestId, Option<Timestamp>>;

/// What the permission set of a request is called.
pub type SetNames = BTreeMap<RequestId, String>;

/// What can happen to an account's denials.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DenialEvent {
    /// A change of the policy is intended, and may be made until the deadline.
    Attempted {
        /// Where; repeated on every attempt, so that a ledger explains itself.
        account: AccountId,
        /// Every request whose sessions are to be denied from then on; empty: none.
        requests: Denied,
        /// What the permission sets are called that their roles are named after; not of those that are told by a tag.
        names: SetNames,
        /// The call starts before this instant or not at all.
        deadline: Timestamp,
    },
    /// The call was not made.
    AttemptAbandoned {
        /// The event that intended it.
        attempt: EventId,
    },
    /// The policy was read back, and is so; or nothing was to be denied, and the account has left the organisation, where no policy is in force.
    Confirmed {
        /// The event that intended it.
        attempt: EventId,
    },
    /// The policy is not so.
    Failed {
        /// The event that intended it.
        attempt: EventId,
        /// What AWS said, or which limit of AWS stands in the way.
        reason: String,
    },
    /// The policy is no longer as it was confirmed: someone else changed it.
    DriftFound,
}

/// An attempt whose outcome is not known.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Attempt {
    /// What is to be denied.
    pub requests: Denied,
    /// When it was intended.
    pub at: Timestamp,
    /// The call starts before this instant or not at all.
    pub deadline: Timestamp,
}

/// What the events of one account's denials add up to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Denials {
    /// Where.
    pub account: AccountId,
    /// What was confirmed last to be denied. Whether it is so still, [`denied`](Self::denied) says.
    pub confirmed: Denied,
    /// While it is not known: every request whose sessions may be denied.
    pub perhaps: BTreeSet<RequestId>,
    /// What the permission sets of those that may be denied are called: they may be deleted since.
    pub names: SetNames,
    /// The attempt under way.
    pub open: Option<(EventId, Attempt)>,
    /// Attempts in a row that failed.
    pub failures: u32,
    /// Why the last one failed.
    pub last_failure: Option<String>,
    /// Since when it is not known what is denied: an attempt failed first, or another changed it, and nothing was confirmed since.
    pub undone_since: Option<Timestamp>,
    /// When another changed it last.
    pub reverted_at: Option<Timestamp>,
    /// Since when another changes it again and again; `None`: they have not done so again.
    pub reverted_since: Option<Timestamp>,
    /// The time of the latest event.
    pub last_at: Timestamp,
}

impl Denials {
    /// Folds one event; `id` is the event's.
    pub fn evolve(state: Option<Self>, event: &DenialEvent, id: EventId, at: Timestamp) -> Option<Self> {
        let mut denials = match (state, event) {
            (Some(denials), _) => denials,
            (None, DenialEvent::Attempted { account, .. }) => Self {
                account: account.clone(),
                confirmed: BTreeMap::new(),
                perhaps: BTreeSet::new(),
                names: SetNames::new(),
                open: None,
                failures: 0,
                last_failure: None,
                undone_since: None,
                reverted_at: None,
                reverted_since: None,
                last_at: at,
            },
            (
                None,
                DenialEvent::AttemptAbandoned { .. }
                | DenialEvent::Confirmed { .. }
                | DenialEvent::Failed { .. }
                | DenialEvent::DriftFound,
            ) => return None,
        };
        denials.last_at = denials.last_at.max(at);
        denials.apply(event, id, at);
        Some(denials)
    }

    fn apply(&mut self, event: &DenialEvent, id: EventId, at: Timestamp) {
        match event {
            DenialEvent::Attempted { account: _, requests, names, deadline } => {
                self.names.extend(names.clone());
                self.open = Some((id, Attempt { requests: requests.clone(), at, deadline: *deadline }));
            }
            DenialEvent::AttemptAbandoned { attempt } => {
                self.close(*attempt);
            }
            DenialEvent::Confirmed { attempt } => {
                let Some(attempt) = self.close(*attempt) else { return };
                self.names.retain(|request, _| attempt.requests.contains_key(request));
                self.confirmed = attempt.requests;
                self.perhaps.clear();
                self.failures = 0;
                self.last_failure = None;
                self.undone_since = None;
            }
            DenialEvent::Failed { attempt, reason } => {
                if let Some(failed) = self.close(*attempt) {
                    // Part of it may be in force.
                    self.no_longer_known(at);
                    self.perhaps.extend(failed.requests.into_keys());
                    self.failures = self.failures.saturating_add(1);
                    self.last_failure = Some(reason.clone());
                }
            }
            DenialEvent::DriftFound => {
                let before = self.reverted_at.filter(|before| is_again(*before, at));
                self.reverted_since = before.map(|before| self.reverted_since.unwrap_or(before));
                self.reverted_at = Some(at);
                self.no_longer_known(at);
            }
        }
    }

    fn no_longer_known(&mut self, at: Timestamp) {
        self.undone_since = self.undone_since.or(Some(at));
        self.perhaps.extend(self.confirmed.keys().copied());
    }

    fn close(&mut self, attempt: EventId) -> Option<Attempt> {
        self.open.take_if(|(open, _)| *open == attempt).map(|(_, attempt)| attempt)
    }

    /// What is denied; `None`: it is not known.
    pub fn denied(&self) -> Option<&Denied> {
        self.undone_since.is_none().then_some(&self.confirmed)
    }

    /// Whether exactly `wanted` is denied, as far as is known.
    pub fn is(&self, wanted: &Denied) -> bool {
        self.denied() == Some(wanted)
    }

    /// Whether it is certain that nothing is denied.
    pub fn is_settled(&self) -> bool {
        self.open.is_none() && self.denied().is_some_and(BTreeMap::is_empty)
    }

    /// Since when no sessions of a request are known to be denied, which ought to be since `due_at`; `None`: some are.
    pub fn undenied_since(&self, request: &RequestId, due_at: Timestamp) -> Option<Timestamp> {
        if self.confirmed.contains_key(request) {
            self.undone_since.map(|since| since.max(due_at))
        } else {
            // However late somebody tried it first.
            Some(due_at)
        }
    }

    /// Since when what is denied is denied in vain, because another changes it again and again; `None`: it stands by now.
    pub fn in_vain_since(&self, now: Timestamp) -> Option<Timestamp> {
        self.reverted_since.filter(|_| self.reverted_at.is_some_and(|at| is_again(at, now)))
    }

    /// Whether something may be denied for this request's sake.
    pub fn may_deny(&self, request: &RequestId) -> bool {
        self.confirmed.contains_key(request)
            || self.perhaps.contains(request)
            || self.open.as_ref().is_some_and(|(_, attempt)| attempt.requests.contains_key(request))
    }
}

/// Intends to deny the sessions of `wanted` in `account`, and of nobody else. `names` decides nothing: it is for who comes later.
pub fn attempt(
    denials: Option<&Denials>,
    account: &AccountId,
    wanted: &Denied,
    names: &SetNames,
    deadline: Timestamp,
) -> Result<DenialEvent, Rejection> {
    match denials {
        Some(denials) if denials.open.is_some() => return Err(Rejection::AttemptOpen),
        Some(denials) if denials.is(wanted) => return Err(Rejection::AsItShouldBe),
        None if wanted.is_empty() => return Err(Rejection::AsItShouldBe),
        Some(_) | None => {}
    }
    Ok(DenialEvent::Attempted {
        account: account.clone(),
        requests: wanted.clone(),
        names: names.clone(),
        deadline,
    })
}

/// Gives up an attempt whose call was not made.
pub fn abandon(denials: &Denials, attempt: EventId) -> Result<DenialEvent, Rejection> {
    open(denials, attempt)?;
    Ok(DenialEvent::AttemptAbandoned { attempt })
}

/// Records that the policy was read back, and is as intended.
pub fn confirm(denials: &Denials, attempt: EventId) -> Result<DenialEvent, Rejection> {
    open(denials, attempt)?;
    Ok(DenialEvent::Confirmed { attempt })
}

/// Records that the policy is not as intended.
pub fn fail(denials: &Denials, attempt: EventId, reason: String) -> Result<DenialEvent, Rejection> {
    open(denials, attempt)?;
    Ok(DenialEvent::Failed { attempt, reason })
}

/// Records that the policy is no longer as it was confirmed.
pub fn drift(denials: &Denials) -> Result<DenialEvent, Rejection> {
    match (&denials.open, denials.denied()) {
        (Some(_), _) => Err(Rejection::AttemptOpen),
        (None, None) => Err(Rejection::AsItShouldBe),
        (None, Some(_)) => Ok(DenialEvent::DriftFound),
    }
}

fn is_again(before: Timestamp, at: Timestamp) -> bool {
    at.duration_since(before) < REVERTED_AGAIN_WITHIN
}

fn open(denials: &Denials, attempt: EventId) -> Result<(), Rejection> {
    match &denials.open {
        Some((open, _)) if *open == attempt => Ok(()),
        Some(_) | None => Err(Rejection::NoSuchAttempt),
    }
}

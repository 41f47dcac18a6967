//! S1, S2, S3, S7: what AWS is asked, and what comes of it, follows the log.

use super::{Violation, later};
use crate::truth::{Concluded, Known, Truth};
use crate::words;
use aws::simulated::{Call, CallRecord, Change, ChangedBy, SimulatedAws};
use aws::{AssignmentKey, ErrorKind};
use domain::{SignedDuration, Timestamp};
use lifecycle::assignment::Operation;
use lifecycle::event::{Closed, ClosedHow};
use lifecycle::state::Phase;
use std::collections::{BTreeMap, BTreeSet};

/// How long before others make an assignment a creation of ours on the same key makes it ours: signatures, effects and lists
/// together take no longer.
const OURS_BEFORE: SignedDuration = SignedDuration::from_mins(2);

/// How long after others have made an assignment Daypass may not have seen it.
const OURS_AFTER: SignedDuration = SignedDuration::from_mins(1);

/// How long after its attempt a call is started at the latest, by the clock of its machine: `start_within`, as it ships. What comes later
/// was on its way while its machine was paused.
const STARTED_WITHIN: SignedDuration = SignedDuration::from_secs(10);

/// How long before it is recorded an assignment may have been seen: a machine is paused for four minutes at most, and lists are stale.
const SEEN_BEFORE: SignedDuration = SignedDuration::from_mins(6);

/// What is known of AWS's side.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// Assignments that others made, and when.
    others: BTreeMap<AssignmentKey, Timestamp>,
    /// Those of them that may as well be ours.
    ambiguous: BTreeSet<AssignmentKey>,
    /// The last create that came to AWS, by key.
    created: BTreeMap<AssignmentKey, Timestamp>,
    /// Deletes that came to AWS, by key.
    deleted: BTreeMap<AssignmentKey, u32>,
    /// Creates whose outcome has not been observed, and whether even AWS's answer did not come.
    unresolved: BTreeMap<AssignmentKey, bool>,
    changes_seen: usize,
}

impl Effects {
    /// Others make an assignment.
    pub(crate) fn made_by_others(&mut self, key: AssignmentKey, now: Timestamp) {
        if self.created.get(&key).is_some_and(|created| now < later(*created, OURS_BEFORE)) {
            self.ambiguous.insert(key.clone());
        }
        self.others.insert(key, now);
    }

    /// Others remove an assignment.
    pub(crate) fn gone_by_others(&mut self, key: &AssignmentKey) {
        self.others.remove(key);
        self.ambiguous.remove(key);
    }

    /// Whether others made it.
    pub(crate) fn is_of_others(&self, key: &AssignmentKey) -> bool {
        self.others.contains_key(key)
    }

    /// Whether it stands for itself: others made it, and nothing of ours came so close that nobody could tell.
    fn stands(&self, key: &AssignmentKey) -> bool {
        self.others.contains_key(key) && !self.ambiguous.contains(key)
    }

    /// One call that came to AWS, from a machine whose clock is `ahead`, or was just now.
    pub(crate) fn call(
        &mut self,
        record: &CallRecord,
        ahead: SignedDuration,
        truth: &Truth,
    ) -> Result<(), Violation> {
        match &record.call {
            Call::Create(key, attempt) => {
                let shown = words::key(key);
                let found = truth.attempt(key, Operation::Create, attempt.signed_at);
                let Some(found) = found else {
                    return Err(Violation::new("S1", format!("{shown} is created without an attempt")));
                };
                if !found.allowed && truth.needed_until(key, record.at).is_some() {
                    let what = format!("{shown} is created by an attempt for which no request was live");
                    return Err(Violation::new("S1", what));
                }
                let led = truth.led(later(record.at, ahead));
                if found.begins_at.is_some_and(|begins_at| led < begins_at) {
                    let what = format!("{shown} is created before the window of any request that needs it");
                    return Err(Violation::new("S1", what));
                }
                let unknown = record.error.as_ref().is_some_and(|error| error.kind == ErrorKind::Unknown);
                if record.error.is_none() || unknown {
                    // It was on its way while its machine was paused, and others have observed what came of it until then: it is
                    // late, and not made again.
                    let straggles =
                        found.concluded && later(attempt.signed_at, STARTED_WITHIN) < later(record.at, ahead);
                    if !straggles {
                        if self.unresolved.contains_key(key) {
                            let what = format!("{shown} is created again before the outcome was observed");
                            return Err(Violation::new("S7", what));
                        }
                        self.unresolved.insert(key.clone(), unknown);
                    }
                    if self.others.get(key).is_some_and(|made| record.at < later(*made, OURS_AFTER)) {
                        self.ambiguous.insert(key.clone());
                    }
                    self.created.insert(key.clone(), record.at);
                }
            }
            Call::Delete(key, attempt) => {
                let shown = words::key(key);
                if self.stands(key) && !truth.adopted.contains(key) {
                    return Err(Violation::new("S3", format!("{shown} is deleted, and was there before")));
                }
                let found = truth.attempt(key, Operation::Delete, attempt.signed_at);
                let Some(found) = found else {
                    return Err(Violation::new("S1", format!("{shown} is deleted without an attempt")));
                };
                if found.wanted && truth.needed_until(key, record.at).is_none() {
                    let what = format!("{shown} is deleted while a live request needs it");
                    return Err(Violation::new("S3", what));
                }
                *self.deleted.entry(key.clone()).or_default() += 1;
            }
            Call::Holders(account, entitlement) if record.error.is_none() => {
                self.unresolved.retain(|key, _| key.account() != account || key.entitlement() != entitlement);
            }
            Call::Holders(..)
            | Call::HeldIn(_)
            | Call::AssumeRole(_)
            | Call::CallerIdentity
            | Call::CreationStatus(_)
            | Call::DeletionStatus(_)
            | Call::FetchDirectory
            | Call::SignIn => {}
        }
        Ok(())
    }

    /// An attempt was concluded in the log: that counts as observed where AWS had answered. What others made so shortly before the
    /// attempt that no list showed it yet may as well be ours, whether the call was made or its process died before.
    pub(crate) fn concluded(&mut self, Concluded { key, created_at }: &Concluded) {
        if self.unresolved.get(key) == Some(&false) {
            self.unresolved.remove(key);
        }
        let made = self.others.get(key).copied();
        if made.zip(*created_at).is_some_and(|(made, created)| created < later(made, OURS_AFTER)) {
            self.ambiguous.insert(key.clone());
        }
    }

    /// Every change since the last time that Daypass made follows a call that was let through.
    pub(crate) fn changes(&mut self, aws: &SimulatedAws, truth: &Truth) -> Result<Vec<Change>, Violation> {
        let news = aws.changes().split_off(self.changes_seen);
        self.changes_seen += news.len();
        for change in &news {
            let called = if change.present {
                self.created.contains_key(&change.key)
            } else {
                self.deleted.contains_key(&change.key)
            };
            match change.by {
                ChangedBy::Daypass if !called => {
                    let what = format!("{} changed without a call", words::key(&change.key));
                    return Err(Violation::new("S1", what));
                }
                ChangedBy::Daypass if self.stands(&change.key) && !truth.adopted.contains(&change.key) => {
                    let what = format!("{} changed, and was there before", words::key(&change.key));
                    return Err(Violation::new("S3", what));
                }
                ChangedBy::Daypass if !change.present => self.gone_by_others(&change.key),
                ChangedBy::Daypass | ChangedBy::Others => {}
            }
        }
        Ok(news)
    }
}

/// S2: credentials, and the console sessions that rest on them, work inside the window, and nowhere else; and after an early end no longer than the user was told. IAM compares
/// whole seconds, and the session policy rounds against its holder: within a second of either end nothing is promised.
pub(crate) fn credentials(
    (access_key_id, expires_at): (&str, Timestamp),
    known: &Known,
    now: Timestamp,
    aws: &SimulatedAws,
) -> Result<(), Violation> {
    let second = SignedDuration::from_secs(1);
    let Some(window) = known.request.window() else { return Ok(()) };
    let well_inside = later(window.start(), second) <= now && now < later(window.end(), -second);
    let mut moments = vec![
        ("before the window", later(window.start(), -second), false),
        ("when the window ends", window.end(), false),
        ("after the window", later(window.end(), second), false),
    ];
    if well_inside && now < expires_at {
        moments.push(("inside the window", now, true));
    }
    if let Some(bound) = known.bound {
        // Were the access to end now.
        moments.push((
            "beyond what was told of an early end",
            later(later(now, bound.after_early_end), second),
            false,
        ));
    }
    for (when, at, usable) in moments {
        let may = aws.session_may(access_key_id, "ec2:DescribeInstances", at);
        if may != Ok(usable) {
            let what = format!(
                "credentials {access_key_id} of r{} are {may:?} {when}, should be {usable}",
                known.number
            );
            return Err(Violation::new("S2", what));
        }
    }
    Ok(())
}

/// S1: what is recorded as active is in AWS, or was when its machine looked.
pub(crate) fn activated(known: &Known, now: Timestamp, aws: &SimulatedAws) -> Result<(), Violation> {
    let Some(key) = known.key().filter(|key| !aws.has(key)) else { return Ok(()) };
    let went = aws.changes().into_iter().rev().find(|change| change.key == key).map(|change| change.at);
    if went.is_some_and(|at| later(at, SEEN_BEFORE) >= now) {
        return Ok(());
    }
    let what = format!("r{} is recorded as active, and {} is not in AWS", known.number, words::key(&key));
    Err(Violation::new("S1", what))
}

/// S2: what is closed has left nothing in AWS.
pub(crate) fn closed(
    closed: &Closed,
    known: &Known,
    now: Timestamp,
    truth: &Truth,
    effects: &Effects,
    aws: &SimulatedAws,
) -> Result<(), Violation> {
    let left = match &closed.how {
        ClosedHow::Deleted | ClosedHow::NothingCreated => known.key().filter(|key| {
            aws.has(key)
                && !effects.is_of_others(key)
                && truth.needed_until(key, now).is_some()
                && !others_close(known, key, truth)
        }),
        ClosedHow::CredentialsExpired => {
            let live = known.request.issues.iter().any(|issue| issue.expires_at > now);
            return if live {
                Err(Violation::new("S2", format!("r{} is closed while its credentials live", known.number)))
            } else {
                Ok(())
            };
        }
        ClosedHow::CarriedBy(_) | ClosedHow::Standing | ClosedHow::Abandoned => None,
    };
    match left {
        Some(key) => {
            let what = format!("r{} is closed while {} is in AWS", known.number, words::key(&key));
            Err(Violation::new("S2", what))
        }
        None => Ok(()),
    }
}

/// Whether another request about the same assignment is not closed: it takes what is left upon itself.
pub(crate) fn others_close(known: &Known, key: &AssignmentKey, truth: &Truth) -> bool {
    truth.requests.values().any(|other| {
        let open = match &other.request.phase {
            Phase::Approved { .. } => true,
            Phase::Ended { .. } => other.request.is_closing(),
            Phase::Pending | Phase::Expired { .. } | Phase::Rejected { .. } => false,
        };
        other.number != known.number && open && other.key().as_ref() == Some(key)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::people;
    use domain::PermissionSetArn;

    fn key() -> AssignmentKey {
        AssignmentKey::new(
            people::principal("ada"),
            domain::AccountId::new(aws::simulated::sample::PAYMENTS_PROD).unwrap(),
            PermissionSetArn::new(aws::simulated::sample::READ_ONLY).unwrap(),
        )
    }

    #[test]
    fn what_others_made_just_before_an_attempt_may_as_well_be_ours() {
        let at = |second| Timestamp::from_second(second).unwrap();
        for (intended_at, effective, stands) in
            [(101, true, false), (159, true, false), (160, true, true), (101, false, true)]
        {
            let mut effects = Effects::default();
            effects.made_by_others(key(), at(100));
            let created_at = effective.then_some(at(intended_at));
            effects.concluded(&Concluded { key: key(), created_at });
            assert_eq!(effects.stands(&key()), stands, "intended at {intended_at}");
            assert!(effects.is_of_others(&key()), "and is of others all the same");
        }
    }
}

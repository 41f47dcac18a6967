//! How long the sessions of roles may be, as far as AWS has refused longer ones.
//!
//! A role's longest session could be read with `iam:GetRole` in its account, a right that Daypass does not need otherwise. So it
//! is learnt by refusal, and forgotten after a while, for administrators raise it.

use domain::{RoleArn, SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How long a refusal is remembered: until an administrator who corrects a role sees it work, and not twice a call before.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(1);

/// Roles that are remembered; beyond it, all are asked anew.
const ROLES_MAX: usize = 10_000;

/// What is asked for when longer is refused, the longest first; an hour is what every role allows.
const STEPS: [SignedDuration; 5] = [
    SignedDuration::from_hours(8),
    SignedDuration::from_hours(6),
    SignedDuration::from_hours(4),
    SignedDuration::from_hours(3),
    SignedDuration::from_hours(2),
];

/// What may be asked for when `refused` was, before an hour.
pub(crate) fn shorter_than(refused: SignedDuration) -> impl Iterator<Item = SignedDuration> {
    STEPS.into_iter().filter(move |step| *step < refused)
}

/// What AWS has refused lately.
#[derive(Debug, Default)]
pub(crate) struct RoleLimits {
    /// When, and what it allowed instead.
    refused_at: Mutex<BTreeMap<RoleArn, (Timestamp, SignedDuration)>>,
}

impl RoleLimits {
    /// More than what need not be asked for.
    pub(crate) fn longest(&self, role: &RoleArn, now: Timestamp) -> SignedDuration {
        let known = self.lock().get(role).copied().filter(|(at, _)| now.duration_since(*at) < REMEMBERED);
        known.map_or(SignedDuration::MAX, |(_, longest)| longest)
    }

    /// More than `longest` was refused, and `longest` was not.
    pub(crate) fn note(&self, role: &RoleArn, longest: SignedDuration, now: Timestamp) {
        let mut refused_at = self.lock();
        if refused_at.len() >= ROLES_MAX {
            refused_at.clear();
        }
        refused_at.insert(role.clone(), (now, longest));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<RoleArn, (Timestamp, SignedDuration)>> {
        // Each change is complete under one lock.
        self.refused_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

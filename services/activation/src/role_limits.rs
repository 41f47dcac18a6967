//! Which roles allow no session longer than an hour, as far as AWS has refused one.
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

/// What AWS has refused lately.
#[derive(Debug, Default)]
pub(crate) struct RoleLimits {
    refused_at: Mutex<BTreeMap<RoleArn, Timestamp>>,
}

impl RoleLimits {
    /// Whether more than an hour need not be asked for.
    pub(crate) fn is_short(&self, role: &RoleArn, now: Timestamp) -> bool {
        self.lock().get(role).is_some_and(|at| now.duration_since(*at) < REMEMBERED)
    }

    /// More than an hour was refused, and an hour was not.
    pub(crate) fn note_short(&self, role: &RoleArn, now: Timestamp) {
        let mut refused_at = self.lock();
        if refused_at.len() >= ROLES_MAX {
            refused_at.clear();
        }
        refused_at.insert(role.clone(), now);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<RoleArn, Timestamp>> {
        // Each change is complete under one lock.
        self.refused_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

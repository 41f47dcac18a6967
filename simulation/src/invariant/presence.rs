//! S1 from its other side: what is recorded as active is in AWS as long as a live request needs it, but for the time that it takes to
//! see that it is missing, and to make it again. And a request ends because others removed its access only if others did.

use super::{Violation, later};
use crate::line::Cloud;
use crate::truth::{Known, Truth};
use crate::weather::Settings;
use crate::words;
use aws::AssignmentKey;
use aws::simulated::{ChangedBy, SimulatedAws};
use domain::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// How long access may be missing while nothing stands in the way, once somebody looks: an attempt of a process that died is waited
/// for a minute and a half, and failures have been waited out for a minute at most.
const RESTORED_WITHIN: SignedDuration = SignedDuration::from_secs(150);

/// In how many sweeps somebody looks: where whoever had the duty may never come back, others give them two.
const SWEEPS: i32 = 1;
const SWEEPS_OF_OTHERS: i32 = 4;

/// How long before a removal is recorded it may have been made: as long as nobody could look.
const REMOVED_BEFORE: SignedDuration = SignedDuration::from_mins(30);

/// What is missing in AWS.
#[derive(Debug)]
pub(crate) struct Presence {
    /// How long access may be missing.
    missing_max: SignedDuration,
    /// Since when nothing stands in the way of making it again.
    undisturbed_since: Option<Timestamp>,
    /// What is missing, and since when.
    missing: BTreeMap<AssignmentKey, Timestamp>,
}

impl Presence {
    /// Nothing is missing yet.
    pub(crate) fn new(settings: Settings) -> Self {
        let sweeps = if settings.renamed { SWEEPS_OF_OTHERS } else { SWEEPS };
        let missing_max = settings.sweep_interval.saturating_mul(sweeps).saturating_add(RESTORED_WITHIN);
        Self { missing_max, undisturbed_since: None, missing: BTreeMap::new() }
    }

    /// Looks. Whether access may be given must be `known` for it to be made again.
    pub(crate) fn look(
        &mut self,
        now: Timestamp,
        (calm, known): (bool, bool),
        truth: &Truth,
        cloud: &Cloud,
    ) -> Result<(), Violation> {
        if !calm || !known || truth.policy_damaged.is_some() || self.undisturbed_since.is_none() {
            self.undisturbed_since = Some(now);
        }
        let undisturbed_since = self.undisturbed_since.unwrap_or(now);
        let mut missing = BTreeMap::new();
        for active in truth.requests.values().filter(|known| is_active(known, now, truth)) {
            let Some(key) = active.key().filter(|key| !cloud.aws.has(key)) else { continue };
            let since = self.missing.get(&key).copied().unwrap_or(now);
            if now > later(since.max(undisturbed_since), self.missing_max) && !cloud.is_lost(key.account()) {
                let what = format!(
                    "r{} is active, and {} is missing in AWS since {since}",
                    active.number,
                    words::key(&key)
                );
                return Err(Violation::new("S1", what));
            }
            missing.insert(key, since);
        }
        self.missing = missing;
        Ok(())
    }
}

/// Whether a request has access now, by a history that can be read.
fn is_active(known: &Known, now: Timestamp, truth: &Truth) -> bool {
    let active = known.request.approved().is_ok_and(|(_, active)| active.is_some());
    active && known.request.is_live(now) && !truth.is_stuck(known)
}

/// A request has ended because others removed its access: they did.
pub(crate) fn removed_outside(known: &Known, now: Timestamp, aws: &SimulatedAws) -> Result<(), Violation> {
    let Some(key) = known.key() else { return Ok(()) };
    let removed = aws.changes().into_iter().rev().find(|change| change.key == key && !change.present);
    let by_others = removed
        .is_some_and(|change| change.by == ChangedBy::Others && later(change.at, REMOVED_BEFORE) >= now);
    if by_others {
        return Ok(());
    }
    let what =
        format!("r{} ends because others removed {}, and nobody else did", known.number, words::key(&key));
    Err(Violation::new("S1", what))
}

//! S2, for assignments: what is in AWS past its end is there only while AWS refuses or delays, or Daypass cannot work; and it is
//! counted.

use super::effect::Effects;
use super::{Violation, later};
use crate::line::Cloud;
use crate::truth::Truth;
use crate::words;
use aws::AssignmentKey;
use domain::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// How long an assignment may outlast its end once nothing stands in the way: an attempt of a process that died is waited for,
/// failures have been waited out for a minute at most, each operation takes seconds, and one account takes one at a time.
const LEFT_MAX: SignedDuration = SignedDuration::from_mins(6);

/// What is left in AWS.
#[derive(Debug, Default)]
pub(crate) struct Lateness {
    looked_at: Option<Timestamp>,
    /// Since when nothing stands in the way.
    calm_since: Option<Timestamp>,
    /// What is left, and since when.
    left: BTreeMap<AssignmentKey, Timestamp>,
    /// How many assignments outlasted their end by ten seconds.
    pub(crate) late: u32,
    /// The longest that one did.
    pub(crate) latest: SignedDuration,
}

/// From when on what outlasts its end is counted as late here: operations take that long.
const LATE_AFTER: SignedDuration = SignedDuration::from_secs(10);

impl Lateness {
    /// Whether it is time to look again.
    pub(crate) fn is_due(&self, now: Timestamp, interval: SignedDuration) -> bool {
        self.looked_at.is_none_or(|at| now.duration_since(at) >= interval)
    }

    /// Since when nothing stands in the way.
    pub(crate) fn calm_since(&self) -> Timestamp {
        self.calm_since.unwrap_or(Timestamp::MIN)
    }

    /// Whether nothing is left, as far as AWS shows.
    pub(crate) fn is_nothing_left(&self) -> bool {
        self.left.is_empty()
    }

    /// What has been left for longest, of those that Daypass can know of, and since when.
    pub(crate) fn longest_left(&self, truth: &Truth) -> Option<(&AssignmentKey, Timestamp)> {
        let known = self.left.iter().filter(|(key, _)| {
            !truth.abandoned.contains(*key)
                && !truth.unreadable.contains(*key)
                && truth
                    .requests
                    .values()
                    .all(|known| known.damaged.is_none() || known.key().as_ref() != Some(*key))
        });
        known.min_by_key(|(_, since)| **since).map(|(key, since)| (key, *since))
    }

    /// Looks.
    pub(crate) fn look(
        &mut self,
        now: Timestamp,
        calm: bool,
        truth: &Truth,
        effects: &Effects,
        cloud: &Cloud,
    ) -> Result<(), Violation> {
        self.looked_at = Some(now);
        if !calm || self.calm_since.is_none() {
            self.calm_since = Some(now);
        }
        let mut left = BTreeMap::new();
        for key in cloud.aws.assignments() {
            if effects.is_of_others(&key) || truth.unreadable.contains(&key) {
                continue;
            }
            let Some(over) = truth.needed_until(&key, now) else { continue };
            if over == Timestamp::MIN {
                continue;
            }
            let lasts = now.duration_since(over);
            let counted = self.left.contains_key(&key);
            if lasts >= LATE_AFTER {
                self.late += u32::from(!counted);
                self.latest = self.latest.max(lasts);
                left.insert(key.clone(), over);
            }
            let since = over.max(self.calm_since());
            if now > later(since, LEFT_MAX) && !cloud.is_lost(key.account()) {
                let what = format!(
                    "{} is left in AWS since {over}, and nothing stands in the way",
                    words::key(&key)
                );
                return Err(Violation::new("S2", what));
            }
        }
        self.left = left;
        Ok(())
    }
}

//! The order of errands: what may begin now, how many at a time, and when next.
//!
//! Removals go before grants, and both before looking whether all is well. One errand per account at a time, because AWS
//! updates one permission set's role per account at a time.

use super::Errand;
use domain::{AccountId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};

/// Requests that are attended to at a time. Each waits for the log alone, which writes many events at once.
const ATTENDED_MAX: usize = 64;

/// Of the assignments that are worked on at a time, those that only look whether all is well: the rest is for changes.
const CHECKS_MAX: usize = 2;

/// What goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// Requests: nothing but events.
    Story,
    /// Something must go.
    Removal,
    /// Something must come.
    Grant,
    /// All is well, as far as is known.
    Check,
}

/// Errands that wait, and errands under way.
#[derive(Default)]
pub(super) struct Queue {
    due: BTreeMap<Class, BTreeMap<Timestamp, BTreeSet<Errand>>>,
    scheduled: BTreeMap<Errand, (Class, Timestamp)>,
    running: BTreeMap<Errand, Class>,
    busy_accounts: BTreeSet<AccountId>,
    failures: BTreeMap<Errand, u32>,
}

impl Queue {
    /// Schedules an errand, or brings it forward.
    pub(super) fn schedule(&mut self, errand: Errand, at: Timestamp, class: Class) {
        let at = self.scheduled.get(&errand).map_or(at, |(_, before)| at.min(*before));
        self.unschedule(&errand);
        self.scheduled.insert(errand.clone(), (class, at));
        self.due.entry(class).or_default().entry(at).or_default().insert(errand);
    }

    /// Forgets an errand that waits.
    pub(super) fn drop(&mut self, errand: &Errand) {
        self.unschedule(errand);
        self.failures.remove(errand);
    }

    /// What is due and may begin; it is under way from now on.
    pub(super) fn take_due(&mut self, now: Timestamp, outstanding_max: usize) -> Vec<Errand> {
        let mut taken = Vec::new();
        for class in [Class::Story, Class::Removal, Class::Grant, Class::Check] {
            let limit = match class {
                Class::Story => ATTENDED_MAX,
                Class::Removal | Class::Grant => outstanding_max,
                Class::Check => CHECKS_MAX.min(outstanding_max),
            };
            for errand in self.candidates(class, now, limit) {
                // An earlier candidate may have taken the last place, or the account.
                if self.under_way(class) < limit && self.may_begin(&errand) {
                    self.begin(&errand, class);
                    taken.push(errand);
                }
            }
        }
        taken
    }

    fn candidates(&self, class: Class, now: Timestamp, limit: usize) -> Vec<Errand> {
        let due = self
            .due
            .get(&class)
            .into_iter()
            .flat_map(|due| due.range(..=now))
            .flat_map(|(_, errands)| errands);
        due.filter(|errand| self.may_begin(errand)).take(limit).cloned().collect()
    }

    /// The next instant after `now` at which something falls due.
    pub(super) fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        let first =
            |due: &BTreeMap<Timestamp, _>| due.range((Excluded(now), Unbounded)).next().map(|(at, _)| *at);
        self.due.values().filter_map(first).min()
    }

    /// An errand is no longer under way.
    pub(super) fn finish(&mut self, errand: &Errand) {
        self.running.remove(errand);
        if let Errand::Tend(key) = errand {
            self.busy_accounts.remove(key.target.account());
        }
    }

    /// An errand went well.
    pub(super) fn succeeded(&mut self, errand: &Errand) {
        self.failures.remove(errand);
    }

    /// An errand failed; says how often in a row.
    pub(super) fn failed(&mut self, errand: &Errand) -> u32 {
        let failures = self.failures.entry(errand.clone()).or_default();
        *failures = failures.saturating_add(1);
        *failures
    }

    fn unschedule(&mut self, errand: &Errand) {
        let Some((class, at)) = self.scheduled.remove(errand) else { return };
        let Some(due) = self.due.get_mut(&class) else { return };
        if let Some(errands) = due.get_mut(&at) {
            errands.remove(errand);
            if errands.is_empty() {
                due.remove(&at);
            }
        }
    }

    fn may_begin(&self, errand: &Errand) -> bool {
        let free = match errand {
            Errand::Attend(_) => true,
            Errand::Tend(key) => !self.busy_accounts.contains(key.target.account()),
        };
        free && !self.running.contains_key(errand)
    }

    /// How many are under way that count against the limit of `class`.
    fn under_way(&self, class: Class) -> usize {
        let counts = |running: &Class| match class {
            Class::Story => *running == Class::Story,
            Class::Removal | Class::Grant => *running != Class::Story,
            Class::Check => *running == Class::Check,
        };
        self.running.values().filter(|running| counts(running)).count()
    }

    fn begin(&mut self, errand: &Errand, class: Class) {
        self.unschedule(errand);
        self.running.insert(errand.clone(), class);
        if let Errand::Tend(key) = errand {
            self.busy_accounts.insert(key.target.account().clone());
        }
    }
}

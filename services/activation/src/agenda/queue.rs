//! The order of errands: what may begin now, how many at a time, and when next.
//!
//! Each of AWS's services has a lane of its own. Removals go before grants, both before looking at what may go, and that before
//! looking whether all is well. One errand per account at a time, because AWS updates one permission set's role per account at a time.

use super::Errand;
use aws::Limits;
use domain::{AccountId, Entitlement, Timestamp};
use lifecycle::assignment::AssignmentKey;
use std::cmp::Reverse;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};

/// Requests that are attended to at a time. Each waits for the log alone, which writes many events at once.
const ATTENDED_MAX: usize = 256;

/// Beyond the operations that AWS takes at a time, the assignments that are prepared meanwhile: looked at and decided on, so that
/// the next operation begins when one ends. Few, so that what was seen is not old by then.
const AHEAD: usize = 4;

/// How many places in a line are looked at for one to begin with, for each that can begin.
const CHOICE: usize = 8;

/// Of the assignments that are worked on at a time, those that only look whether all is well: the rest is for changes.
const CHECKS_MAX: usize = 2;

/// And those that look whether what a removal of ours may still take is there.
const LOOKS_MAX: usize = 2;

/// What goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// Requests: nothing but events.
    Story,
    /// Something must go.
    Removal,
    /// Something must come.
    Grant,
    /// Something is there that a removal of ours may still take.
    Look,
    /// All is well, as far as is known.
    Check,
}

/// Which of AWS's services an errand is about: each has limits of its own, so none waits for another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lane {
    /// None.
    Log,
    /// Permission sets.
    IdentityCenter,
    /// Roles that are given to users.
    AccountAccess,
}

impl Lane {
    /// Those of AWS.
    pub(crate) const OF_AWS: [Self; 2] = [Self::IdentityCenter, Self::AccountAccess];

    pub(crate) fn of(key: &AssignmentKey) -> Self {
        match key.target.entitlement() {
            Entitlement::PermissionSet(_) => Self::IdentityCenter,
            Entitlement::Role(_) => Self::AccountAccess,
        }
    }

    /// How many changes the service makes at a time, where Identity Center makes `outstanding_max`.
    pub(crate) fn places(self, outstanding_max: usize) -> usize {
        let places = match self {
            Self::Log | Self::IdentityCenter => outstanding_max,
            Self::AccountAccess => Limits::ACCOUNT_ACCESS.outstanding_max,
        };
        places.max(1)
    }

    /// Whether the service makes one change at a time in an account: Identity Center updates the role of a permission set there.
    /// Entitlements to ordinary roles do not meet.
    pub(crate) const fn is_one_per_account(self) -> bool {
        match self {
            Self::Log => false,
            Self::IdentityCenter => Limits::IDENTITY_CENTER.one_per_account,
            Self::AccountAccess => Limits::ACCOUNT_ACCESS.one_per_account,
        }
    }

    fn of_errand(errand: &Errand) -> Self {
        match errand {
            Errand::Attend(_) => Self::Log,
            Errand::Tend(key) => Self::of(key),
        }
    }
}

/// Errands that wait, and errands under way.
#[derive(Default)]
pub(super) struct Queue {
    due: BTreeMap<(Class, Lane), BTreeMap<Timestamp, BTreeSet<Errand>>>,
    scheduled: BTreeMap<Errand, (Class, Timestamp)>,
    /// With the instant at which each fell due.
    running: BTreeMap<Errand, (Class, Timestamp)>,
    /// How many of those there are.
    under_way: BTreeMap<(Lane, Class), usize>,
    busy_accounts: BTreeSet<AccountId>,
    /// Changes that wait, by account: they go one after the other, so where there are many is begun first.
    backlog: BTreeMap<AccountId, usize>,
    failures: BTreeMap<Errand, u32>,
}

impl Queue {
    /// Schedules an errand, or brings it forward.
    pub(super) fn schedule(&mut self, errand: Errand, at: Timestamp, class: Class) {
        let at = self.scheduled.get(&errand).map_or(at, |(_, before)| at.min(*before));
        self.unschedule(&errand);
        self.scheduled.insert(errand.clone(), (class, at));
        if let Some(account) = changes(&errand, class) {
            *self.backlog.entry(account.clone()).or_default() += 1;
        }
        self.due.entry((class, Lane::of_errand(&errand))).or_default().entry(at).or_default().insert(errand);
    }

    /// Has an errand that waits do so in another class.
    pub(super) fn reclass(&mut self, errand: &Errand, class: Class) {
        if let Some((_, at)) = self.scheduled.get(errand).copied() {
            self.schedule(errand.clone(), at, class);
        }
    }

    /// Has a check that is due take an earlier place in its line.
    pub(super) fn advance(&mut self, errand: &Errand, to: Timestamp, now: Timestamp) {
        let waits = self.scheduled.get(errand).copied();
        if waits.is_some_and(|(class, at)| class == Class::Check && at <= now) {
            self.schedule(errand.clone(), to, Class::Check);
        }
    }

    /// Whether an errand is due at `by`.
    pub(super) fn has_due(&self, by: Timestamp) -> bool {
        self.due.values().any(|due| due.first_key_value().is_some_and(|(at, _)| *at <= by))
    }

    /// Whether an errand is due or under way that is more than a check.
    pub(super) fn is_pressed(&self, now: Timestamp) -> bool {
        let urgent = self.due.range(..(Class::Check, Lane::Log));
        let is_due = |due: &BTreeMap<Timestamp, _>| due.first_key_value().is_some_and(|(at, _)| *at <= now);
        urgent.into_iter().any(|(_, due)| is_due(due))
            || self.running.values().any(|(class, _)| *class != Class::Check)
    }

    /// Forgets an errand that waits.
    pub(super) fn drop(&mut self, errand: &Errand) {
        self.unschedule(errand);
        self.failures.remove(errand);
    }

    /// What is due and may begin; it is under way from now on.
    pub(super) fn take_due(&mut self, now: Timestamp, outstanding_max: usize) -> Vec<Errand> {
        let mut taken = Vec::new();
        for (class, lane) in self.due.keys().copied().collect::<Vec<_>>() {
            let limit = limit(class, lane.places(outstanding_max));
            if self.under_way(class, lane) >= limit {
                continue;
            }
            for errand in self.candidates((class, lane), now, limit) {
                // An earlier candidate may have taken the last place, or the account.
                if self.under_way(class, lane) < limit && self.may_begin(&errand) {
                    self.begin(&errand, class);
                    taken.push(errand);
                }
            }
        }
        taken
    }

    /// Whether something more urgent than `class` is due, and has a place, that does not begin because `errand` is under way: it is about
    /// the same assignment, or in the same account.
    pub(super) fn holds_up(
        &self,
        errand: &Errand,
        class: Class,
        now: Timestamp,
        outstanding_max: usize,
    ) -> bool {
        let account = account_of(errand);
        let is_held_up = |other: &Errand| {
            other == errand || account.is_some_and(|account| account_of(other) == Some(account))
        };
        let more_urgent = self.due.range((Class::Removal, Lane::Log)..(class, Lane::Log));
        let with_place = more_urgent.filter(|((of, lane), _)| {
            // The errand itself is among those that are under way; among looks it is not.
            let others = self.under_way(*of, *lane).saturating_sub(usize::from(*of != Class::Look));
            others < limit(*of, lane.places(outstanding_max))
        });
        with_place.flat_map(|(_, due)| due.range(..=now)).flat_map(|(_, errands)| errands).any(is_held_up)
    }

    /// Some that may begin: who waits longest first, and of those of the same second who have most behind them in their account.
    fn candidates(&self, (class, lane): (Class, Lane), now: Timestamp, limit: usize) -> Vec<Errand> {
        let due = self
            .due
            .get(&(class, lane))
            .into_iter()
            .flat_map(|due| due.range(..=now))
            .flat_map(|(at, errands)| errands.iter().map(move |errand| (at.as_second(), errand)));
        let first = due.filter(|(_, errand)| self.may_begin(errand));
        if class == Class::Story {
            return first.take(limit).map(|(_, errand)| errand.clone()).collect();
        }
        let mut choice: Vec<(i64, &Errand)> = first.take(limit * CHOICE).collect();
        choice.sort_by_key(|(second, errand)| (*second, Reverse(self.backlog_of(errand))));
        choice.into_iter().map(|(_, errand)| errand.clone()).collect()
    }

    fn backlog_of(&self, errand: &Errand) -> usize {
        account_of(errand).map(|account| self.backlog_in(account)).unwrap_or_default()
    }

    /// How many changes wait in an account.
    pub(super) fn backlog_in(&self, account: &AccountId) -> usize {
        self.backlog.get(account).copied().unwrap_or_default()
    }

    /// The next instant after `now` at which something falls due.
    pub(super) fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        let first =
            |due: &BTreeMap<Timestamp, _>| due.range((Excluded(now), Unbounded)).next().map(|(at, _)| *at);
        self.due.values().filter_map(first).min()
    }

    /// Whether an errand is under way, or waits for an instant up to `by`; one that failed waits for its next try, whenever that is.
    pub(super) fn has_by(&self, errand: &Errand, by: Timestamp) -> bool {
        let waits = self.scheduled.get(errand);
        self.running.contains_key(errand)
            || waits.is_some_and(|(_, at)| *at <= by || self.failures.contains_key(errand))
    }

    /// The errands of one class and lane that are under way, and those that wait for their first try and fall due from `after` on and by `by`; each with the
    /// instant at which it falls due, or did.
    pub(super) fn begun_by(
        &self,
        class: Class,
        lane: Lane,
        after: Timestamp,
        by: Timestamp,
    ) -> impl Iterator<Item = (&Errand, Timestamp)> {
        let running = self
            .running
            .iter()
            .filter(move |(errand, (of, _))| *of == class && Lane::of_errand(errand) == lane)
            .map(|(errand, (_, due_at))| (errand, *due_at));
        let due = self
            .due
            .get(&(class, lane))
            .into_iter()
            .flat_map(move |due| due.range(after.min(by)..=by))
            .flat_map(|(at, errands)| errands.iter().map(move |errand| (errand, *at)))
            // Something happened while it is under way: it is done again. What failed before may fail again, or another replica sees to it:
            // it counts once it is under way.
            .filter(move |(errand, _)| {
                !self.running.contains_key(*errand) && !self.failures.contains_key(*errand)
            });
        running.chain(due)
    }

    /// When an errand falls due, or did that is under way; `None`: it waits for nothing but a change.
    pub(super) fn due_at(&self, errand: &Errand) -> Option<Timestamp> {
        let running = self.running.get(errand).map(|(_, due_at)| *due_at);
        running.or_else(|| self.scheduled.get(errand).map(|(_, at)| *at))
    }

    /// When an errand that failed is tried again.
    pub(super) fn tried_again_at(&self, errand: &Errand) -> Option<Timestamp> {
        let failed = self.failures.contains_key(errand);
        self.scheduled.get(errand).filter(|_| failed).map(|(_, at)| *at)
    }

    /// An errand is no longer under way. Says when it fell due.
    pub(super) fn finish(&mut self, errand: &Errand) -> Option<Timestamp> {
        let ran = self.running.remove(errand);
        if let Some(count) =
            ran.and_then(|(class, _)| self.under_way.get_mut(&(Lane::of_errand(errand), class)))
        {
            *count -= 1;
        }
        if let Some(account) = account_of(errand) {
            self.busy_accounts.remove(account);
        }
        ran.map(|(_, due_at)| due_at)
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

    /// An errand does not wait any more.
    pub(super) fn unschedule(&mut self, errand: &Errand) {
        let Some((class, at)) = self.scheduled.remove(errand) else { return };
        if let Some(account) = changes(errand, class)
            && let Entry::Occupied(mut waiting) = self.backlog.entry(account.clone())
        {
            *waiting.get_mut() -= 1;
            if *waiting.get() == 0 {
                waiting.remove();
            }
        }
        let Some(due) = self.due.get_mut(&(class, Lane::of_errand(errand))) else { return };
        if let Some(errands) = due.get_mut(&at) {
            errands.remove(errand);
            if errands.is_empty() {
                due.remove(&at);
            }
        }
    }

    fn may_begin(&self, errand: &Errand) -> bool {
        let free = account_of(errand).is_none_or(|account| !self.busy_accounts.contains(account));
        free && !self.running.contains_key(errand)
    }

    /// How many are under way that count against the limit of `class`.
    fn under_way(&self, class: Class, lane: Lane) -> usize {
        let counts = |running: &Class| match class {
            Class::Story => *running == Class::Story,
            Class::Removal | Class::Grant => *running != Class::Story,
            Class::Look | Class::Check => *running == class,
        };
        let in_lane = self.under_way.iter().filter(|((of, running), _)| *of == lane && counts(running));
        in_lane.map(|(_, count)| count).sum()
    }

    fn begin(&mut self, errand: &Errand, class: Class) {
        let due_at = self.scheduled.get(errand).map_or(Timestamp::MIN, |(_, at)| *at);
        self.unschedule(errand);
        self.running.insert(errand.clone(), (class, due_at));
        *self.under_way.entry((Lane::of_errand(errand), class)).or_default() += 1;
        if let Some(account) = account_of(errand) {
            self.busy_accounts.insert(account.clone());
        }
    }
}

/// How many errands of a class are under way at a time, in one lane with so many places.
const fn limit(class: Class, places: usize) -> usize {
    match class {
        Class::Story => ATTENDED_MAX,
        // However many grants are prepared, a removal finds a place.
        Class::Removal => places + 2 * AHEAD,
        Class::Grant => places + AHEAD,
        Class::Look => LOOKS_MAX,
        Class::Check => CHECKS_MAX,
    }
}

/// The account that an errand keeps to itself.
pub(super) fn account_of(errand: &Errand) -> Option<&AccountId> {
    match errand {
        Errand::Attend(_) => None,
        Errand::Tend(key) => Lane::of(key).is_one_per_account().then(|| key.target.account()),
    }
}

/// The account in which an errand that waits is going to change something.
fn changes(errand: &Errand, class: Class) -> Option<&AccountId> {
    match class {
        Class::Removal | Class::Grant => account_of(errand),
        Class::Story | Class::Look | Class::Check => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws::simulated::sample;
    use domain::{PrincipalId, Target};

    fn tend(account: &str, principal: &str) -> Errand {
        Errand::Tend(AssignmentKey {
            principal: PrincipalId::new(principal).unwrap(),
            target: Target::parse(account, sample::READ_ONLY).unwrap(),
        })
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    #[test]
    fn each_of_awss_services_has_its_own_places() {
        let mut queue = Queue::default();
        for nth in 0..40 {
            let role = format!("arn:aws:iam::{}:role/daypass/R{nth:02}", sample::WEB_PROD);
            let principal = PrincipalId::new(sample::ADA).unwrap();
            let key = AssignmentKey { principal, target: Target::parse(sample::WEB_PROD, &role).unwrap() };
            queue.schedule(Errand::Tend(key), at(0), Class::Grant);
            queue.schedule(tend(&format!("7{nth:011}"), sample::ADA), at(0), Class::Grant);
        }
        let begun = queue.take_due(at(1), 2);
        let in_lane = |lane: Lane| begun.iter().filter(|errand| Lane::of_errand(errand) == lane).count();
        assert_eq!(in_lane(Lane::IdentityCenter), 2 + AHEAD);
        assert_eq!(in_lane(Lane::AccountAccess), Limits::ACCOUNT_ACCESS.outstanding_max + AHEAD);
    }

    #[test]
    fn what_gives_way_to_a_removal_of_its_account_comes_back_in_its_place() {
        let mut queue = Queue::default();
        let (grant, removal) = (tend(sample::WEB_PROD, sample::ADA), tend(sample::WEB_PROD, sample::BOB));
        queue.schedule(grant.clone(), at(0), Class::Grant);
        assert_eq!(queue.take_due(at(1), 10), std::slice::from_ref(&grant));
        queue.schedule(tend(sample::WEB_DEV, sample::BOB), at(5), Class::Removal);
        assert!(!queue.holds_up(&grant, Class::Grant, at(10), 10), "another account's");
        queue.schedule(removal.clone(), at(5), Class::Removal);
        assert!(!queue.holds_up(&grant, Class::Grant, at(4), 10), "not due yet");
        assert!(queue.holds_up(&grant, Class::Grant, at(10), 10));
        assert!(!queue.holds_up(&grant, Class::Removal, at(10), 10), "no less urgent itself");
        assert_eq!(queue.finish(&grant), Some(at(0)), "where it comes back to");
        assert!(queue.take_due(at(10), 10).contains(&removal));
    }
}

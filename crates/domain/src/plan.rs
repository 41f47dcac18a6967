//! Who must agree.

use crate::{Actor, GroupRef, Person, PrincipalId};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// "`count` distinct people out of these groups, or these people".
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Step {
    /// How many; at least 1.
    pub count: u8,
    /// Members of any of these may agree.
    pub groups: BTreeSet<GroupRef>,
    /// These may agree as well.
    pub people: BTreeSet<Person>,
}

impl Step {
    /// Whether `person`, being in `groups`, may agree to this step.
    pub fn accepts(&self, person: &Person, groups: &BTreeSet<GroupRef>) -> bool {
        self.people.contains(person) || !self.groups.is_disjoint(groups)
    }
}

/// Steps that must all be met, in any order. The empty plan is met by nobody's word.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Step>,
}

/// One approver's yes, with the groups that they were in when it counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endorsement {
    /// Who.
    pub approver: Actor,
    /// Their user in Identity Center, where they have one: the same user under two identities is one person.
    pub principal: Option<PrincipalId>,
    /// Their groups, so far as they matter to the plan.
    pub groups: BTreeSet<GroupRef>,
    /// When.
    pub at: Timestamp,
}

impl Plan {
    /// The plan without steps.
    pub const fn none() -> Self {
        Self { steps: Vec::new() }
    }

    /// Whether nobody needs to agree.
    pub fn is_none(&self) -> bool {
        self.steps.is_empty()
    }

    /// How many people must agree in all.
    pub fn people_needed(&self) -> usize {
        self.steps.iter().map(|step| usize::from(step.count)).sum()
    }

    /// Every group that a step names.
    pub fn groups(&self) -> BTreeSet<GroupRef> {
        self.steps.iter().flat_map(|step| step.groups.iter().cloned()).collect()
    }

    /// Whether `person`, being in `groups`, may agree to any step.
    pub fn accepts(&self, person: &Person, groups: &BTreeSet<GroupRef>) -> bool {
        self.steps.iter().any(|step| step.accepts(person, groups))
    }

    /// Whether `agreed` meets every step, each person counting once and in one step only, with all groups that they are listed
    /// with.
    pub fn is_met_by<'a>(
        &self,
        agreed: impl IntoIterator<Item = (&'a Person, &'a BTreeSet<GroupRef>)>,
    ) -> bool {
        self.missing(agreed).is_none()
    }

    /// What is left of the plan once everyone in `agreed` is counted where they help most: a bipartite matching of places to
    /// people (augmenting paths; both sides are small). Where people could be counted in several ways, earlier steps are
    /// filled first.
    #[must_use]
    pub fn missing<'a>(
        &self,
        agreed: impl IntoIterator<Item = (&'a Person, &'a BTreeSet<GroupRef>)>,
    ) -> Self {
        let mut people: BTreeMap<&Person, Vec<&BTreeSet<GroupRef>>> = BTreeMap::new();
        for (person, groups) in agreed {
            people.entry(person).or_default().push(groups);
        }
        let able = |step: &Step| -> Vec<usize> {
            let accepted = people
                .iter()
                .enumerate()
                .filter(|(_, (person, groups))| groups.iter().any(|groups| step.accepts(person, groups)));
            accepted.map(|(i, _)| i).collect()
        };
        let places: Vec<Vec<usize>> = self
            .steps
            .iter()
            .flat_map(|step| std::iter::repeat_n(able(step), usize::from(step.count)))
            .collect();
        let mut seat_of: Vec<Option<usize>> = vec![None; people.len()];
        // A place that was filled stays filled: people only move on when someone else takes over.
        let mut filled = (0..places.len())
            .map(|place| seat(place, &places, &mut seat_of, &mut vec![false; people.len()]))
            .collect::<Vec<bool>>()
            .into_iter();
        let steps = self.steps.iter().filter_map(|step| {
            let empty = filled.by_ref().take(usize::from(step.count)).filter(|filled| !filled).count();
            let count = u8::try_from(empty).unwrap_or(u8::MAX);
            (count > 0).then(|| Step { count, ..step.clone() })
        });
        Self { steps: steps.collect() }
    }
}

/// Finds someone for `place`, moving people to other places where that frees one.
fn seat(place: usize, places: &[Vec<usize>], seat_of: &mut [Option<usize>], asked: &mut [bool]) -> bool {
    for &person in places.get(place).into_iter().flatten() {
        let Some(seen) = asked.get_mut(person) else {
            continue;
        };
        if std::mem::replace(seen, true) {
            continue;
        }
        let taken = seat_of.get(person).copied().flatten();
        if taken.is_none_or(|other| seat(other, places, seat_of, asked)) {
            if let Some(slot) = seat_of.get_mut(person) {
                *slot = Some(place);
            }
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(name: &str) -> Person {
        Person::new("https://idp.example", name).unwrap()
    }

    fn group(name: &str) -> GroupRef {
        GroupRef::new("idp", name).unwrap()
    }

    fn step(count: u8, groups: &[&str]) -> Step {
        Step { count, groups: groups.iter().map(|g| group(g)).collect(), people: BTreeSet::new() }
    }

    fn met(plan: &Plan, agreed: &[(&str, &[&str])]) -> bool {
        let people: Vec<(Person, BTreeSet<GroupRef>)> =
            agreed.iter().map(|(p, gs)| (person(p), gs.iter().map(|g| group(g)).collect())).collect();
        plan.is_met_by(people.iter().map(|(p, g)| (p, g)))
    }

    #[test]
    fn the_empty_plan_needs_nobody() {
        assert!(met(&Plan::none(), &[]));
    }

    #[test]
    fn one_person_in_two_groups_counts_once() {
        let plan = Plan { steps: vec![step(1, &["a"]), step(1, &["b"])] };
        assert!(!met(&plan, &[("eve", &["a", "b"])]));
        assert!(met(&plan, &[("eve", &["a", "b"]), ("bob", &["a"])]));
        assert!(met(&plan, &[("bob", &["b"]), ("eve", &["a", "b"])]));
    }

    #[test]
    fn one_person_twice_counts_once() {
        let plan = Plan { steps: vec![step(2, &["a"])] };
        assert!(!met(&plan, &[("eve", &["a"]), ("eve", &["a"])]));
    }

    #[test]
    fn people_are_moved_to_where_they_are_needed() {
        let plan = Plan { steps: vec![step(1, &["a", "b"]), step(1, &["a"]), step(1, &["c"])] };
        assert!(met(&plan, &[("p", &["a"]), ("q", &["b", "c"]), ("r", &["b"])]));
        assert!(!met(&plan, &[("p", &["a"]), ("q", &["b"]), ("r", &["b"])]));
    }

    fn missing(plan: &Plan, agreed: &[(&str, &[&str])]) -> Vec<Step> {
        let people: Vec<(Person, BTreeSet<GroupRef>)> =
            agreed.iter().map(|(p, gs)| (person(p), gs.iter().map(|g| group(g)).collect())).collect();
        plan.missing(people.iter().map(|(p, g)| (p, g))).steps
    }

    #[test]
    fn what_is_missing_shrinks_with_every_yes() {
        let plan = Plan { steps: vec![step(2, &["a"]), step(1, &["b"])] };
        assert_eq!(missing(&plan, &[]), plan.steps);
        assert_eq!(missing(&plan, &[("p", &["a"])]), [step(1, &["a"]), step(1, &["b"])]);
        assert_eq!(missing(&plan, &[("p", &["a"]), ("q", &["b"])]), [step(1, &["a"])]);
        assert_eq!(missing(&plan, &[("p", &["a"]), ("q", &["b"]), ("r", &["a"])]), []);
    }

    #[test]
    fn whoever_fits_no_step_or_agreed_before_fills_nothing() {
        let plan = Plan { steps: vec![step(1, &["a"]), step(1, &["b"])] };
        assert_eq!(missing(&plan, &[("p", &["c"])]), plan.steps);
        assert_eq!(missing(&plan, &[("p", &["a", "b"]), ("p", &["a", "b"])]), [step(1, &["b"])]);
    }

    #[test]
    fn someone_already_counted_moves_where_that_leaves_less_missing() {
        let plan = Plan { steps: vec![step(1, &["a", "b"]), step(1, &["a"])] };
        assert_eq!(missing(&plan, &[("p", &["a"]), ("q", &["b"])]), []);
    }

    #[test]
    fn a_named_person_may_agree_without_a_group() {
        let plan =
            Plan { steps: vec![Step { count: 1, groups: BTreeSet::new(), people: [person("ada")].into() }] };
        assert!(met(&plan, &[("ada", &[])]));
        assert!(!met(&plan, &[("bob", &[])]));
    }
}

//! Whether a plan can be met at all by the people there are: told when a request is raised, not after a day of waiting.

use domain::{GroupRef, Person, Plan, Step};
use std::collections::BTreeSet;

/// The steps of `plan` that `people` cannot meet, for telling the requester who is missing; none when the plan can be met.
/// `people` are those who may decide: without the requester and the raiser. Where each step can be met and only all of them
/// together cannot (one person would have to count twice), all steps are told.
pub fn out_of_reach<'p, 'a>(
    plan: &'p Plan,
    people: impl IntoIterator<Item = (&'a Person, &'a BTreeSet<GroupRef>)>,
) -> Vec<&'p Step> {
    let able: Vec<(&Person, &BTreeSet<GroupRef>)> =
        people.into_iter().filter(|(person, groups)| plan.accepts(person, groups)).collect();
    if plan.is_met_by(able.iter().copied()) {
        return Vec::new();
    }
    let alone = |step: &&Step| {
        let count = able.iter().filter(|(person, groups)| step.accepts(person, groups)).count();
        count < usize::from(step.count)
    };
    let missing: Vec<&Step> = plan.steps.iter().filter(alone).collect();
    if missing.is_empty() { plan.steps.iter().collect() } else { missing }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(count: u8, group: &str) -> Step {
        Step { count, groups: [GroupRef::new("idp", group).unwrap()].into(), people: BTreeSet::new() }
    }

    fn missing(steps: &[Step], people: &[(&str, &[&str])]) -> Vec<Step> {
        let people: Vec<(Person, BTreeSet<GroupRef>)> = people
            .iter()
            .map(|(name, groups)| {
                let groups = groups.iter().map(|group| GroupRef::new("idp", group).unwrap());
                (Person::new("https://idp.example", name).unwrap(), groups.collect())
            })
            .collect();
        let plan = Plan { steps: steps.to_vec() };
        out_of_reach(&plan, people.iter().map(|(person, groups)| (person, groups)))
            .into_iter()
            .cloned()
            .collect()
    }

    #[test]
    fn a_plan_that_can_be_met_misses_nobody() {
        assert_eq!(missing(&[], &[]), []);
        assert_eq!(missing(&[step(1, "a")], &[("ada", &["a"]), ("bob", &[])]), []);
    }

    #[test]
    fn the_step_that_lacks_people_is_told() {
        let steps = [step(1, "a"), step(2, "b")];
        let people: &[(&str, &[&str])] = &[("ada", &["a"]), ("bob", &["b"])];
        assert_eq!(missing(&steps, people), [step(2, "b")]);
    }

    #[test]
    fn where_one_person_would_have_to_count_twice_all_steps_are_told() {
        let steps = [step(1, "a"), step(1, "b")];
        assert_eq!(missing(&steps, &[("ada", &["a", "b"])]), steps);
    }
}

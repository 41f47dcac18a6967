//! Whether there are people who could agree: told when a request is raised, not after a day of waiting.

use aws::Directory;
use aws::directory::GROUP_SOURCE;
use domain::{GroupRef, Person, Plan, PrincipalId, Step};
use lifecycle::raise::Deciders;
use lifecycle::state::Identities;
use policy::reach::out_of_reach;
use std::collections::{BTreeMap, BTreeSet};

/// Whether enough people, other than those `excluded`, could meet `plan`. Members of groups that only tokens tell are not known
/// here: where a step lacks people and names such a group, nothing can be said.
pub(crate) fn deciders(plan: &Plan, directory: &Directory, excluded: &[&Identities]) -> Deciders {
    let able = able(plan, directory, excluded);
    let missing = out_of_reach(plan, &able);
    if missing.is_empty() {
        Deciders::Enough
    } else if missing.iter().flat_map(|step| &step.groups).any(|group| !is_of_directory(group)) {
        Deciders::Unknown
    } else {
        let words = missing.iter().map(|step| in_words(step, directory)).collect::<Vec<_>>();
        Deciders::Missing(words.join("; "))
    }
}

fn is_of_directory(group: &GroupRef) -> bool {
    group.source.as_str() == GROUP_SOURCE
}

/// People who may agree to something in `plan`, each human once. Of a group, no more are looked at than the plan needs in all:
/// among so many there is always one who has no other place.
fn able(
    plan: &Plan,
    directory: &Directory,
    excluded: &[&Identities],
) -> BTreeMap<Person, BTreeSet<GroupRef>> {
    let needed = plan.people_needed();
    let named: BTreeSet<&Person> = plan.steps.iter().flat_map(|step| &step.people).collect();
    let (mut able, mut counted) = (BTreeMap::new(), BTreeSet::new());
    for group in plan.groups().iter().filter(|group| is_of_directory(group)) {
        let members = directory.members_of(group);
        for member in members.iter().filter(|member| is_free(member, directory, excluded)).take(needed) {
            if let Some(identity) = identity_of(member, directory, &named) {
                able.insert(identity, directory.groups_of(member));
                counted.insert(member.clone());
            }
        }
    }
    for person in named {
        let user = directory.user_by_external_id(person.issuer.as_str(), person.subject.as_str()).ok();
        let free = match user {
            Some(user) => is_free(user, directory, excluded) && counted.insert(user.clone()),
            None => !excluded.iter().any(|identities| identities.people.contains(person)),
        };
        if free {
            able.insert(person.clone(), user.map(|user| directory.groups_of(user)).unwrap_or_default());
        }
    }
    able
}

/// Whether a user can decide at all, and is none of those who must not.
fn is_free(user: &PrincipalId, directory: &Directory, excluded: &[&Identities]) -> bool {
    directory.user(user).is_some_and(|known| known.enabled)
        && !excluded.iter().any(|identities| {
            identities.principal.as_ref() == Some(user)
                || identities.people.iter().any(|person| {
                    directory.user_by_external_id(person.issuer.as_str(), person.subject.as_str()) == Ok(user)
                })
        })
}

/// One identity to count a user by: one that the plan names, where there is one.
fn identity_of(user: &PrincipalId, directory: &Directory, named: &BTreeSet<&Person>) -> Option<Person> {
    let ids = &directory.user(user)?.external_ids;
    let mut people: Vec<Person> = ids.iter().filter_map(|id| Person::new(&id.issuer, &id.id).ok()).collect();
    // Some users have no identity at an issuer: they are signed in by the directory's own id.
    people.extend(Person::new(GROUP_SOURCE, user.as_str()).ok());
    people.iter().find(|person| named.contains(person)).or_else(|| people.first()).cloned()
}

/// "2 of Platform approvers or Security".
fn in_words(step: &Step, directory: &Directory) -> String {
    let groups = step.groups.iter().map(|group| match directory.group_name(group) {
        Some(name) => name.to_owned(),
        None => format!("{group} (not in the directory)"),
    });
    let mut out_of: Vec<String> = groups.collect();
    if !step.people.is_empty() {
        out_of.push(format!("{} people by name", step.people.len()));
    }
    format!("{} of {}", step.count, out_of.join(" or "))
}

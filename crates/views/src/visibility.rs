//! Who may know of a request. One home for the rule: to everyone else it is `NOT_FOUND`, in every service.

use crate::requests::Story;
use crate::who::Who;
use domain::Plan;

/// Whether `who` may see the request of `story`: whoever requested, raised or acted on it; whoever may agree to it, by the plan
/// that it was raised under or by the plan as it stands now; auditors and administrators.
pub fn sees(who: &Who, story: &Story, current: Option<&Plan>) -> bool {
    let identities = &who.acting.identities;
    let acted = |person: &domain::Person| identities.people.contains(person);
    who.is_auditor
        || who.is_administrator
        || story.request.involves(identities)
        || story.events.iter().filter_map(|event| event.actor.as_ref()).any(|actor| acted(&actor.person))
        || [Some(&story.request.raised.grounds.plan), current]
            .into_iter()
            .flatten()
            .any(|plan| agrees(who, plan))
}

/// Whether `who` is proved to be someone who may agree to a step of `plan`.
pub fn agrees(who: &Who, plan: &Plan) -> bool {
    let none = std::collections::BTreeSet::new();
    let groups = who.groups.known().unwrap_or(&none);
    who.acting.identities.people.iter().any(|person| plan.accepts(person, groups))
}

//! Who the people of a decision are, and which groups they are in, as far as that is known at this moment.

use crate::status::Refused;
use aws::Directory;
use domain::{Groups, Person, PrincipalId, SignedDuration, Timestamp};
use identity::Caller;
use lifecycle::review::Endorser;
use lifecycle::state::{Acting, Identities};
use lifecycle::{Rejection, Request};
use std::collections::{BTreeMap, BTreeSet};
use views::requests::StoryError;
use views::who::Recorded;
use views::{Views, who};

/// Who decides, and their groups.
pub(crate) struct Decider {
    pub(crate) acting: Acting,
    pub(crate) groups: Groups,
}

/// The caller, with everyone whom they are known to be among the people of `request`.
pub(crate) fn decider(
    views: &Views,
    caller: &Caller,
    request: &Request,
    now: Timestamp,
    group_age_max: SignedDuration,
) -> Result<Decider, StoryError> {
    // Where several users match, the groups are unknown as well.
    let principal = who::principal_of_caller(&views.directory, caller).unwrap_or_default();
    let identities = identities(views, &caller.actor.person, principal, request)?;
    Ok(Decider {
        acting: Acting { actor: caller.actor.clone(), identities },
        groups: who::groups_of_caller(&views.directory, caller, now, group_age_max),
    })
}

/// Everyone who agreed to `request` before, as they are now. Groups that only their token told count for `group_age_max` from their
/// yes on: later they can say it again.
pub(crate) fn endorsers(
    views: &Views,
    request: &Request,
    now: Timestamp,
    group_age_max: SignedDuration,
) -> Result<BTreeMap<Person, Endorser>, StoryError> {
    let known = request.endorsements.iter().map(|endorsement| {
        let person = &endorsement.approver.person;
        let principal = endorsement.principal.as_ref();
        let identities = identities(views, person, principal.cloned(), request)?;
        let recorded = Recorded { groups: &endorsement.groups, decided_at: endorsement.at };
        let groups = if views.requests.has_left(&identities)? {
            Groups::Unknown("this person has left".into())
        } else {
            who::groups_of_recorded(&views.directory, principal, recorded, now, group_age_max)
        };
        Ok((person.clone(), Endorser { identities, groups }))
    });
    known.collect()
}

/// Everyone whom `person` is known to be: linked identities, and those people of `request` who are the same user of Identity
/// Center. It serves to keep people apart from themselves, so a likely match is enough; groups never rest on it.
pub(crate) fn identities(
    views: &Views,
    person: &Person,
    principal: Option<PrincipalId>,
    request: &Request,
) -> Result<Identities, StoryError> {
    let mut people = views.requests.linked(person)?;
    people.insert(person.clone());
    among(views, people, principal, request)
}

/// The same, of somebody whose linked identities are `people`.
pub(crate) fn among(
    views: &Views,
    mut people: BTreeSet<Person>,
    principal: Option<PrincipalId>,
    request: &Request,
) -> Result<Identities, StoryError> {
    let directory = views.directory.snapshot();
    let parties = parties(request, directory.as_deref());
    let principal =
        principal.or_else(|| people.iter().find_map(|person| user_of(directory.as_deref(), person))).or_else(
            || parties.iter().find(|(party, _)| people.contains(*party)).and_then(|(_, user)| user.clone()),
        );
    for (party, user) in parties {
        if principal.is_some() && user == principal && people.insert(party.clone()) {
            people.extend(views.requests.linked(party)?);
        }
    }
    Ok(Identities { people, principal })
}

/// Refuses a request of someone who has left: it is about to end.
pub(crate) fn is_still_here(views: &Views, request: &Request) -> Result<(), Refused> {
    let raised = &request.raised;
    let requester = identities(views, &raised.requester, raised.grounds.principal.clone(), request)?;
    if views.requests.has_left(&requester)? { Err(Rejection::HasLeft.into()) } else { Ok(()) }
}

/// The people of a request, each with their user where one is known.
fn parties<'a>(
    request: &'a Request,
    directory: Option<&Directory>,
) -> Vec<(&'a Person, Option<PrincipalId>)> {
    let requester = (&request.raised.requester, request.raised.grounds.principal.clone());
    let raiser = (&request.raised.raiser.person, None);
    let agreed = request.endorsements.iter().map(|given| (&given.approver.person, given.principal.clone()));
    [requester, raiser]
        .into_iter()
        .chain(agreed)
        .map(|(person, user)| (person, user.or_else(|| user_of(directory, person))))
        .collect()
}

/// The user whom a person's issuer calls by the person's subject.
pub(crate) fn user_of(directory: Option<&Directory>, person: &Person) -> Option<PrincipalId> {
    directory?.user_by_external_id(person.issuer.as_str(), person.subject.as_str()).ok().cloned()
}

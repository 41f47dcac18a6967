//! Who is to hold the access: the caller, or someone for whom the caller may raise.

use crate::RequestService;
use crate::status::Refused;
use domain::{Groups, Person};
use lifecycle::state::Identities;
use policy::Settings;
use std::collections::BTreeSet;
use views::who::{Recorded, groups_of_recorded};
use views::{Who, place};

/// Who is to hold the access.
pub(crate) struct Requester {
    pub(crate) person: Person,
    /// Everyone that this human is known to be.
    pub(crate) identities: Identities,
    /// Their groups now.
    pub(crate) groups: Groups,
}

impl RequestService {
    /// The caller, unless they name somebody else: then that person as the directory knows them, if the caller is a program that
    /// may raise for others. A person's groups are never taken from somebody else's token.
    pub(crate) fn requester(
        &self,
        who: &Who,
        on_behalf_of: Option<&Person>,
        settings: &Settings,
    ) -> Result<Requester, Refused> {
        match on_behalf_of.filter(|person| *person != who.person()) {
            None => Ok(Requester {
                person: who.person().clone(),
                identities: who.acting.everyone(),
                groups: who.groups.clone(),
            }),
            Some(_) if !who.may_raise_for_others || who.acting.actor.is_human() => {
                Err(Refused::MayNotRaiseForOthers)
            }
            Some(person) => self.absent(person, settings),
        }
    }

    /// Someone who is not calling.
    fn absent(&self, person: &Person, settings: &Settings) -> Result<Requester, Refused> {
        let (directory, now) = (&self.views.directory, self.views.clock.now());
        let snapshot = place::fresh(directory, now, settings.group_age_max)?;
        let principal = snapshot
            .user_by_external_id(person.issuer.as_str(), person.subject.as_str())
            .map_err(|_| Refused::NoDirectoryUser)?;
        let recorded = Recorded { groups: &BTreeSet::new(), decided_at: now };
        let groups = groups_of_recorded(directory, Some(principal), recorded, now, settings.group_age_max);
        let mut people = self.views.requests.linked(person)?;
        people.insert(person.clone());
        Ok(Requester {
            person: person.clone(),
            identities: Identities { people, principal: Some(principal.clone()) },
            groups,
        })
    }
}

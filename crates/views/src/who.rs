//! Who is asking: the acting person with every known identity, their groups now, and what the deployment lets them be.

use crate::Views;
use crate::place;
use crate::refusal::{self, Refusal};
use crate::requests::StoryError;
use crate::scheduled::is_of_directory;
use aws::{CachedDirectory, LookupError};
use domain::{GroupRef, Groups, Person, PrincipalId, SignedDuration, Timestamp};
use identity::{Caller, DirectoryId};
use lifecycle::Rejection;
use lifecycle::state::{Acting, Identities};
use std::collections::BTreeSet;
use tonic::Code;

/// The source of groups that the directory tells.
pub const IDENTITY_STORE: &str = "identity-store";

/// Who administers and who audits. From the deployment's configuration, out of an administrator's reach at run time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authorities {
    /// Members of these administer.
    pub administrators: BTreeSet<GroupRef>,
    /// Members of these audit.
    pub auditors: BTreeSet<GroupRef>,
    /// These programs may raise for others.
    pub raisers: BTreeSet<Person>,
}

/// A caller, with everything that decisions ask about.
#[derive(Clone, Debug)]
pub struct Who {
    /// The acting person under every known identity.
    pub acting: Acting,
    /// Their groups now.
    pub groups: Groups,
    /// When their token ends; watches end with it.
    pub token_ends_at: Timestamp,
    /// Whether they administer.
    pub is_administrator: bool,
    /// Whether they audit.
    pub is_auditor: bool,
    /// Whether they may raise for others.
    pub may_raise_for_others: bool,
}

impl Who {
    /// The identity that acts.
    pub fn person(&self) -> &Person {
        &self.acting.actor.person
    }

    /// Their user in Identity Center.
    pub fn principal(&self) -> Option<&PrincipalId> {
        self.acting.identities.principal.as_ref()
    }

    /// From a verified caller. `caller.groups` are those of the token and of the directory together, as [`groups_of_caller`]
    /// makes them; `linked` are the other identities of the same human.
    pub fn new(
        caller: &Caller,
        principal: Option<PrincipalId>,
        linked: BTreeSet<Person>,
        authorities: &Authorities,
    ) -> Self {
        let groups = caller
            .groups
            .clone()
            .unwrap_or_else(|| Groups::Unknown("no source of groups is configured".into()));
        let mut people = linked;
        people.insert(caller.actor.person.clone());
        let human = caller.actor.is_human();
        Self {
            is_administrator: human && groups.any_of(&authorities.administrators),
            is_auditor: groups.any_of(&authorities.auditors),
            may_raise_for_others: authorities.raisers.contains(&caller.actor.person),
            acting: Acting { actor: caller.actor.clone(), identities: Identities { people, principal } },
            groups,
            token_ends_at: caller.expires_at,
        }
    }
}

/// Why it is not said who a caller is.
#[derive(Debug, thiserror::Error)]
pub enum Unrecognised {
    /// It cannot be told.
    #[error(transparent)]
    Story(#[from] StoryError),
    /// They are nobody here.
    #[error(transparent)]
    Rejected(#[from] Rejection),
}

impl Refusal for Unrecognised {
    fn reason(&self) -> (Code, &'static str) {
        match self {
            Self::Story(error) => error.reason(),
            Self::Rejected(rejection) => rejection.reason(),
        }
    }
}

impl Views {
    /// Who `caller` is to the decisions of this system. `group_age_max` is the policy's.
    pub fn who(&self, caller: &Caller, group_age_max: SignedDuration) -> Result<Who, tonic::Status> {
        self.recognise(caller, group_age_max).map_err(|error| refusal::status(&error))
    }

    /// [`who`](Self::who), for those who say no in words of their own. Someone who has left is nobody, however long their token
    /// goes on.
    pub fn recognise(&self, caller: &Caller, group_age_max: SignedDuration) -> Result<Who, Unrecognised> {
        let Identities { people, principal } = self.still_here(caller)?;
        let groups = groups_of_caller(&self.directory, caller, self.clock.now(), group_age_max);
        let merged = Caller { groups: Some(groups), ..caller.clone() };
        Ok(Who::new(&merged, principal, people, &self.authorities))
    }

    /// Everyone whom `caller` is known to be, unless they have left.
    pub fn still_here(&self, caller: &Caller) -> Result<Identities, Unrecognised> {
        let mut people = self.requests.linked(&caller.actor.person)?;
        people.insert(caller.actor.person.clone());
        let principal = principal_of_caller(&self.directory, caller).unwrap_or_default();
        let everyone = Identities { people, principal };
        if self.requests.has_left(&everyone)? { Err(Rejection::HasLeft.into()) } else { Ok(everyone) }
    }

    /// Everyone whom `person` is known to be, as the log and the directory say now.
    pub fn everyone(
        &self,
        person: &Person,
        principal: Option<&PrincipalId>,
    ) -> Result<Identities, StoryError> {
        let mut people = self.requests.linked(person)?;
        people.insert(person.clone());
        let directory = self.directory.snapshot();
        let user_of = |person: &Person| {
            let directory = directory.as_deref()?;
            directory.user_by_external_id(person.issuer.as_str(), person.subject.as_str()).ok().cloned()
        };
        let principal = principal.cloned().or_else(|| people.iter().find_map(user_of));
        Ok(Identities { people, principal })
    }
}

/// The user in Identity Center that a caller is, by the immutable claim that their issuer is configured with.
pub fn principal_of_caller(
    directory: &CachedDirectory,
    caller: &Caller,
) -> Result<Option<PrincipalId>, LookupError> {
    let (Some(snapshot), Some(id)) = (directory.snapshot(), &caller.directory_id) else {
        return Ok(None);
    };
    let found = match id {
        DirectoryId::External(id) => snapshot.user_by_external_id(caller.actor.person.issuer.as_str(), id),
        DirectoryId::User(id) => snapshot.user_by_id(id),
    };
    match found {
        Ok(principal) => Ok(Some(principal.clone())),
        Err(LookupError::Unknown) => Ok(None),
        Err(ambiguous) => Err(ambiguous),
    }
}

/// The groups of a caller now: those that their token says and those of their user in the directory. Unknown as soon as one of
/// the two cannot be told.
pub fn groups_of_caller(
    directory: &CachedDirectory,
    caller: &Caller,
    now: Timestamp,
    age_max: SignedDuration,
) -> Groups {
    let claimed = match &caller.groups {
        None => BTreeSet::new(),
        Some(Groups::Known(groups)) => groups.clone(),
        Some(unknown @ Groups::Unknown(_)) => return unknown.clone(),
    };
    let principal = match principal_of_caller(directory, caller) {
        Ok(principal) => principal,
        Err(error) => return Groups::Unknown(error.to_string()),
    };
    with_directory(directory, principal.as_ref(), claimed, now, age_max)
}

/// The groups that an event recorded of someone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded<'a> {
    /// Which.
    pub groups: &'a BTreeSet<GroupRef>,
    /// When something was last decided by them. So old are those that only a token tells: nobody can look them up.
    pub decided_at: Timestamp,
}

/// The groups now of someone who is not calling, known by their user and by what was recorded of them. Groups of the directory
/// are looked up; groups that only a token can tell are taken as recorded while they are no older than `age_max`. Older ones are
/// left out: they prove nothing, and to lack a group allows nobody anything.
pub fn groups_of_recorded(
    directory: &CachedDirectory,
    principal: Option<&PrincipalId>,
    recorded: Recorded<'_>,
    now: Timestamp,
    age_max: SignedDuration,
) -> Groups {
    let claimed = if now.duration_since(recorded.decided_at) > age_max {
        BTreeSet::new()
    } else {
        recorded.groups.iter().filter(|group| !is_of_directory(group)).cloned().collect()
    };
    with_directory(directory, principal, claimed, now, age_max)
}

fn with_directory(
    directory: &CachedDirectory,
    principal: Option<&PrincipalId>,
    claimed: BTreeSet<GroupRef>,
    now: Timestamp,
    age_max: SignedDuration,
) -> Groups {
    let snapshot = match place::fresh(directory, now, age_max) {
        Ok(snapshot) => snapshot,
        Err(unknown) => return Groups::Unknown(unknown.to_string()),
    };
    let Some(principal) = principal else { return Groups::Known(claimed) };
    match snapshot.user(principal) {
        Some(user) if user.enabled => {
            Groups::Known(claimed.into_iter().chain(snapshot.groups_of(principal)).collect())
        }
        Some(_) => Groups::Unknown("the user is disabled in the directory".into()),
        None => Groups::Unknown("the user is gone from the directory".into()),
    }
}

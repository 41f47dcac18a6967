//! The people of the simulation, and the organisation that they are in.
//!
//! Mallory requests and approves, Carol requests and administers: those who could decide on what is their own. `mal` is Mallory
//! too, if the log says so.

use aws::simulated::sample;
use aws::{Contents, ExternalId, GroupId, User, UserName};
use domain::{
    Actor, ActorKind, GroupRef, Invalid, PermissionSetArn, Person, PrincipalId, SignedDuration, Timestamp,
};
use identity::{AuthError, Caller, DirectoryId};
use std::collections::BTreeSet;

/// Who vouches for everybody.
pub(crate) const ISSUER: &str = "https://idp.example";

/// Everybody.
pub(crate) const NAMES: [&str; 6] = ["ada", "bob", "carol", "dave", "eve", "mallory"];

/// Everybody under every name.
const IDENTITIES: [&str; 7] = ["ada", "bob", "carol", "dave", "eve", "mallory", "mal"];

/// Those who administer.
pub(crate) const ADMINISTRATORS: [&str; 2] = ["carol", "dave"];

const MALLORY: &str = "00000000-0000-4000-8000-0000000000f6";
const MAL: &str = "00000000-0000-4000-8000-0000000000f7";

/// Groups beyond those of the sample.
const MORE: [(&str, &str); 5] = [
    ("mal", sample::APPROVERS),
    ("mallory", sample::DEVELOPERS),
    ("mallory", sample::APPROVERS),
    ("carol", sample::DEVELOPERS),
    ("dave", sample::APPROVERS),
];

/// How long a session of a permission set lives: less than AWS's hour, so that much happens in little time.
pub(crate) const SESSION: SignedDuration = SignedDuration::from_mins(15);

/// What is made of this crate's own constants.
#[expect(clippy::expect_used, reason = "constants, and every run uses them all")]
pub(crate) fn known<T>(made: Result<T, Invalid>) -> T {
    made.expect("the simulation's constants are well formed")
}

/// The sample's organisation with these people.
pub(crate) fn organisation() -> Contents {
    let mut contents = sample::organisation(ISSUER);
    for (id, name) in [(MALLORY, "mallory"), (MAL, "mal")] {
        let user = User {
            user_name: UserName::new(name),
            display_name: name.to_owned(),
            external_ids: BTreeSet::from([ExternalId { issuer: ISSUER.to_owned(), id: name.to_owned() }]),
            enabled: true,
        };
        contents.users.insert(known(PrincipalId::new(id)), user);
    }
    contents.permission_sets.values_mut().for_each(|set| set.session_duration = SESSION);
    for (name, group) in MORE {
        set_member(&mut contents, name, group, true);
    }
    contents
}

/// Every permission set.
pub(crate) fn permission_sets() -> [PermissionSetArn; 2] {
    [sample::READ_ONLY, sample::ADMINISTRATOR_ACCESS].map(|arn| known(PermissionSetArn::new(arn)))
}

/// The name of a permission set, as its roles have it.
pub(crate) fn permission_set_name(set: &PermissionSetArn) -> &'static str {
    if set.as_str() == sample::READ_ONLY { "ReadOnly" } else { "AdministratorAccess" }
}

/// Puts someone into a group, or takes them out.
pub(crate) fn set_member(contents: &mut Contents, name: &str, group: &str, member: bool) {
    let groups = contents.memberships.entry(principal(name)).or_default();
    let group = known(GroupId::new(group));
    if member {
        groups.insert(group);
    } else {
        groups.remove(&group);
    }
}

/// Someone's user in Identity Center.
pub(crate) fn principal(name: &str) -> PrincipalId {
    known(PrincipalId::new(match name.to_lowercase().as_str() {
        "ada" => sample::ADA,
        "bob" => sample::BOB,
        "carol" => sample::CAROL,
        "dave" => sample::DAVE,
        "eve" => sample::EVE,
        "mal" => MAL,
        _mallory => MALLORY,
    }))
}

/// Whose user this is.
pub(crate) fn name_of(id: &PrincipalId) -> &'static str {
    IDENTITIES.into_iter().find(|name| principal(name) == *id).unwrap_or("somebody")
}

/// Someone, acting.
pub(crate) fn actor(name: &str) -> Actor {
    Actor {
        person: known(Person::new(ISSUER, name)),
        kind: ActorKind::Human,
        client_id: Some("simulation".to_owned()),
        auth_time: None,
        acr: None,
    }
}

/// A group of the directory.
pub(crate) fn group(name: &str) -> GroupRef {
    known(GroupRef::new(views::who::IDENTITY_STORE, name))
}

/// Recognises people: the token is the name, in whatever letter case; the identity provider knows them by one.
#[derive(Debug)]
pub(crate) struct ByName {
    /// A bug: each spelling is someone else.
    pub(crate) by_spelling: bool,
}

#[async_trait::async_trait]
impl service_runtime::Authenticate for ByName {
    async fn authenticate(&self, bearer: &str) -> Result<Caller, AuthError> {
        let name = bearer.to_lowercase();
        if !IDENTITIES.contains(&name.as_str()) {
            return Err(AuthError::Malformed);
        }
        Ok(Caller {
            actor: actor(if self.by_spelling { bearer } else { &name }),
            groups: None,
            directory_id: Some(DirectoryId::External(name)),
            expires_at: Timestamp::MAX,
        })
    }
}

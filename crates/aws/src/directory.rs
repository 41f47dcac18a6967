//! The organisation as AWS tells it: accounts in nested units, permission sets, users, groups.
//!
//! INVARIANT: identities are exact (ids byte for byte); names are display. User names, which AWS compares without regard to
//! letter case, have one normal form ([`UserName`]), made here and nowhere else.

use crate::AwsError;
use crate::text::{printable, text};
use domain::{
    AccountId, GroupRef, GroupSource, OuId, OuPath, PermissionSetArn, PrincipalId, SignedDuration, Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};

/// The source of groups in Identity Center, in a [`GroupRef`].
pub const GROUP_SOURCE: &str = "identity-store";

text!(
    /// A group of the identity store, by its id.
    GroupId, "group id", "must be 1 to 255 printable characters", |text| printable(text, 255)
);

/// A user name in its one normal form: trimmed, lower case. For display and search, never an identity.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserName(String);

impl UserName {
    /// The normal form of `text`.
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_lowercase())
    }

    /// The normal form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for UserName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// An identity provider's own id of a user, as provisioned into the identity store. Compared byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExternalId {
    /// Who gave the id.
    pub issuer: String,
    /// The id.
    pub id: String,
}

/// An account of the organisation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Account {
    /// Display name.
    pub name: String,
    /// The units that it is in, from the root down.
    pub ou_path: OuPath,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Neither suspended nor being closed.
    pub active: bool,
    /// The organisation's management account, where a delegated administrator cannot assign.
    pub management: bool,
}

/// An organisational unit, or the root.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OrgUnit {
    /// Display name.
    pub name: String,
    /// The unit above; the root has none.
    pub parent: Option<OuId>,
}

/// A permission set.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PermissionSet {
    /// Display name.
    pub name: String,
    /// How long a role session lives on after its assignment is gone, at most.
    pub session_duration: SignedDuration,
}

/// A user of the identity store.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct User {
    /// The name that the user signs in with.
    pub user_name: UserName,
    /// Display name.
    pub display_name: String,
    /// What identity providers call the user.
    pub external_ids: BTreeSet<ExternalId>,
    /// Not disabled in the identity store.
    pub enabled: bool,
}

/// A group of the identity store.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Group {
    /// Display name.
    pub display_name: String,
}

/// The organisation as read, without any index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Every account.
    pub accounts: BTreeMap<AccountId, Account>,
    /// Every unit, root included.
    pub units: BTreeMap<OuId, OrgUnit>,
    /// Every permission set of the instance.
    pub permission_sets: BTreeMap<PermissionSetArn, PermissionSet>,
    /// Every user.
    pub users: BTreeMap<PrincipalId, User>,
    /// Every group.
    pub groups: BTreeMap<GroupId, Group>,
    /// Which groups a user is in.
    pub memberships: BTreeMap<PrincipalId, BTreeSet<GroupId>>,
    /// When this was true, where the source is not AWS itself but someone's snapshot; `None`: when it was read.
    pub as_of: Option<Timestamp>,
}

/// Where the organisation is read from.
#[async_trait::async_trait]
pub trait DirectorySource: Send + Sync + 'static {
    /// Reads all of it; takes minutes for a large organisation, so never in a user's request ([`crate::CachedDirectory`]).
    async fn fetch(&self) -> Result<Contents, AwsError>;

    /// The same for who has what was true at `newer_than`; `None`: the source has nothing newer. What AWS itself tells is always newer.
    async fn fetch_newer(&self, newer_than: Timestamp) -> Result<Option<Contents>, AwsError> {
        let _ = newer_than;
        self.fetch().await.map(Some)
    }
}

/// Nobody, or not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum LookupError {
    /// The directory knows no such user.
    #[error("the directory knows no such user")]
    Unknown,
    /// Several users match, so none does.
    #[error("several users of the directory match")]
    Ambiguous,
}

/// A snapshot of the organisation, indexed for lookups. Plain data: it does not age by itself, its reader compares
/// [`Directory::fetched_at`] with the age that it accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    fetched_at: Timestamp,
    contents: Contents,
    by_external_id: BTreeMap<ExternalId, BTreeSet<PrincipalId>>,
    by_name: BTreeMap<UserName, BTreeSet<PrincipalId>>,
    members: BTreeMap<GroupRef, BTreeSet<PrincipalId>>,
}

impl Directory {
    /// Indexes `contents`, which were true at `fetched_at`. Memberships in groups or of users that are not there (deleted while
    /// reading) are dropped.
    pub fn new(fetched_at: Timestamp, mut contents: Contents) -> Self {
        let mut by_external_id: BTreeMap<ExternalId, BTreeSet<PrincipalId>> = BTreeMap::new();
        let mut by_name: BTreeMap<UserName, BTreeSet<PrincipalId>> = BTreeMap::new();
        for (id, user) in &contents.users {
            by_name.entry(user.user_name.clone()).or_default().insert(id.clone());
            for external_id in &user.external_ids {
                by_external_id.entry(external_id.clone()).or_default().insert(id.clone());
            }
        }

        let Contents { users, groups, memberships, .. } = &mut contents;
        memberships.retain(|user, _| users.contains_key(user));
        let mut members: BTreeMap<GroupRef, BTreeSet<PrincipalId>> =
            groups.keys().filter_map(group_ref).map(|group| (group, BTreeSet::new())).collect();
        for (user, ids) in memberships {
            ids.retain(|id| groups.contains_key(id));
            for set in ids.iter().filter_map(group_ref) {
                members.entry(set).or_default().insert(user.clone());
            }
        }
        Self { fetched_at, contents, by_external_id, by_name, members }
    }

    /// When the reading began: nothing in it is younger.
    pub fn fetched_at(&self) -> Timestamp {
        self.fetched_at
    }

    /// Everything, for listing.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// An account.
    pub fn account(&self, id: &AccountId) -> Option<&Account> {
        self.contents.accounts.get(id)
    }

    /// A unit.
    pub fn unit(&self, id: &OuId) -> Option<&OrgUnit> {
        self.contents.units.get(id)
    }

    /// A permission set.
    pub fn permission_set(&self, arn: &PermissionSetArn) -> Option<&PermissionSet> {
        self.contents.permission_sets.get(arn)
    }

    /// A user.
    pub fn user(&self, id: &PrincipalId) -> Option<&User> {
        self.contents.users.get(id)
    }

    /// The one user whom `issuer` calls `id`, byte for byte.
    pub fn user_by_external_id(&self, issuer: &str, id: &str) -> Result<&PrincipalId, LookupError> {
        let key = ExternalId { issuer: issuer.to_owned(), id: id.to_owned() };
        only(self.by_external_id.get(&key))
    }

    /// The one user of this id, when the identity provider's claim carries the identity store's own id.
    pub fn user_by_id(&self, id: &str) -> Result<&PrincipalId, LookupError> {
        let id = PrincipalId::new(id).map_err(|_| LookupError::Unknown)?;
        self.contents.users.get_key_value(&id).map(|(id, _)| id).ok_or(LookupError::Unknown)
    }

    /// The one user of this name, in whatever letter case. For search and for administrators' input: a name can be given to
    /// somebody else, so it identifies nobody.
    pub fn user_by_name(&self, name: &str) -> Result<&PrincipalId, LookupError> {
        only(self.by_name.get(&UserName::new(name)))
    }

    /// The groups that a user is in; an unknown user is in none.
    pub fn groups_of(&self, user: &PrincipalId) -> BTreeSet<GroupRef> {
        let ids = self.contents.memberships.get(user);
        ids.into_iter().flatten().filter_map(group_ref).collect()
    }

    /// The users in a group. Empty for a group that is not there, or of another source.
    pub fn members_of(&self, group: &GroupRef) -> BTreeSet<PrincipalId> {
        self.members.get(group).cloned().unwrap_or_default()
    }

    /// The group's display name; `None` when it is not there, or of another source.
    pub fn group_name(&self, group: &GroupRef) -> Option<&str> {
        self.contents
            .groups
            .get(&GroupId(group.id.clone()))
            .filter(|_| group.source.as_str() == GROUP_SOURCE)
            .map(|group| group.display_name.as_str())
    }

    /// Those of `groups` that claim to be of the identity store and are not there: to be reported, they harm nobody.
    pub fn missing_groups<'a>(&self, groups: impl IntoIterator<Item = &'a GroupRef>) -> BTreeSet<GroupRef> {
        groups
            .into_iter()
            .filter(|group| group.source.as_str() == GROUP_SOURCE && !self.members.contains_key(*group))
            .cloned()
            .collect()
    }

    /// The units that an account is in, from the root down.
    pub fn ou_path(&self, account: &AccountId) -> Option<&OuPath> {
        self.account(account).map(|account| &account.ou_path)
    }
}

fn only(found: Option<&BTreeSet<PrincipalId>>) -> Result<&PrincipalId, LookupError> {
    let found = found.ok_or(LookupError::Unknown)?;
    match (found.first(), found.len()) {
        (Some(user), 1) => Ok(user),
        (None, _) => Err(LookupError::Unknown),
        (Some(_), _) => Err(LookupError::Ambiguous),
    }
}

/// The reference to a group of the identity store. A [`GroupId`] always makes one.
fn group_ref(id: &GroupId) -> Option<GroupRef> {
    let source = GroupSource::new(GROUP_SOURCE).ok()?;
    Some(GroupRef { source, id: id.as_str().to_owned() })
}

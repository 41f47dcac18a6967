//! Who calls, as one verified token says it.

use domain::{Actor, Groups, Timestamp};

/// What is kept of a token. Display claims (name, e-mail) are not.
#[derive(Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who.
    pub actor: Actor,
    /// Their groups by the token; `None` if the issuer is configured to say nothing about groups.
    pub groups: Option<Groups>,
    /// Which Identity Center user they are, from the configured claim.
    pub directory_id: Option<DirectoryId>,
    /// The token's `exp`. What the caller watches ends then.
    pub expires_at: Timestamp,
}

/// What names someone's user in Identity Center. Which of the two a token can carry is its issuer's configuration: an external id
/// is only ever looked up among those of the same issuer, a user's own id names anyone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DirectoryId {
    /// What the issuer calls them, as the identity store keeps it.
    External(String),
    /// The identity store's own id.
    User(String),
}

/// Says which person (by [`domain::PersonId`]) and kind, and no more.
impl std::fmt::Debug for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Caller")
            .field("person", &self.actor.person.id())
            .field("kind", &self.actor.kind)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

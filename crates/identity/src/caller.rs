//! Who calls, as one verified token says it.

use domain::{Actor, Groups, Timestamp};

/// What is kept of a token. Display claims (name, e-mail) are not.
#[derive(Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who.
    pub actor: Actor,
    /// Their groups by the token; `None` if the issuer is configured to say nothing about groups.
    pub groups: Option<Groups>,
    /// The external id of the Identity Center user, from the configured claim.
    pub directory_id: Option<String>,
    /// The token's `exp`. What the caller watches ends then.
    pub expires_at: Timestamp,
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

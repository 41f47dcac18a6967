//! Who acts.

use crate::{Invalid, canonical_digest, hex, invalid::printable, invalid::text};
use jiff::Timestamp;

text!(
    /// The issuer of an identity: an OIDC issuer URL, byte for byte as the token says it.
    Issuer, "issuer", "must be 1 to 512 printable characters", |text| printable(text, 512)
);
text!(
    /// The issuer's own name for someone. Compared byte for byte: OIDC says it is case sensitive.
    Subject, "subject", "must be 1 to 255 printable characters", |text| printable(text, 255)
);

/// A human or a workload, by the only identity that counts: who vouches, and their word for it. E-mail addresses and names
/// are display, and live elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Person {
    /// Who vouches.
    pub issuer: Issuer,
    /// Their word for the person.
    pub subject: Subject,
}

impl Person {
    /// A person, from the two texts.
    pub fn new(issuer: &str, subject: &str) -> Result<Self, Invalid> {
        Ok(Self { issuer: Issuer::new(issuer)?, subject: Subject::new(subject)? })
    }

    /// A short stable name for this person, for keys and file names: it reveals neither issuer nor subject.
    pub fn id(&self) -> PersonId {
        let digest = canonical_digest([self.issuer.as_str().as_bytes(), self.subject.as_str().as_bytes()]);
        PersonId(hex(digest.split_at(16).0))
    }
}

text!(
    /// 32 hexadecimal digits that stand for a [`Person`]; see [`Person::id`].
    PersonId, "person id", "must be 32 lower-case hexadecimal digits",
    |text| text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
);

/// Whether a human acts, or a program with an identity of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum ActorKind {
    /// Signed in, in person.
    Human,
    /// A service, a pipeline, a portal speaking for itself. May raise, never decides.
    Workload,
}

/// Who acts, as one verified token says it. One call has one actor.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Actor {
    /// The identity.
    pub person: Person,
    /// Human or workload.
    pub kind: ActorKind,
    /// The OAuth client that the token was issued to (`azp` or `client_id`).
    pub client_id: Option<String>,
    /// When the person proved who they are (`auth_time`).
    pub auth_time: Option<Timestamp>,
    /// How they did (`acr`).
    pub acr: Option<String>,
}

impl Actor {
    /// Whether this is a human: only humans decide.
    pub fn is_human(&self) -> bool {
        match self.kind {
            ActorKind::Human => true,
            ActorKind::Workload => false,
        }
    }
}

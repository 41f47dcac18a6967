//! Which stream an event belongs to.

use domain::{AccountId, Invalid, PersonId, RequestId};
use lifecycle::assignment::AssignmentKey;

/// The streams of Daypass. Written `kind-id`, safe as a stream name of every engine.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stream {
    /// The story of one request.
    Request(RequestId),
    /// The ledger of one assignment, by the digest of its key.
    Assignment(String),
    /// What is denied in one account.
    Denial(AccountId),
    /// The policy: one stream, one order of changes.
    Policy,
    /// Who does a duty, by its name.
    Duty(String),
    /// One signal, by an id that derives from its source and its id there.
    Signal(String),
    /// What is known of one person's identities.
    Person(PersonId),
    /// The log's own story.
    Log,
}

impl Stream {
    /// The stream of an assignment's ledger.
    pub fn assignment(key: &AssignmentKey) -> Self {
        Self::Assignment(key.digest())
    }

    /// Whether events of this stored type belong to a stream of this kind.
    pub fn holds(&self, type_name: &str) -> bool {
        let kind = match self {
            Self::Request(_) => "request",
            Self::Assignment(_) => "assignment",
            Self::Denial(_) => "denial",
            Self::Policy => "policy",
            Self::Duty(_) => "duty",
            Self::Signal(_) => "signal",
            Self::Person(_) => "person",
            Self::Log => "log",
        };
        type_name.split_once('.').is_some_and(|(of, _)| of == kind)
    }
}

impl std::fmt::Display for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Request(id) => write!(f, "request-{id}"),
            Self::Assignment(digest) => write!(f, "assignment-{digest}"),
            Self::Denial(account) => write!(f, "denial-{account}"),
            Self::Policy => f.write_str("policy-main"),
            Self::Duty(name) => write!(f, "duty-{name}"),
            Self::Signal(id) => write!(f, "signal-{id}"),
            Self::Person(id) => write!(f, "person-{id}"),
            Self::Log => f.write_str("log-main"),
        }
    }
}

impl std::str::FromStr for Stream {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        const WRONG: Invalid = Invalid::new("stream", "must be kind-id, of a kind that Daypass knows");
        let (kind, id) = text.split_once('-').ok_or(WRONG)?;
        let plain = !id.is_empty()
            && id.len() <= 96
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        match kind {
            "request" => Ok(Self::Request(id.parse()?)),
            "assignment" if plain => Ok(Self::Assignment(id.to_owned())),
            "denial" => Ok(Self::Denial(id.parse()?)),
            "policy" if id == "main" => Ok(Self::Policy),
            "duty" if plain => Ok(Self::Duty(id.to_owned())),
            "signal" if plain => Ok(Self::Signal(id.to_owned())),
            "person" => Ok(Self::Person(id.parse()?)),
            "log" if id == "main" => Ok(Self::Log),
            _ => Err(WRONG),
        }
    }
}

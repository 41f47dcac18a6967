//! Identifiers. Those that come from a command derive from it, so that a retry is the same thing and not a second one.

use crate::{Invalid, Person, canonical_digest, invalid::printable, invalid::text};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// The last one in the order of ids.
            pub const MAX: Self = Self(Uuid::max());

            /// Wraps an existing id.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The id of what `operation` by `person` under `key` makes: a version 8 UUID over their SHA-256. The same
            /// three always give the same id, on every replica.
            pub fn derive(person: &Person, operation: &str, key: &str) -> Self {
                Self::from_parts([
                    $what.as_bytes(),
                    person.issuer.as_str().as_bytes(),
                    person.subject.as_str().as_bytes(),
                    operation.as_bytes(),
                    key.as_bytes(),
                ])
            }

            /// The id that derives from `parts`, for what no person commands (a process manager's reaction to an event).
            pub fn from_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
                let digest = canonical_digest(parts);
                let mut bytes = [0u8; 16];
                bytes.copy_from_slice(digest.split_at(16).0);
                Self(Uuid::new_v8(bytes))
            }

            /// The id as a UUID.
            pub const fn as_uuid(&self) -> &Uuid {
                &self.0
            }

            /// The 16 bytes of the id.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The id from its 16 bytes.
            pub fn from_slice(bytes: &[u8]) -> Result<Self, Invalid> {
                Uuid::from_slice(bytes).map(Self).map_err(|_| Invalid::new($what, "must be 16 bytes"))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = Invalid;
            fn from_str(text: &str) -> Result<Self, Invalid> {
                Uuid::try_parse(text).map(Self).map_err(|_| Invalid::new($what, "must be a UUID"))
            }
        }
    };
}

id!(
    /// One request, for ever.
    RequestId, "request id"
);
id!(
    /// One event, in whatever engine it is stored.
    EventId, "event id"
);
id!(
    /// The requests that were raised together.
    BatchId, "batch id"
);
id!(
    /// One issue of credentials or opening of a console; also part of the session name in AWS.
    IssueId, "issue id"
);
id!(
    /// One log. A restored or copied log that may lack events has another id.
    LogId, "log id"
);

text!(
    /// What a caller chooses so that a retry of a command is the same command.
    IdempotencyKey, "idempotency key", "must be 1 to 128 printable characters", |text| printable(text, 128)
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Issuer, Subject};

    fn person(subject: &str) -> Person {
        Person {
            issuer: Issuer::new("https://idp.example").unwrap(),
            subject: Subject::new(subject).unwrap(),
        }
    }

    #[test]
    fn the_same_command_derives_the_same_id() {
        assert_eq!(
            RequestId::derive(&person("ada"), "create", "k1"),
            RequestId::derive(&person("ada"), "create", "k1")
        );
    }

    #[test]
    fn another_person_operation_or_key_derives_another_id() {
        let id = RequestId::derive(&person("ada"), "create", "k1");
        assert_ne!(id, RequestId::derive(&person("bob"), "create", "k1"));
        assert_ne!(id, RequestId::derive(&person("ada"), "withdraw", "k1"));
        assert_ne!(id, RequestId::derive(&person("ada"), "create", "k2"));
    }

    #[test]
    fn ids_of_different_things_never_meet() {
        let request = RequestId::derive(&person("ada"), "create", "k1");
        let event = EventId::derive(&person("ada"), "create", "k1");
        assert_ne!(request.as_uuid(), event.as_uuid());
    }
}

//! Names of streams and writers.

/// The name of a stream: a kind, and the id of the one thing whose story it is. Written `kind-id`.
///
/// A kind is 1 to 32 of `a-z` and `_`; an id is 1 to 96 of `A-Z`, `a-z`, `0-9`, `_` and `-`. Both are safe as a token of a
/// NATS subject.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamName {
    text: String,
    kind_len: usize,
}

/// A name that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be {0}")]
pub struct InvalidName(&'static str);

const STREAM_RULE: InvalidName =
    InvalidName("kind-id, a kind of a-z and _, an id of letters, digits, _ and -");
const WRITER_RULE: InvalidName = InvalidName("1 to 32 of a-z and -");

impl StreamName {
    /// The stream of `id`, a thing of this `kind`.
    pub fn new(kind: &str, id: &str) -> Result<Self, InvalidName> {
        let kind_ok =
            (1..=32).contains(&kind.len()) && kind.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        let id_ok = (1..=96).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if kind_ok && id_ok {
            Ok(Self { text: format!("{kind}-{id}"), kind_len: kind.len() })
        } else {
            Err(STREAM_RULE)
        }
    }

    /// What kind of thing.
    pub fn kind(&self) -> &str {
        self.text.get(..self.kind_len).unwrap_or_default()
    }

    /// Which one.
    pub fn id(&self) -> &str {
        self.text.get(self.kind_len + 1..).unwrap_or_default()
    }

    /// `kind-id`.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl std::str::FromStr for StreamName {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let (kind, id) = text.split_once('-').ok_or(STREAM_RULE)?;
        Self::new(kind, id)
    }
}

impl std::fmt::Display for StreamName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::fmt::Debug for StreamName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StreamName({})", self.text)
    }
}

/// The name of the service that writes an event.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Writer(String);

impl Writer {
    /// A writer's name: 1 to 32 of `a-z` and `-`.
    pub fn new(name: &str) -> Result<Self, InvalidName> {
        let ok = (1..=32).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        if ok { Ok(Self(name.to_owned())) } else { Err(WRITER_RULE) }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_splits_at_its_first_dash() {
        let name: StreamName = "request-0190-ab".parse().unwrap();
        assert_eq!((name.kind(), name.id()), ("request", "0190-ab"));
    }

    #[test]
    fn names_that_would_break_a_subject_are_refused() {
        for text in [
            "request",
            "-x",
            "request-",
            "request-a.b",
            "request-a*",
            "request-a>",
            "re quest-a",
            "Request-a",
            "request-a b",
        ] {
            assert!(text.parse::<StreamName>().is_err(), "{text}");
        }
    }
}

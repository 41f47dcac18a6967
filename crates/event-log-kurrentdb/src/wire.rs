//! How an event looks to the server: stream, type, id, data.

use event_log::{Envelope, LogError, Position, Recorded, Revision, StreamName, Writer};
use kurrentdb::{EventData, RecordedEvent};
use uuid::Uuid;

/// The kind of a stream, and the writer, that an event is given which is none of ours.
const STRAY: &str = "stray";

/// What the names of a log's streams and types begin with.
#[derive(Clone, Debug)]
pub(crate) struct Namespace(String);

impl Namespace {
    pub(crate) fn new(name: &str) -> Result<Self, LogError> {
        let ok = (1..=32).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if ok {
            Ok(Self(format!("{name}.")))
        } else {
            Err(LogError::Unsafe("namespace: must be 1 to 32 of a-z, 0-9 and _".into()))
        }
    }

    /// The beginning that all names of this log have, and no others.
    pub(crate) fn prefix(&self) -> &str {
        &self.0
    }

    /// The server's name of a stream.
    pub(crate) fn stream(&self, stream: &StreamName) -> String {
        format!("{}{stream}", self.0)
    }

    /// The stream that holds the log's identity. Its name does not begin with the prefix, so it is no part of the log.
    pub(crate) fn identity_stream(&self) -> String {
        format!("{}-identity", self.0.trim_end_matches('.'))
    }

    /// An event to append; `mark` tells it from a repeat of the same.
    pub(crate) fn proposed(&self, envelope: &Envelope, mark: &str) -> EventData {
        EventData::binary(format!("{}{}", self.0, envelope.writer), envelope.body.clone())
            .id(envelope.event_id)
            .metadata(mark.to_owned().into())
    }

    /// What an event of the log says.
    pub(crate) fn recorded(&self, event: &RecordedEvent) -> Result<Recorded, LogError> {
        let damaged =
            |what: &str| LogError::Corrupt(format!("the event at {} has {what}", event.position.commit));
        let stream = self.stream_of(event).ok_or_else(|| damaged("a stream that is none of ours"))?;
        let writer = event.event_type.strip_prefix(&self.0).and_then(|writer| Writer::new(writer).ok());
        let writer = writer.ok_or_else(|| damaged("a type that names no writer"))?;
        Ok(Recorded {
            stream,
            revision: Revision(event.revision),
            position: Position(event.position.commit),
            envelope: Envelope { event_id: event.id, writer, body: event.data.clone() },
        })
    }

    /// What an event of the log says, for those who read the whole log: nobody is held up by an event that no engine of ours
    /// wrote. It becomes one that cannot be decoded, because the id in its place is none that a body could have: readers set its
    /// stream aside, and go on.
    pub(crate) fn recorded_or_stray(&self, event: &RecordedEvent) -> Result<Recorded, LogError> {
        let damaged = match self.recorded(event) {
            Ok(recorded) => return Ok(recorded),
            Err(damaged) => damaged,
        };
        let place = event.position.commit;
        tracing::error!(stream = event.stream_id(), %damaged, "an event in the log is none of ours");
        let stream = match self.stream_of(event) {
            Some(stream) => stream,
            None => StreamName::new(STRAY, &place.to_string()).map_err(|_| damaged.clone())?,
        };
        Ok(Recorded {
            stream,
            revision: Revision(u64::MAX),
            position: Position(place),
            envelope: Envelope {
                event_id: Uuid::from_u64_pair(u64::MAX, place),
                writer: Writer::new(STRAY).map_err(|_| damaged)?,
                body: event.data.clone(),
            },
        })
    }

    /// Whether an event is in a stream of the log.
    pub(crate) fn has(&self, event: &RecordedEvent) -> bool {
        event.stream_id().starts_with(&self.0)
    }

    fn stream_of(&self, event: &RecordedEvent) -> Option<StreamName> {
        event.stream_id().strip_prefix(&self.0)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity_is_no_part_of_the_log() {
        let namespace = Namespace::new("daypass").unwrap();
        let stream = namespace.stream(&"request-0190-ab".parse().unwrap());
        assert_eq!(stream, "daypass.request-0190-ab");
        assert!(stream.starts_with(namespace.prefix()));
        assert_eq!(namespace.identity_stream(), "daypass-identity");
        assert!(!namespace.identity_stream().starts_with(namespace.prefix()));
    }

    #[test]
    fn names_that_would_blur_a_namespace_are_refused() {
        for name in ["", "a.b", "a-b", "A", "$all", "a b"] {
            assert!(matches!(Namespace::new(name), Err(LogError::Unsafe(_))), "{name}");
        }
    }
}

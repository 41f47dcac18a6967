//! How an event looks as a message: subject, headers, body.

use async_nats::header::{
    HeaderValue, NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_EXPECTED_STREAM, NATS_SEQUENCE, NATS_STREAM,
    NATS_SUBJECT, NATS_TIME_STAMP,
};
use async_nats::{HeaderMap, HeaderName};
use bytes::Bytes;
use event_log::{Envelope, LogError, Position, Recorded, Revision, StreamName, Writer};
use uuid::Uuid;

/// The JetStream stream that holds the log.
pub const STREAM: &str = "DAYPASS_LOG";
/// The subjects of all events.
pub const SUBJECTS: &str = "daypass.log.>";

/// The kind of a stream, and the writer, that a message is given whose subject names none.
const STRAY: &str = "stray";

const PREFIX: &str = "daypass.log.";
/// Over which subjects the expected last sequence counts (nats-server 2.11 and later).
const EXPECTED_LAST_SUBJECT: HeaderName =
    HeaderName::from_static("Nats-Expected-Last-Subject-Sequence-Subject");
/// An event's ordinal in its stream. Anyone can count it from the events themselves; readers check it.
const REVISION: HeaderName = HeaderName::from_static("Daypass-Revision");
/// An event's id, in a header that means nothing to the server. Its own, `Nats-Msg-Id`, it compares over the whole stream, whoever
/// sends it: whoever may append anything could use up the ids of others, which can be computed from the log.
const EVENT_ID: HeaderName = HeaderName::from_static("Daypass-Event-Id");
/// What a server adds to a message that it answers a direct get with, or publishes again. A message that was stored with one of
/// them was not written by a service.
const ADDED_BY_SERVERS: [HeaderName; 4] = [NATS_STREAM, NATS_SUBJECT, NATS_SEQUENCE, NATS_TIME_STAMP];

/// The subject of an event of this stream by this writer.
pub(crate) fn subject(stream: &StreamName, writer: &Writer) -> String {
    format!("{PREFIX}{writer}.{}.{}", stream.kind(), stream.id())
}

/// The subjects of all events of this stream.
pub(crate) fn any_writer(stream: &StreamName) -> String {
    format!("{PREFIX}*.{}.{}", stream.kind(), stream.id())
}

/// The headers of an append that is to have `revision`, after the message with sequence `expected` (0: there is none).
pub(crate) fn append_headers(
    stream: &StreamName,
    envelope: &Envelope,
    revision: Revision,
    expected: u64,
) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(EVENT_ID, envelope.event_id.to_string());
    headers.insert(NATS_EXPECTED_STREAM, STREAM);
    headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, expected.to_string());
    headers.insert(EXPECTED_LAST_SUBJECT, any_writer(stream));
    headers.insert(REVISION, revision.0.to_string());
    headers
}

/// What a message of the log says that comes as it was stored: from the leader, or by a consumer.
pub(crate) fn recorded(
    subject: &str,
    headers: Option<&HeaderMap>,
    sequence: u64,
    body: Bytes,
) -> Result<Recorded, LogError> {
    recorded_beside(0, subject, headers, sequence, body)
}

/// Where the event before it in its stream is, as whoever appended it told the server, which compared that with all events of the stream.
/// `None`: there is none, or the server was told something else.
pub(crate) fn place_before(subject: &str, headers: Option<&HeaderMap>) -> Option<u64> {
    let (_, stream) = parse_subject(subject)?;
    let once = |name: HeaderName| {
        let mut told = headers?.get_all(name);
        told.next().filter(|_| told.next().is_none())
    };
    let over = once(EXPECTED_LAST_SUBJECT).filter(|over| over.as_str() == any_writer(&stream));
    let told: u64 = over.and(once(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE))?.as_str().parse().ok()?;
    (told > 0).then_some(told)
}

/// `added`: how often a header of [`ADDED_BY_SERVERS`] is there that was not stored.
fn recorded_beside(
    added: usize,
    subject: &str,
    headers: Option<&HeaderMap>,
    sequence: u64,
    body: Bytes,
) -> Result<Recorded, LogError> {
    let damaged = |what: &str| LogError::Corrupt(format!("message {sequence} of {STREAM} has {what}"));
    let header = |name: HeaderName| headers?.get_last(name).map(HeaderValue::as_str);
    let (writer, stream) = parse_subject(subject).ok_or_else(|| damaged("a subject that is none of ours"))?;
    let revision: u64 =
        header(REVISION).and_then(|text| text.parse().ok()).ok_or_else(|| damaged("no revision"))?;
    let event_id =
        header(EVENT_ID).and_then(|text| text.parse().ok()).ok_or_else(|| damaged("no event id"))?;
    let count = |name: HeaderName| headers.map_or(0, |headers| headers.get_all(name).count());
    if ADDED_BY_SERVERS.into_iter().any(|name| count(name) > added) {
        return Err(damaged("a header that servers add"));
    }
    Ok(Recorded {
        stream,
        revision: Revision(revision),
        position: Position(sequence),
        envelope: Envelope { event_id, writer, body },
    })
}

/// What a message of the log says, for those who read the whole log: nobody is held up by a message that no engine of ours wrote
/// (without headers, say, or on a subject that names no stream). It becomes an event that cannot be decoded, because the id in
/// its place is none that a body could have: readers set its stream aside, and go on.
pub(crate) fn recorded_or_stray(
    subject: &str,
    headers: Option<&HeaderMap>,
    sequence: u64,
    body: Bytes,
) -> Result<Recorded, LogError> {
    let damaged = match recorded(subject, headers, sequence, body.clone()) {
        Ok(recorded) => return Ok(recorded),
        Err(damaged) => damaged,
    };
    tracing::error!(subject, %damaged, "a message in the log is no event");
    let no_name = |error: &dyn std::fmt::Display| LogError::Corrupt(error.to_string());
    let (writer, stream) = match parse_subject(subject) {
        Some(named) => named,
        None => (
            Writer::new(STRAY).map_err(|error| no_name(&error))?,
            StreamName::new(STRAY, &sequence.to_string()).map_err(|error| no_name(&error))?,
        ),
    };
    let event_id = Uuid::from_u64_pair(u64::MAX, sequence);
    Ok(Recorded {
        stream,
        revision: Revision(u64::MAX),
        position: Position(sequence),
        envelope: Envelope { event_id, writer, body },
    })
}

/// What a message of the log says, as a direct get answers it: the server has added subject and sequence behind the headers that
/// were stored, so the last of each is its own.
pub(crate) fn recorded_by_direct_get(message: async_nats::Message) -> Result<Recorded, LogError> {
    let header = |name| message.headers.as_ref().and_then(|headers| headers.get_last(name));
    let place = header(NATS_SUBJECT)
        .zip(header(NATS_SEQUENCE).and_then(|sequence| sequence.as_str().parse().ok()))
        .ok_or_else(|| LogError::Corrupt("a direct get answered without subject and sequence".into()))?;
    recorded_beside(1, place.0.as_str(), message.headers.as_ref(), place.1, message.payload)
}

fn parse_subject(subject: &str) -> Option<(Writer, StreamName)> {
    let mut tokens = subject.strip_prefix(PREFIX)?.split('.');
    let writer = Writer::new(tokens.next()?).ok()?;
    let stream = StreamName::new(tokens.next()?, tokens.next()?).ok()?;
    tokens.next().is_none().then_some((writer, stream))
}

/// Where a message that a consumer delivered stands, as its reply subject says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Delivery {
    /// In the log.
    pub(crate) stream_sequence: u64,
    /// Among the messages of this consumer: 1, 2, 3 …
    pub(crate) consumer_sequence: u64,
    /// How many more there are now.
    pub(crate) pending: u64,
}

impl Delivery {
    /// Reads `$JS.ACK.<stream>.<consumer>.<delivered>.<sequence>.<consumer sequence>.<time>.<pending>`, or the longer form,
    /// which has domain and account before the stream (ADR-15 of NATS).
    pub(crate) fn parse(reply: &str) -> Option<Self> {
        let dots = reply.bytes().filter(|byte| *byte == b'.').count();
        let mut tokens = reply.strip_prefix("$JS.ACK.")?.split('.').skip(if dots >= 10 { 5 } else { 3 });
        let mut number = || tokens.next()?.parse::<u64>().ok();
        let (stream_sequence, consumer_sequence, _time, pending) =
            (number()?, number()?, number()?, number()?);
        Some(Self { stream_sequence, consumer_sequence, pending })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_nats::header::NATS_MESSAGE_ID;

    fn stream() -> StreamName {
        "request-0190-ab".parse().unwrap()
    }

    fn envelope() -> Envelope {
        let writer = Writer::new("approval").unwrap();
        Envelope { event_id: Uuid::from_u128(7), writer, body: Bytes::from_static(b"body") }
    }

    /// An append's headers, as they are stored.
    fn stored() -> HeaderMap {
        append_headers(&stream(), &envelope(), Revision(3), 9)
    }

    fn read(headers: &HeaderMap) -> Result<Recorded, LogError> {
        recorded(&subject(&stream(), &envelope().writer), Some(headers), 12, envelope().body)
    }

    /// What a direct get answers with, of a message that was stored with these headers.
    fn by_direct_get(mut headers: HeaderMap) -> async_nats::Message {
        headers.append(NATS_STREAM, STREAM);
        headers.append(NATS_SUBJECT, subject(&stream(), &envelope().writer));
        headers.append(NATS_SEQUENCE, "12");
        headers.append(NATS_TIME_STAMP, "2026-01-02T03:04:05Z");
        async_nats::Message {
            subject: "inbox".into(),
            reply: None,
            payload: envelope().body,
            headers: Some(headers),
            status: None,
            description: None,
            length: 0,
        }
    }

    #[test]
    fn an_append_is_read_as_it_was_written_and_tells_the_server_no_message_id() {
        let headers = stored();
        assert_eq!(headers.get_all(NATS_MESSAGE_ID).count(), 0);
        let event = Recorded {
            stream: stream(),
            revision: Revision(3),
            position: Position(12),
            envelope: envelope(),
        };
        assert_eq!(read(&headers), Ok(event.clone()));
        assert_eq!(recorded_by_direct_get(by_direct_get(headers)), Ok(event));
    }

    #[test]
    fn where_the_event_before_is_is_believed_if_the_server_compared_it_with_the_whole_stream() {
        let subject = subject(&stream(), &envelope().writer);
        let place = |headers: &HeaderMap| place_before(&subject, Some(headers));
        assert_eq!(place(&stored()), Some(9));
        assert_eq!(place(&append_headers(&stream(), &envelope(), Revision(0), 0)), None, "the first one");
        let mut others = stored();
        others.insert(EXPECTED_LAST_SUBJECT, subject.as_str());
        assert_eq!(place(&others), None, "with its writer's alone");
        for name in [NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, EXPECTED_LAST_SUBJECT] {
            let mut twice = stored();
            twice.append(name, "7");
            assert_eq!(place(&twice), None, "with either of two");
        }
        assert_eq!(place_before("daypass.log.approval.request.0190-cd", Some(&stored())), None);
        assert_eq!(place_before(&subject, None), None);
    }

    #[test]
    fn a_message_stored_with_what_servers_add_is_no_event() {
        for name in ADDED_BY_SERVERS {
            let mut headers = stored();
            headers.insert(name, "12");
            let answers = [read(&headers), recorded_by_direct_get(by_direct_get(headers))];
            for answer in answers {
                assert!(matches!(answer, Err(LogError::Corrupt(_))), "{answer:?}");
            }
        }
    }

    #[test]
    fn a_subject_names_writer_and_stream() {
        let (stream, writer) = ("request-0190-ab".parse().unwrap(), Writer::new("approval").unwrap());
        let subject = subject(&stream, &writer);
        assert_eq!(subject, "daypass.log.approval.request.0190-ab");
        assert_eq!(any_writer(&stream), "daypass.log.*.request.0190-ab");
        assert_eq!(parse_subject(&subject), Some((writer, stream)));
    }

    #[test]
    fn other_subjects_are_not_events() {
        for subject in ["daypass.log.w.kind", "daypass.log.w.kind.id.more", "daypass.events.w.kind.id", ""] {
            assert_eq!(parse_subject(subject), None, "{subject}");
        }
    }

    #[test]
    fn both_forms_of_reply_subjects_are_read() {
        let delivery = Some(Delivery { stream_sequence: 7, consumer_sequence: 3, pending: 12 });
        for reply in [
            "$JS.ACK.DAYPASS_LOG.c.1.7.3.1700000000.12",
            "$JS.ACK.hub.hash.DAYPASS_LOG.c.1.7.3.1700000000.12",
            "$JS.ACK.hub.hash.DAYPASS_LOG.c.1.7.3.1700000000.12.token",
        ] {
            assert_eq!(Delivery::parse(reply), delivery, "{reply}");
        }
        assert_eq!(Delivery::parse("$JS.FC.DAYPASS_LOG.c.x"), None);
    }
}

//! Appends: one publish that the server takes only if the stream is as expected.
//!
//! The server compares sequences, callers speak of revisions: what is known of the stream translates. Ids are compared here, by
//! reading the stream: what is appended after sequence `s` was compared with every id up to `s`. That is also how an append
//! is found whose answer was lost. The server's own recognition of repeated message ids ends after its window, and takes
//! an event for a repeat of whatever anybody sent, so it is told none. INVARIANT: a definite answer is only given when the
//! server's was.

use crate::known::Place;
use crate::link::{ApiError, Lost};
use crate::log::Inner;
use crate::read;
use crate::wire::{STREAM, append_headers, subject};
use async_nats::jetstream::ErrorCode;
use event_log::{AppendError, Appended, BODY_BYTES_MAX, Envelope, Expected, LogError, Position, StreamName};
use futures::TryStreamExt;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// How often an append is tried whose stream looks as expected to the leader's readers, but not yet to its writers.
const TRIES_MAX: u32 = 8;
/// The pause before the second try; each one is twice as long.
const PAUSE: Duration = Duration::from_millis(2);

/// What a stream looks like to an append.
struct Look {
    last: Option<Place>,
    /// Where the event to be appended is already.
    found: Option<Place>,
}

pub(crate) async fn append(
    inner: &Arc<Inner>,
    stream: &StreamName,
    expected: Expected,
    envelope: &Envelope,
) -> Result<Appended, AppendError> {
    if envelope.body.len() > BODY_BYTES_MAX {
        return Err(AppendError::TooLarge { bytes: envelope.body.len() });
    }
    let mut look = match remembered(inner, stream, expected, envelope) {
        Some(look) => look,
        None => look_again(inner, stream, envelope).await?,
    };
    for tries in 0..TRIES_MAX {
        if let Some(place) = look.found {
            return repeat(inner, stream, place.sequence, envelope).await;
        }
        let actual = look.last.map(|place| place.revision);
        if Expected::after(actual) != expected {
            return Err(AppendError::Conflict { actual });
        }
        let last = look.last.map_or(0, |place| place.sequence);
        if let Some(sequence) = publish(inner, stream, expected, last, envelope).await? {
            let revision = expected.revision_of_next();
            inner.saw(sequence);
            inner.known().note_parts(stream, revision, envelope.event_id, sequence);
            return Ok(Appended { revision, position: Position(sequence), repeated: false });
        }
        if tries > 0 {
            tokio::time::sleep(PAUSE.saturating_mul(1 << tries)).await;
        }
        look = look_again(inner, stream, envelope).await?;
    }
    // It may be an earlier try of this very event.
    Err(AppendError::Unknown("an append to this stream is on its way and does not arrive".into()))
}

/// What the stream looks like as far as this process remembers, if that suffices to try.
fn remembered(inner: &Inner, stream: &StreamName, expected: Expected, envelope: &Envelope) -> Option<Look> {
    let mut known = inner.known();
    let last = known.last(stream);
    if Expected::after(last.map(|place| place.revision)) != expected {
        return None;
    }
    // Nothing known and nothing expected: the server says whether that is so, and an empty stream has no ids.
    Some(Look { last, found: known.find(stream, envelope.event_id) })
}

/// What the stream looks like now: reads from what is known to its end.
async fn look_again(
    inner: &Arc<Inner>,
    stream: &StreamName,
    envelope: &Envelope,
) -> Result<Look, AppendError> {
    let mut look = {
        let mut known = inner.known();
        Look { last: known.last(stream), found: known.find(stream, envelope.event_id) }
    };
    let after = look.last.map(|place| place.revision);
    let mut rest = read::read_stream(Arc::clone(inner), stream.clone(), after);
    while let Some(event) = rest.try_next().await.map_err(|error| not_read(&error))? {
        let place = Place { revision: event.revision, sequence: event.position.0 };
        if event.envelope.event_id == envelope.event_id {
            look.found = Some(place);
        }
        look.last = Some(place);
    }
    Ok(look)
}

/// The answer to an event whose id is in the log already. Whoever may write to the stream can be first with the id and the body, in their
/// own name: readers refuse that, so it acknowledges nothing.
async fn repeat(
    inner: &Inner,
    stream: &StreamName,
    sequence: u64,
    envelope: &Envelope,
) -> Result<Appended, AppendError> {
    let first = inner.link.get(&json!({ "seq": sequence })).await.map_err(|error| not_read(&error))?;
    let first = first.ok_or_else(|| AppendError::Unknown(format!("message {sequence} cannot be read")))?;
    if first.stream == *stream && first.envelope == *envelope {
        Ok(Appended { revision: first.revision, position: first.position, repeated: true })
    } else {
        Err(AppendError::IdTaken)
    }
}

/// A stream that cannot be read cannot be appended to; nothing was written.
fn not_read(error: &LogError) -> AppendError {
    AppendError::Unavailable(error.to_string())
}

/// Publishes the event, to be the next after sequence `after`. Answers with its sequence; `None`: something else is there already,
/// or on its way.
async fn publish(
    inner: &Inner,
    stream: &StreamName,
    expected: Expected,
    after: u64,
    envelope: &Envelope,
) -> Result<Option<u64>, AppendError> {
    #[derive(Deserialize)]
    struct Ack {
        error: Option<ApiError>,
        #[serde(default)]
        stream: String,
        #[serde(default)]
        seq: u64,
        #[serde(default)]
        duplicate: bool,
    }
    let headers = append_headers(stream, envelope, expected.revision_of_next(), after);
    let answer = inner
        .link
        .request(subject(stream, &envelope.writer), Some(headers), envelope.body.clone())
        .await
        .map_err(|lost| match lost {
            Lost::NotSent(why) => AppendError::Unavailable(why),
            Lost::NoAnswer(why) => AppendError::Unknown(why),
        })?;
    let ack: Ack = serde_json::from_slice(&answer.payload)
        .map_err(|error| AppendError::Unknown(format!("the answer cannot be read: {error}")))?;
    match ack {
        Ack { error: Some(error), .. } => refused(&error),
        // It was told no id that could repeat one; if it thinks so all the same, the event was not stored.
        Ack { duplicate: true, .. } => {
            Err(AppendError::Unknown("the server takes the event for a repeat".into()))
        }
        Ack { stream, seq, .. } if stream == STREAM && seq > 0 => Ok(Some(seq)),
        Ack { stream, .. } => Err(AppendError::Unknown(format!("the stream {stream:?} answered"))),
    }
}

fn refused(error: &ApiError) -> Result<Option<u64>, AppendError> {
    match error.error_code() {
        // The second one: an append to the stream, perhaps of this event, is still on its way through the cluster.
        ErrorCode::STREAM_WRONG_LAST_SEQUENCE | ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT => Ok(None),
        // Looked at before anything is stored.
        ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
        | ErrorCode::CLUSTER_NOT_AVAILABLE
        | ErrorCode::JETSTREAM_NOT_ENABLED
        | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT
        | ErrorCode::NO_ACCOUNT
        | ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM
        | ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM
        | ErrorCode::STREAM_NOT_FOUND
        | ErrorCode::STREAM_NOT_MATCH => Err(AppendError::Unavailable(error.to_string())),
        // A store that fails in the middle may have stored.
        _ => Err(AppendError::Unknown(error.to_string())),
    }
}

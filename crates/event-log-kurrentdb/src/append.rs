//! Appends: a look at the stream, a write that names the revision that was seen, and the event read back.
//!
//! The server compares the expected revision, and takes a repeat of what is next to it for the first. It does not know an id that is
//! further back, nor compare bodies, nor say which of two equal appends wrote. INVARIANT: an event is acknowledged only after
//! it was read back, with our body.

use crate::link::{CALL_WITHIN, asked_of_leader, in_time, not_written};
use crate::log::Inner;
use crate::read;
use event_log::{
    AppendError, Appended, BODY_BYTES_MAX, Envelope, Expected, LogError, Recorded, Revision, StreamName,
};
use futures::TryStreamExt;
use kurrentdb::{AppendToStreamOptions, Error, StreamState};
use std::sync::Arc;

/// How often a stream is looked at again that looked as expected, and was not to the write.
const TRIES_MAX: u32 = 8;

pub(crate) async fn append(
    inner: &Arc<Inner>,
    stream: &StreamName,
    expected: Expected,
    envelope: &Envelope,
) -> Result<Appended, AppendError> {
    if envelope.body.len() > BODY_BYTES_MAX {
        return Err(AppendError::TooLarge { bytes: envelope.body.len() });
    }
    let mark = inner.next_mark();
    for tries in 0..TRIES_MAX {
        // A stream that nobody is believed to have begun has no ids to look at: the server says whether that is so.
        if tries > 0 || expected != Expected::NoStream {
            let look = look(inner, stream, envelope).await?;
            if let Some(found) = look.found {
                return repeat(&found, envelope);
            }
            if Expected::after(look.last) != expected {
                return Err(AppendError::Conflict { actual: look.last });
            }
        }
        if write(inner, stream, expected, envelope, &mark).await? {
            return read_back(inner, stream, expected, envelope, &mark).await;
        }
    }
    Err(AppendError::Unavailable("the stream is as expected to readers, and not to writers".into()))
}

/// What a stream looks like to an append.
struct Look {
    last: Option<Revision>,
    /// The event that has this id already.
    found: Option<Recorded>,
}

async fn look(inner: &Arc<Inner>, stream: &StreamName, envelope: &Envelope) -> Result<Look, AppendError> {
    let mut look = Look { last: None, found: None };
    let mut events = read::read_stream(Arc::clone(inner), stream, None);
    while let Some(event) = events.try_next().await.map_err(|error| unreadable(&error))? {
        look.last = Some(event.revision);
        if event.envelope.event_id == envelope.event_id {
            look.found = Some(event);
        }
    }
    Ok(look)
}

/// A stream that cannot be read cannot be appended to; nothing was written.
fn unreadable(error: &LogError) -> AppendError {
    AppendError::Unavailable(error.to_string())
}

/// The answer to an event whose id is in the stream already.
fn repeat(found: &Recorded, envelope: &Envelope) -> Result<Appended, AppendError> {
    if found.envelope.body == envelope.body {
        Ok(Appended { revision: found.revision, position: found.position, repeated: true })
    } else {
        Err(AppendError::IdTaken)
    }
}

/// Whether the stream was as expected.
async fn write(
    inner: &Inner,
    stream: &StreamName,
    expected: Expected,
    envelope: &Envelope,
    mark: &str,
) -> Result<bool, AppendError> {
    let state = match expected {
        Expected::NoStream => StreamState::NoStream,
        Expected::Exact(revision) => StreamState::StreamRevision(revision.0),
    };
    let options = AppendToStreamOptions::default().stream_state(state).deadline(CALL_WITHIN);
    let options = asked_of_leader!(inner.link, options);
    let of = inner.link.client();
    let event = inner.namespace.proposed(envelope, mark);
    match in_time(of.client.append_to_stream(inner.namespace.stream(stream), &options, event)).await {
        Ok(_) => Ok(true),
        Err(Error::WrongExpectedVersion { .. }) => Ok(false),
        Err(error) => {
            inner.link.look_at(&of, &error);
            Err(not_written(&error))
        }
    }
}

/// What is where the event was to be written. It was written, by us or by an equal append: only how it reads is open.
async fn read_back(
    inner: &Arc<Inner>,
    stream: &StreamName,
    expected: Expected,
    envelope: &Envelope,
    mark: &str,
) -> Result<Appended, AppendError> {
    let unknown = |why: String| AppendError::Unknown(format!("written, and not to be read back: {why}"));
    let (read, its_mark) = read::one_of(inner, stream, expected.revision_of_next())
        .await
        .map_err(|error| unknown(error.to_string()))?
        .ok_or_else(|| unknown("it is not there".into()))?;
    if read.envelope.event_id != envelope.event_id {
        return Err(unknown("another event is there".into()));
    }
    let repeated = repeat(&read, envelope)?;
    Ok(Appended { repeated: its_mark != mark.as_bytes(), ..repeated })
}

//! Reads that end: one stream, the whole log, one place of it.

use crate::link::{CALL_WITHIN, Numbered, asked_of_leader, not_read};
use crate::log::Inner;
use event_log::{EventStream, LogError, Position, Recorded, Revision, StreamName};
use futures::{StreamExt, TryStreamExt, stream};
use kurrentdb::{
    Error, ReadAllOptions, ReadStream, ReadStreamOptions, RecordedEvent, StreamPosition, SubscriptionFilter,
};
use std::sync::Arc;

/// Events that the server looks through for ours before it says how far it came: what a reader that was interrupted looks
/// through again, at most.
const SEARCHED_MAX: u32 = 1_000;

/// The server passes over everything that is not of this log.
pub(crate) fn filter(inner: &Inner) -> SubscriptionFilter {
    SubscriptionFilter::on_stream_name().add_prefix(inner.namespace.prefix()).max(SEARCHED_MAX)
}

/// A place of `$all`. Every append of ours is one event, whose prepare is its commit.
pub(crate) fn place(position: Position) -> StreamPosition<kurrentdb::Position> {
    match position {
        Position::START => StreamPosition::Start,
        Position(commit) => StreamPosition::Position(kurrentdb::Position { commit, prepare: commit }),
    }
}

/// The events that the server sends, each as it was read; the end of them is the end.
fn sent(
    inner: Arc<Inner>,
    of: Numbered,
    events: ReadStream,
) -> impl futures::Stream<Item = Result<RecordedEvent, LogError>> {
    stream::try_unfold((inner, of, events), async |(inner, of, mut events)| {
        let next = tokio::time::timeout(CALL_WITHIN, events.next()).await;
        let next = next.map_err(|_| LogError::Unavailable("the server sends no more".into()))?;
        match next {
            Ok(Some(event)) => {
                // Links are not followed, and none are in our streams: the event that was read is the event.
                let event =
                    event.event.ok_or_else(|| LogError::Corrupt("an event without content".into()))?;
                Ok(Some((event, (inner, of, events))))
            }
            Ok(None) | Err(Error::ResourceNotFound) => Ok(None),
            Err(error) => {
                inner.link.look_at(&of, &error);
                Err(not_read(&error))
            }
        }
    })
}

/// The events of one stream after a revision, dense from there on.
pub(crate) fn read_stream(inner: Arc<Inner>, name: &StreamName, after: Option<Revision>) -> EventStream {
    let first = after.map_or(0, |revision| revision.next().0);
    let server_name = inner.namespace.stream(name);
    let begin = async move {
        let options = ReadStreamOptions::default().position(StreamPosition::Position(first));
        let options = asked_of_leader!(inner.link, options);
        let of = inner.link.client();
        let namespace = inner.namespace.clone();
        let events = match of.client.read_stream(server_name, &options).await {
            Ok(events) => sent(inner, of, events).boxed(),
            Err(Error::ResourceNotFound) => stream::empty().boxed(),
            Err(error) => {
                inner.link.look_at(&of, &error);
                return Err(not_read(&error));
            }
        };
        Ok(events.enumerate().map(move |(place, event)| {
            let recorded = namespace.recorded(&event?)?;
            let expected = Revision(first.saturating_add(u64::try_from(place).unwrap_or(u64::MAX)));
            if recorded.revision == expected {
                Ok(recorded)
            } else {
                Err(LogError::Corrupt(format!(
                    "{}: events before {:?} are gone",
                    recorded.stream, recorded.revision
                )))
            }
        }))
    };
    stream::once(begin).try_flatten().boxed()
}

/// The event at one revision, and the mark of the append that wrote it.
pub(crate) async fn one_of(
    inner: &Arc<Inner>,
    name: &StreamName,
    revision: Revision,
) -> Result<Option<(Recorded, Vec<u8>)>, LogError> {
    let options = ReadStreamOptions::default().position(StreamPosition::Position(revision.0)).max_count(1);
    let options = asked_of_leader!(inner.link, options);
    let of = inner.link.client();
    let events = of.client.read_stream(inner.namespace.stream(name), &options).await.map_err(|error| {
        inner.link.look_at(&of, &error);
        not_read(&error)
    })?;
    let event = Box::pin(sent(Arc::clone(inner), of, events)).try_next().await?;
    event.map(|event| Ok((inner.namespace.recorded(&event)?, event.custom_metadata.to_vec()))).transpose()
}

/// All events after a position, up to the head.
pub(crate) fn read_all(inner: Arc<Inner>, after: Position) -> EventStream {
    let begin = async move {
        let events = all_from(&inner, after, usize::MAX).await?;
        Ok::<_, LogError>(events.try_filter(move |event| std::future::ready(event.position > after)))
    };
    stream::once(begin).try_flatten().boxed()
}

/// The event at exactly this position.
pub(crate) async fn event_at(inner: &Arc<Inner>, position: Position) -> Result<Option<Recorded>, LogError> {
    if position == Position::START {
        return Ok(None);
    }
    let first = all_from(inner, position, 1).await?.try_next().await?;
    Ok(first.filter(|event| event.position == position))
}

/// At most so many events from a position on, with the one that is there.
async fn all_from(inner: &Arc<Inner>, from: Position, most: usize) -> Result<EventStream, LogError> {
    let options = ReadAllOptions::default().position(place(from)).filter(filter(inner)).max_count(most);
    all(inner, options).await
}

/// The last event.
pub(crate) async fn last(inner: &Arc<Inner>) -> Result<Option<Recorded>, LogError> {
    let options = ReadAllOptions::default().position(StreamPosition::End).filter(filter(inner)).max_count(1);
    all(inner, options).await?.try_next().await
}

async fn all(inner: &Arc<Inner>, options: ReadAllOptions) -> Result<EventStream, LogError> {
    let options = asked_of_leader!(inner.link, options);
    let of = inner.link.client();
    let events = of.client.read_all(&options).await.map_err(|error| {
        inner.link.look_at(&of, &error);
        not_read(&error)
    })?;
    let namespace = inner.namespace.clone();
    Ok(sent(Arc::clone(inner), of, events).map(move |event| namespace.recorded_or_stray(&event?)).boxed())
}

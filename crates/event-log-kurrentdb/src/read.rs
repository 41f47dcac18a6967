//! Reads that end: one stream, the whole log, one place of it.

use crate::head::Known;
use crate::link::{Numbered, asked_of_leader, in_time, is_of_no_place, not_read};
use crate::log::Inner;
use event_log::{EventStream, LogError, Position, Recorded, Revision, StreamName};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use kurrentdb::{
    Error, ReadAllOptions, ReadStream, ReadStreamOptions, RecordedEvent, ResolvedEvent, StreamPosition,
    SubscriptionFilter,
};
use std::sync::Arc;

/// Events that the server looks through for ours before it says how far it came: what a reader that was interrupted looks
/// through again, at most.
const SEARCHED_MAX: u32 = 1_000;

/// The server's numbers are signed: what is above this is no revision of it.
const REVISION_MAX: u64 = i64::MAX.unsigned_abs();

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

/// The events of an answer, each as it was read; the end of them is the end.
type Sent = BoxStream<'static, Result<RecordedEvent, Error>>;

async fn sent(
    inner: &Arc<Inner>,
    of: Numbered,
    answer: impl Future<Output = kurrentdb::Result<ReadStream>>,
) -> Result<Sent, Error> {
    let events = in_time(answer).await.inspect_err(|error| inner.link.look_at(&of, error))?;
    let rest = (Arc::clone(inner), of, events);
    let events = stream::try_unfold(rest, |(inner, of, mut events)| async move {
        match in_time(events.next()).await {
            // Links are not followed, and none are in our streams: the event that was read is the event.
            Ok(Some(ResolvedEvent { event: Some(event), .. })) => Ok(Some((event, (inner, of, events)))),
            Ok(Some(_)) => Err(Error::InternalParsingError("an event without content".into())),
            Ok(None) | Err(Error::ResourceNotFound) => Ok(None),
            Err(error) => {
                inner.link.look_at(&of, &error);
                Err(error)
            }
        }
    });
    Ok(events.boxed())
}

/// The server's events of one stream, from a revision on.
async fn sent_of(inner: &Arc<Inner>, name: &StreamName, options: ReadStreamOptions) -> Result<Sent, Error> {
    let options = asked_of_leader!(inner.link, options);
    let of = inner.link.client();
    sent(inner, of.clone(), of.client.read_stream(inner.namespace.stream(name), &options)).await
}

/// The events of one stream after a revision, dense from there on.
pub(crate) fn read_stream(inner: Arc<Inner>, name: &StreamName, after: Option<Revision>) -> EventStream {
    let first = after.map_or(0, |revision| revision.0.saturating_add(1));
    if first > REVISION_MAX {
        return stream::empty().boxed();
    }
    let name = name.clone();
    let begin = async move {
        let options = ReadStreamOptions::default().position(StreamPosition::Position(first));
        let events = sent_of(&inner, &name, options).await.map_err(|error| not_read(&error))?;
        let expected = stream::iter((first..).map(Revision));
        Ok::<_, LogError>(events.zip(expected).map(move |(event, expected)| {
            let recorded = inner.namespace.recorded(&event.map_err(|error| not_read(&error))?)?;
            if recorded.revision == expected {
                Ok(recorded)
            } else {
                Err(LogError::Corrupt(format!("{name}: events before {:?} are gone", recorded.revision)))
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
    let mut events = sent_of(inner, name, options).await.map_err(|error| not_read(&error))?;
    let event = events.try_next().await.map_err(|error| not_read(&error))?;
    event.map(|event| Ok((inner.namespace.recorded(&event)?, event.custom_metadata.to_vec()))).transpose()
}

/// All events after a position, up to the head.
pub(crate) fn read_all(inner: Arc<Inner>, after: Position) -> EventStream {
    let begin = async move {
        let options = ReadAllOptions::default().position(place(after));
        let events = all(&inner, options).await.map_err(|error| not_read(&error))?;
        let events = events
            .map(move |event| inner.namespace.recorded_or_stray(&event.map_err(|error| not_read(&error))?));
        Ok::<_, LogError>(events.try_filter(move |event| std::future::ready(event.position > after)))
    };
    stream::once(begin).try_flatten().boxed()
}

/// The event at exactly this position.
pub(crate) async fn event_at(inner: &Arc<Inner>, position: Position) -> Result<Option<Recorded>, LogError> {
    if position == Position::START {
        return Ok(None);
    }
    let first = one(inner, ReadAllOptions::default().position(place(position))).await?;
    Ok(first.filter(|event| event.position == position))
}

/// Where the last event of ours is.
pub(crate) async fn last(inner: &Arc<Inner>) -> Result<Option<Position>, LogError> {
    let options = ReadAllOptions::default().position(StreamPosition::End).max_count(1);
    let last = async { all(inner, options).await?.try_next().await };
    let last = last.await.map_err(|error| not_read(&error))?;
    Ok(last.map(|event| Position(event.position.commit)))
}

/// Whether anything of ours may follow what is known.
pub(crate) async fn follows(inner: &Arc<Inner>, known: Known) -> Result<bool, LogError> {
    // The event of the place where a read begins is read, too; it may be the last that is known.
    let options = ReadAllOptions::default().position(StreamPosition::Position(known.reached)).max_count(2);
    let follows = async {
        let mut events = all(inner, options).await?;
        while let Some(event) = events.try_next().await? {
            if event.position.commit > known.last.0 {
                return Ok::<_, Error>(true);
            }
        }
        Ok(false)
    };
    match follows.await {
        Err(error) if is_of_no_place(&error) => Ok(true),
        follows => follows.map_err(|error| not_read(&error)),
    }
}

/// The last event of the whole server, whose ever it is: what a read of ours could come to.
pub(crate) async fn end(inner: &Arc<Inner>) -> Result<Option<RecordedEvent>, LogError> {
    let options = ReadAllOptions::default().position(StreamPosition::End).max_count(1);
    let options = asked_of_leader!(inner.link, options);
    let of = inner.link.client();
    let last = async {
        let answer = of.client.read_all(&options);
        sent(inner, of.clone(), answer).await?.try_next().await
    };
    last.await.map_err(|error| not_read(&error))
}

/// The first event of an answer; none where the server has no such place.
async fn one(inner: &Arc<Inner>, options: ReadAllOptions) -> Result<Option<Recorded>, LogError> {
    let first = async { all(inner, options.max_count(1)).await?.try_next().await };
    match first.await {
        Ok(event) => event.map(|event| inner.namespace.recorded_or_stray(&event)).transpose(),
        Err(error) if is_of_no_place(&error) => Ok(None),
        Err(error) => Err(not_read(&error)),
    }
}

async fn all(inner: &Arc<Inner>, options: ReadAllOptions) -> Result<Sent, Error> {
    let options = asked_of_leader!(inner.link, options.filter(filter(inner)));
    let of = inner.link.client();
    sent(inner, of.clone(), of.client.read_all(&options)).await
}

//! One stream, from a revision to its end.
//!
//! The leader says what the last event is, and each event where the one before it is: a few are read that way, one by one. More come
//! in batches from any replica, for which a server looks through all that lies between them. Revisions are dense, so a missing event
//! shows, whoever answered.

use crate::known::Place;
use crate::link::Linked;
use crate::log::{Inner, refuse_the_past};
use crate::told;
use crate::wire::any_writer;
use event_log::{EventStream, LogError, Recorded, Revision, StreamName};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use std::sync::Arc;

/// So many events before the last are read one by one. A batch is one question instead of so many, and costs a server more than all of
/// them where they are far apart, as the events of most streams are.
const ONE_BY_ONE_MAX: u64 = 8;
/// Events per batch.
const BATCH_MAX: u64 = 500;
/// About as many bytes per batch; one event may go beyond.
const BATCH_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Where a read stands.
enum Reading {
    Begin,
    Rest(Rest),
    End,
}

struct Rest {
    /// The next revision to be read.
    next: Revision,
    /// Where to look for it.
    from: u64,
    /// The stream's last event, already here.
    last: Recorded,
}

pub(crate) fn read_stream(inner: Arc<Inner>, name: StreamName, after: Option<Revision>) -> EventStream {
    let first = match after {
        None => Revision(0),
        Some(Revision(u64::MAX)) => return stream::empty().boxed(),
        Some(revision) => revision.next(),
    };
    stream::try_unfold(Reading::Begin, move |reading| {
        let (inner, name) = (Arc::clone(&inner), name.clone());
        async move {
            match reading {
                Reading::Begin => begin(&inner, &name, first).await,
                Reading::Rest(rest) => batch(&inner, &name, rest).await.map(Some),
                Reading::End => Ok(None),
            }
        }
    })
    .map_ok(move |events| {
        stream::iter(events.into_iter().filter(move |event| event.revision >= first).map(Ok))
    })
    .try_flatten()
    .boxed()
}

type Step = (Vec<Recorded>, Reading);

async fn begin(inner: &Inner, name: &StreamName, first: Revision) -> Result<Option<Step>, LogError> {
    let Some((count, last)) = end_of(inner, name, first).await? else { return Ok(None) };
    let told = revisions(last.as_ref());
    if let Some(Linked { event: last, .. }) = last.as_ref().filter(|_| told < count)
        && is_out_of_place(inner, name, last).await?
    {
        let Revision(revision) = last.revision;
        return Err(LogError::Corrupt(format!(
            "{name} has {count} events, and the last says revision {revision}"
        )));
    }
    refuse_the_past(told, count)?;
    let Some(last) = last.filter(|last| last.event.revision >= first) else { return Ok(None) };
    // Where the first one is, if the one before it is known; else everything is read, and the beginning left out.
    let known = first.0.checked_sub(1).and_then(|before| inner.known().sequence(name, Revision(before)));
    let whole = known.is_none() && last.event.revision > first;
    let next = if whole { Revision(0) } else { first };
    let Some((mut events, before)) = before_last(inner, name, next, &last).await? else {
        let from = known.map_or(1, |sequence| sequence + 1);
        return batch(inner, name, Rest { next, from, last: last.event }).await.map(Some);
    };
    if known.zip(before).is_some_and(|(known, before)| known != before) {
        let Revision(first) = first;
        let why = "follows on another event than the one that was read before it: events were lost";
        return Err(LogError::Unavailable(format!("{name} has a revision {first} that {why}")));
    }
    events.push(last.event);
    let mut known = inner.known();
    for event in &events {
        known.note(event);
    }
    Ok(Some((events, Reading::End)))
}

/// How many events the leader counts, and the last one; `None`: nothing from `first` on.
async fn end_of(
    inner: &Inner,
    name: &StreamName,
    first: Revision,
) -> Result<Option<(u64, Option<Linked>)>, LogError> {
    let count = if first == Revision(0) {
        // Mostly there is something: both are asked for at once.
        let (count, last) = futures::try_join!(inner.count_of(name), inner.last_of(name))?;
        if revisions(last.as_ref()) >= count {
            return Ok(last.map(|last| (count, Some(last))));
        }
        count
    } else {
        // Who has read before mostly lacks nothing. A count says so, and whether it is still the leader that counts.
        inner.count_of(name).await?
    };
    Ok(if count <= first.0 { None } else { Some((count, inner.last_of(name).await?)) })
}

/// How many events there are, as the last one says.
fn revisions(last: Option<&Linked>) -> u64 {
    last.map_or(0, |last| last.event.revision.0.saturating_add(1))
}

/// The events from `next` on and before the last one, each read from where the one after it says, and where the one before them is;
/// `None`: they are many, or not all are where that says.
async fn before_last(
    inner: &Inner,
    name: &StreamName,
    next: Revision,
    last: &Linked,
) -> Result<Option<(Vec<Recorded>, Option<u64>)>, LogError> {
    if last.event.revision.0.saturating_sub(next.0) > ONE_BY_ONE_MAX {
        return Ok(None);
    }
    let (mut after, mut before) = (last.event.position, last.before);
    let mut events = Vec::new();
    for revision in (next.0..last.event.revision.0).rev() {
        let Some(sequence) = before else { return Ok(None) };
        let found = match inner.link.get_linked(&json!({ "seq": sequence })).await {
            // What is damaged there may be another stream's.
            Err(LogError::Corrupt(_)) => None,
            found => found?,
        };
        let follows = |Linked { event, .. }: &Linked| {
            event.stream == *name && event.revision.0 == revision && event.position < after
        };
        let Some(found) = found.filter(follows) else { return Ok(None) };
        (after, before) = (found.event.position, found.before);
        events.push(found.event);
    }
    events.reverse();
    Ok(Some((events, before)))
}

/// Whether a stream's last event, which says a lower revision than the leader's count, is not where that revision is. Otherwise whoever
/// answered lags behind, which passes; but this does not, and must be told as what it is. Reads all before it, if that is not known:
/// streams are short.
async fn is_out_of_place(inner: &Inner, name: &StreamName, last: &Recorded) -> Result<bool, LogError> {
    let known = inner.known().sequence(name, last.revision);
    if let Some(sequence) = known {
        return Ok(sequence != last.position.0);
    }
    let mut before = inner.known().last(name);
    loop {
        let (next, from) =
            before.map_or((Revision(0), 1), |place| (place.revision.next(), place.sequence + 1));
        let which = json!({ "seq": from, "next_by_subj": any_writer(name) });
        let Some(event) = inner.link.get(&which).await? else { return Ok(false) };
        if event.position > last.position {
            // It is the last no longer.
            return Ok(false);
        }
        if event.revision != next || event.position == last.position {
            return Ok(event.revision != next);
        }
        inner.known().note(&event);
        before = Some(Place { revision: next, sequence: event.position.0 });
    }
}

async fn batch(inner: &Inner, name: &StreamName, rest: Rest) -> Result<Step, LogError> {
    let Rest { mut next, from, last } = rest;
    let subjects = any_writer(name);
    // A replica that lags behind, or an answer lost on a slow connection, must not look like the end.
    let count = (last.revision.0 - next.0).min(BATCH_MAX);
    let mut events = Vec::new();
    if !inner.suspects().contains(name) {
        let answered = inner.link.get_batch(&subjects, from, count, BATCH_BYTES_MAX).await;
        events = answered.inspect_err(|_| inner.suspect(name))?;
    }
    if events.is_empty() && count > 0 {
        events.extend(inner.link.get(&json!({ "seq": from, "next_by_subj": subjects })).await?);
    }
    let mut from = from;
    for event in &events {
        if event.revision != next || event.stream != *name || event.position >= last.position {
            return Err(LogError::Corrupt(format!("{name} has {:?} where {next:?} must be", event.revision)));
        }
        (next, from) = (next.next(), event.position.0 + 1);
    }
    let ends = next == last.revision;
    if !ends && events.is_empty() {
        let lacks = format!("{name} has no {next:?}, but {:?}", last.revision);
        // Whoever was asked may lag behind, even as the leader of a moment ago.
        return Err(if told::lacks_some_before(inner, &subjects, &last).await? {
            LogError::Corrupt(lacks)
        } else {
            LogError::Unavailable(format!("{lacks}, on the server that answered"))
        });
    }
    let mut known = inner.known();
    for event in &events {
        known.note(event);
    }
    if ends {
        inner.suspects().remove(name);
        known.note(&last);
        events.push(last);
        return Ok((events, Reading::End));
    }
    Ok((events, Reading::Rest(Rest { next, from, last })))
}

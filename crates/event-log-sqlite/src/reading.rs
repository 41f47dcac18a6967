//! Streams of events out of the file, batch by batch; the next batch is read while the last is being used.

use crate::readers::Readers;
use crate::row::{self, fault, integer};
use event_log::{EventStream, LogError, Position, Recorded, Revision, StreamName};
use futures::{StreamExt, TryStreamExt};
use rusqlite::{Connection, Params};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Events in one batch: enough that changing threads for it costs each of them little.
const BATCH_MAX: usize = 1024;

/// Bytes of bodies after which a batch is complete; a reader holds two batches at most.
const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// How often a reader of another process's log looks for new events.
const POLL_EVERY: Duration = Duration::from_millis(50);

/// Where a read is, and what it is of.
#[derive(Clone, Debug)]
pub(crate) enum Cursor {
    /// One stream, after a revision.
    Stream { stream: StreamName, after: Option<Revision> },
    /// The whole log, after a position, up to and with `end`.
    All { after: Position, end: Position },
}

/// How a reader hears of new events.
#[derive(Clone)]
pub(crate) enum Heads {
    /// From this process's writer.
    Told(watch::Receiver<Position>),
    /// Another process writes, or none: by looking.
    Polled,
}

/// The events under the cursor; then the stream ends.
pub(crate) fn read(readers: Readers, cursor: Cursor) -> EventStream {
    events(Reading { readers, cursor, ahead: None, follow: None })
}

/// All events after a position, and new ones when they come.
pub(crate) fn follow(readers: Readers, after: Position, heads: Heads) -> EventStream {
    let end = Position(u64::MAX);
    events(Reading { readers, cursor: Cursor::All { after, end }, ahead: None, follow: Some(heads) })
}

struct Reading {
    readers: Readers,
    cursor: Cursor,
    /// The next batch, if it is being read already.
    ahead: Option<JoinHandle<Result<Batch, LogError>>>,
    /// For a read that never ends.
    follow: Option<Heads>,
}

/// Some events, in order.
struct Batch {
    events: Vec<Recorded>,
    /// Whether it was cut short by its limits, so that there may be more.
    is_full: bool,
}

fn events(reading: Reading) -> EventStream {
    futures::stream::unfold(Some(reading), |reading| async move {
        match reading?.next().await {
            Ok((events, _)) if events.is_empty() => None,
            Ok((events, rest)) => Some((Ok(events), rest)),
            Err(error) => Some((Err(error), None)),
        }
    })
    .map_ok(|events| futures::stream::iter(events.into_iter().map(Ok)))
    .try_flatten()
    .boxed()
}

impl Reading {
    /// The next events, none at the end; and what is left to read, if anything can be.
    #[expect(clippy::disallowed_methods, reason = "an engine may read ahead while its reader works")]
    async fn next(mut self) -> Result<(Vec<Recorded>, Option<Self>), LogError> {
        loop {
            let batch = self.batch().await?;
            if let Some(last) = batch.events.last() {
                self.cursor.advance(last);
                if batch.is_full {
                    self.ahead = Some(tokio::spawn(fetch(self.readers.clone(), self.cursor.clone())));
                }
                let goes_on = batch.is_full || self.follow.is_some();
                return Ok((batch.events, goes_on.then_some(self)));
            }
            let (Some(heads), Cursor::All { after, .. }) = (&mut self.follow, &self.cursor) else {
                return Ok((Vec::new(), None));
            };
            heads.wait_past(*after).await?;
        }
    }

    async fn batch(&mut self) -> Result<Batch, LogError> {
        match self.ahead.take() {
            Some(ahead) => {
                ahead.await.map_err(|error| LogError::Unavailable(format!("a reader: {error}")))?
            }
            None => fetch(self.readers.clone(), self.cursor.clone()).await,
        }
    }
}

impl Heads {
    /// The head now, or nothing nearer than the end of all logs where it would have to be looked up.
    pub(crate) fn bound(&self) -> Position {
        match self {
            Self::Told(heads) => *heads.borrow(),
            Self::Polled => Position(u64::MAX),
        }
    }

    async fn wait_past(&mut self, after: Position) -> Result<(), LogError> {
        match self {
            Self::Told(heads) => heads
                .wait_for(|head| *head > after)
                .await
                .map(drop)
                .map_err(|_| LogError::Unavailable("the log is closed".into())),
            Self::Polled => {
                tokio::time::sleep(POLL_EVERY).await;
                Ok(())
            }
        }
    }
}

impl Cursor {
    fn advance(&mut self, past: &Recorded) {
        match self {
            Self::Stream { after, .. } => *after = Some(past.revision),
            Self::All { after, .. } => *after = past.position,
        }
    }
}

async fn fetch(readers: Readers, cursor: Cursor) -> Result<Batch, LogError> {
    readers.query(move |connection| select(connection, &cursor)).await
}

fn select(connection: &Connection, cursor: &Cursor) -> Result<Batch, LogError> {
    match cursor {
        Cursor::Stream { stream, after } => {
            let after = after.map_or(-1, |revision| integer(revision.0));
            collect(connection, row::OF_STREAM, (stream.as_str(), after))
        }
        Cursor::All { after, end } => {
            collect(connection, row::AFTER_POSITION, (integer(after.0), integer(end.0)))
        }
    }
}

fn collect(connection: &Connection, sql: &str, parameters: impl Params) -> Result<Batch, LogError> {
    let mut query = connection.prepare_cached(sql).map_err(fault)?;
    let mut rows = query.query(parameters).map_err(fault)?;
    let (mut events, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next().map_err(fault)? {
        let event = row::recorded(row)?;
        bytes += event.envelope.body.len();
        events.push(event);
        if events.len() >= BATCH_MAX || bytes >= BATCH_BYTES_MAX {
            let is_full = true;
            return Ok(Batch { events, is_full });
        }
    }
    let is_full = false;
    Ok(Batch { events, is_full })
}

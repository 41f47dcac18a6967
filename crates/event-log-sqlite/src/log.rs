//! The engine: the port, on a writer and readers.

use crate::lock::WriterLock;
use crate::readers::Readers;
use crate::reading::{self, Cursor, Heads};
use crate::store;
use crate::writer::WriterHandle;
use event_log::{
    AppendError, Appended, BODY_BYTES_MAX, Envelope, EventLog, EventStream, Expected, LogError, Position,
    Recorded, Revision, StreamName,
};
use futures::TryStreamExt;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// A log in an SQLite file.
///
/// Dropping it waits for the appends handed over so far, closes the file and gives the writer lock back; [`close`](Self::close)
/// does so without blocking the thread. Streams that are still being read end with an error, or at their end.
pub struct SqliteLog {
    id: Uuid,
    path: PathBuf,
    readers: Readers,
    heads: Heads,
    /// None: opened for reading only.
    writer: Option<WriterHandle>,
}

/// How a log is opened for writing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenOptions {
    /// The identity of the log if there is none yet.
    pub new_id: Uuid,
    /// The largest that the file may become, in bytes, not counting the WAL beside it (4 MiB and a little). Appends beyond
    /// are [`AppendError::Unavailable`], as with a full disk. None: as large as SQLite takes, 16 TiB.
    pub bytes_max: Option<u64>,
}

impl OpenOptions {
    /// The usual: only the identity for a new log has to be given.
    pub const fn new(new_id: Uuid) -> Self {
        Self { new_id, bytes_max: None }
    }
}

impl SqliteLog {
    /// Opens the log in this file for writing and reading; makes it if there is none. Its directory has to exist, on a local
    /// disk. Blocks while the file is recovered after a crash.
    ///
    /// Refuses, with [`LogError::Unsafe`]: an SQLite library with a known corruption, a file that cannot have WAL and
    /// `synchronous=FULL`, a log that another process or this one has open for writing, a format of another version, a
    /// database that is no log. With [`LogError::Corrupt`]: a log whose beginning or end is damaged.
    pub fn open(path: impl AsRef<Path>, options: &OpenOptions) -> Result<Self, LogError> {
        let path = path.as_ref().to_owned();
        let lock = WriterLock::take(&path)?;
        let (connection, found) = store::open_writer(&path, options.new_id, options.bytes_max)?;
        let (writer, heads) = WriterHandle::start(connection, lock, found.head)?;
        tracing::info!(path = %path.display(), id = %found.log_id, head = found.head.0, "log opened");
        Ok(Self {
            id: found.log_id,
            readers: Readers::new(path.clone()),
            path,
            heads: Heads::Told(heads),
            writer: Some(writer),
        })
    }

    /// Opens an existing log for reading only, also while another process writes it. New events are seen within 50 ms;
    /// appends are [`AppendError::Unavailable`].
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self, LogError> {
        let path = path.as_ref().to_owned();
        let found = store::examine(&store::open_reader(&path)?)?;
        Ok(Self {
            id: found.log_id,
            readers: Readers::new(path.clone()),
            path,
            heads: Heads::Polled,
            writer: None,
        })
    }

    /// Ends the writer when it has answered every append handed over before, and gives the writer lock back. Later appends
    /// are refused, subscriptions end with an error; reads that end still work.
    pub async fn close(&self) {
        if let Some(writer) = &self.writer {
            writer.close().await;
        }
    }
}

#[async_trait::async_trait]
impl EventLog for SqliteLog {
    async fn id(&self) -> Result<Uuid, LogError> {
        Ok(self.id)
    }

    async fn append(
        &self,
        stream: &StreamName,
        expected: Expected,
        envelope: Envelope,
    ) -> Result<Appended, AppendError> {
        let bytes = envelope.body.len();
        if bytes > BODY_BYTES_MAX {
            return Err(AppendError::TooLarge { bytes });
        }
        match &self.writer {
            Some(writer) => writer.append(stream.clone(), expected, envelope).await,
            None => Err(AppendError::Unavailable("opened for reading only".into())),
        }
    }

    fn read_stream(&self, stream: &StreamName, after: Option<Revision>) -> EventStream {
        let stream = stream.clone();
        reading::read(self.readers.clone(), Cursor::Stream { stream, after })
    }

    fn read_all(&self, after: Position) -> EventStream {
        let end = self.heads.bound();
        reading::read(self.readers.clone(), Cursor::All { after, end })
    }

    fn subscribe(&self, after: Position) -> EventStream {
        reading::follow(self.readers.clone(), after, self.heads.clone())
    }

    async fn head(&self) -> Result<Position, LogError> {
        match &self.heads {
            Heads::Told(heads) => Ok(*heads.borrow()),
            Heads::Polled => self.readers.query(store::head).await,
        }
    }

    async fn event_at(&self, position: Position) -> Result<Option<Recorded>, LogError> {
        let Some(before) = position.0.checked_sub(1) else {
            return Ok(None);
        };
        let cursor = Cursor::All { after: Position(before), end: position };
        reading::read(self.readers.clone(), cursor).try_next().await
    }
}

impl std::fmt::Debug for SqliteLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SqliteLog({}, {})", self.id, self.path.display())
    }
}

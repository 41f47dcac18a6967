//! The SQLite file of one read model: its name, its own two tables, and starting over.
//!
//! INVARIANT: what is here can be deleted. Whatever is wrong with a file, the answer is a new one.

use crate::ReadModel;
use domain::{canonical_digest, hex};
use event_log::Position;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, params};
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use std::time::Duration;
use uuid::Uuid;

/// Part of every fingerprint; raised when this crate's own tables change.
const FORMAT: &[u8] = b"daypass projection 1";

const OWN_SCHEMA: &str = "
    CREATE TABLE projection_checkpoint (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        log_id BLOB NOT NULL,
        position INTEGER NOT NULL,
        event_id BLOB NOT NULL
    ) STRICT;
    CREATE TABLE projection_set_aside (
        position INTEGER PRIMARY KEY,
        stream TEXT NOT NULL,
        event_id BLOB NOT NULL,
        why TEXT NOT NULL
    ) STRICT;";

/// How long another process that writes the same file is waited for.
const BUSY_WAIT: Duration = Duration::from_secs(1);
/// A WAL that is longer is moved into the file, beside the commits that go on. Ids are spread evenly; the more commits a move covers, the
/// more of their pages are the same. But while they are synced, nothing else on that disk is, the log's commits among it: of 64 MiB that
/// takes some 45 ms; and each move syncs four times.
const WAL_BYTES_MOVED: u64 = if cfg!(test) { 1 << 20 } else { 8 << 20 };
/// The same while much is applied and nobody waits for it.
const WAL_BYTES_MOVED_AT_ONCE: u64 = 8 * WAL_BYTES_MOVED;
/// A WAL that is longer is waited for.
const WAL_BYTES_MAX: u64 = 4 * WAL_BYTES_MOVED_AT_ONCE;
/// Statements kept prepared; a read model has tens.
const STATEMENTS_MAX: usize = 64;
/// Connections that read at the same time, where there are as many processors. Readers do not wait for anything but SQLite, so more
/// would only wait for a processor.
const READERS_MAX: usize = 4;
/// Pages that a connection keeps in memory, at most.
const CACHE_KIB: i64 = 16 * 1024;

/// How far a read model is, and in which log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) log_id: Uuid,
    pub(crate) position: Position,
    /// The event at that position.
    pub(crate) event_id: Uuid,
}

/// Where a read model lives.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// `None`: in memory.
    path: Option<PathBuf>,
    name: String,
    schema: String,
}

impl Place {
    pub(crate) fn of(folder: Option<&Path>, model: &impl ReadModel) -> Self {
        let fingerprint = hex(&canonical_digest([
            FORMAT,
            OWN_SCHEMA.as_bytes(),
            model.schema().as_bytes(),
            model.indices().as_bytes(),
            &model.code_revision().to_be_bytes(),
        ]));
        let file = format!("{}-{}.db", model.name(), fingerprint.get(..FINGERPRINT_LEN).unwrap_or_default());
        Self {
            path: folder.map(|folder| folder.join(file)),
            name: model.name().to_owned(),
            schema: model.schema().to_owned(),
        }
    }

    /// The connection that writes; a file that is not a database, or damaged, is replaced. So is one without its tables: a
    /// crash may have left it so.
    pub(crate) fn open(&self) -> rusqlite::Result<Connection> {
        match self.open_as_it_is() {
            Err(error) if is_damage(&error) => {
                tracing::warn!(model = self.name, %error, "a read model's file is damaged and is made anew");
                self.delete();
                self.open_as_it_is()
            }
            opened => opened,
        }
    }

    fn open_as_it_is(&self) -> rusqlite::Result<Connection> {
        let mut connection = match &self.path {
            None => Connection::open_in_memory()?,
            Some(path) => {
                // Where this fails, so does opening, which says why.
                path.parent().map(std::fs::create_dir_all);
                Connection::open(path)?
            }
        };
        configure(&connection)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // The mover does it: commits would wait.
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        let tx = connection.transaction()?;
        let made: Option<i64> = tx
            .query_row("SELECT 1 FROM sqlite_schema WHERE name = 'projection_checkpoint'", [], |row| {
                row.get(0)
            })
            .optional()?;
        if made.is_none() {
            tx.execute_batch(OWN_SCHEMA)?;
            tx.execute_batch(&self.schema)?;
        }
        tx.commit()?;
        Ok(connection)
    }

    /// Connections that only read, so that readers wait neither for the writer nor for each other; in memory there is only the one
    /// that writes.
    pub(crate) fn open_readers(&self) -> rusqlite::Result<Vec<Connection>> {
        let Some(path) = &self.path else { return Ok(Vec::new()) };
        let count = available_parallelism().map_or(1, usize::from).min(READERS_MAX);
        let open = |_| {
            let connection = Connection::open(path)?;
            configure(&connection)?;
            connection.pragma_update(None, "query_only", true)?;
            Ok(connection)
        };
        (0..count).map(open).collect()
    }

    /// A connection that moves the WAL into the file; in memory there is none.
    pub(crate) fn open_mover(&self) -> rusqlite::Result<Option<Connection>> {
        let Some(path) = &self.path else { return Ok(None) };
        let connection = Connection::open(path)?;
        configure(&connection)?;
        // While it waited for another process that reads, nobody of ours could read or write.
        connection.busy_timeout(Duration::ZERO)?;
        Ok(Some(connection))
    }

    /// How long the WAL is; whoever is `behind` moves more of it at once.
    pub(crate) fn wal(&self, behind: bool) -> Wal {
        let bytes = |path: &PathBuf| std::fs::metadata(suffixed(path, "-wal")).map(|metadata| metadata.len());
        let long = if behind { WAL_BYTES_MOVED_AT_ONCE } else { WAL_BYTES_MOVED };
        match self.path.as_ref().and_then(|path| bytes(path).ok()) {
            Some(WAL_BYTES_MAX..) => Wal::TooLong,
            Some(bytes) if bytes >= long => Wal::Long,
            Some(_) | None => Wal::Short,
        }
    }

    /// Removes the file. Nobody may have it open.
    pub(crate) fn delete(&self) {
        if let Some(path) = &self.path {
            for suffix in ["", "-wal", "-shm"] {
                remove(&suffixed(path, suffix));
            }
        }
    }

    /// Removes the files of the same read model under other schemas.
    pub(crate) fn delete_others(&self) {
        let Some((folder, own)) =
            self.path.as_ref().and_then(|path| Some((path.parent()?, path.file_name()?)))
        else {
            return;
        };
        let Ok(files) = std::fs::read_dir(folder) else { return };
        for file in files.flatten() {
            let name = file.file_name();
            let (name, own) = (name.to_string_lossy(), own.to_string_lossy());
            if self.is_file_of_this_model(&name) && !name.starts_with(own.as_ref()) {
                remove(&file.path());
            }
        }
    }

    fn is_file_of_this_model(&self, file: &str) -> bool {
        let Some((fingerprint, rest)) = file
            .strip_prefix(self.name.as_str())
            .and_then(|rest| rest.strip_prefix('-'))
            .and_then(|rest| rest.split_at_checked(FINGERPRINT_LEN))
        else {
            return false;
        };
        fingerprint.bytes().all(|b| b.is_ascii_hexdigit()) && [".db", ".db-wal", ".db-shm"].contains(&rest)
    }
}

/// How long a WAL is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wal {
    Short,
    /// It should be moved into the file.
    Long,
    /// Nothing more should be written before it was.
    TooLong,
}

/// Hexadecimal digits of the schema's digest that are in a file's name.
const FINGERPRINT_LEN: usize = 16;

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_WAIT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    // Else SQLite plans a statement anew for every other value of its LIMIT, which costs more than most of ours do.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // Derived data: a power failure may take the last transactions, never leave half of one.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut text = path.as_os_str().to_owned();
    text.push(suffix);
    PathBuf::from(text)
}

fn remove(path: &Path) {
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(path = %path.display(), %error, "a file could not be removed"),
    }
}

pub(crate) fn checkpoint(connection: &Connection) -> rusqlite::Result<Option<Checkpoint>> {
    connection
        .prepare_cached("SELECT log_id, position, event_id FROM projection_checkpoint")?
        .query_row([], |row| {
            Ok(Checkpoint {
                log_id: Uuid::from_bytes(row.get(0)?),
                position: Position(row.get::<_, i64>(1)?.cast_unsigned()),
                event_id: Uuid::from_bytes(row.get(2)?),
            })
        })
        .optional()
}

/// Moves the checkpoint on from `before`. False: it is not there, because another process moved it.
pub(crate) fn advance(
    tx: &Transaction<'_>,
    before: Option<Checkpoint>,
    after: Checkpoint,
) -> rusqlite::Result<bool> {
    let values = params![after.log_id.as_bytes(), after.position.0.cast_signed(), after.event_id.as_bytes()];
    let changed = match before {
        None => tx
            .prepare_cached(
                "INSERT INTO projection_checkpoint (only, log_id, position, event_id) VALUES (1, ?1, ?2, ?3)
                 ON CONFLICT DO NOTHING",
            )?
            .execute(values)?,
        Some(before) => tx
            .prepare_cached(
                "UPDATE projection_checkpoint SET log_id = ?1, position = ?2, event_id = ?3 WHERE position = ?4",
            )?
            .execute(params![
                after.log_id.as_bytes(),
                after.position.0.cast_signed(),
                after.event_id.as_bytes(),
                before.position.0.cast_signed()
            ])?,
    };
    Ok(changed == 1)
}

/// Notes an event that the read model does not reflect as it should.
pub(crate) fn set_aside(
    tx: &Transaction<'_>,
    recorded: &event_log::Recorded,
    why: &str,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT OR REPLACE INTO projection_set_aside (position, stream, event_id, why) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![
        recorded.position.0.cast_signed(),
        recorded.stream.as_str(),
        recorded.envelope.event_id.as_bytes(),
        why
    ])?;
    Ok(())
}

pub(crate) fn count_set_aside(connection: &Connection) -> rusqlite::Result<u64> {
    connection
        .prepare_cached("SELECT count(*) FROM projection_set_aside")?
        .query_row([], |row| row.get::<_, i64>(0))
        .map(i64::cast_unsigned)
}

/// Whether the file is at fault, so that a new one helps.
pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Whether the machine is at fault (disk full, file locked, memory), so that waiting may help; else what the model did is.
pub(crate) fn is_storage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::OutOfMemory
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::PermissionDenied
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
        )
    )
}

//! The file: its tables and settings, and what makes opening it refuse.

use crate::row::{self, fault, integer};
use event_log::{LogError, Position};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use std::path::Path;
use std::time::Duration;
use uuid::Uuid;

/// The first SQLite without the bug that can corrupt a database when a WAL is reset (sqlite.org/wal.html#walresetbug).
const LIBRARY_MIN: i32 = 3_051_003;

/// `dpas`: tells a log from any other SQLite file (`PRAGMA application_id`).
const APPLICATION_ID: i32 = 0x6470_6173;

/// The tables below. A change that older programs cannot read is another number.
const FORMAT: i64 = 2;
/// The oldest that is written to as it is. Where format 2 compares ids within a stream, format 1 compares them over the whole log: so it
/// refuses more, and is the same otherwise.
const FORMAT_MIN: i64 = 1;

const SCHEMA: &str = "
    CREATE TABLE meta (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        format INTEGER NOT NULL,
        log_id BLOB NOT NULL CHECK (length(log_id) = 16),
        -- How often the writer had to make sure that a failed commit left nothing behind.
        settled INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE events (
        position INTEGER PRIMARY KEY,
        stream TEXT NOT NULL,
        revision INTEGER NOT NULL,
        event_id BLOB NOT NULL,
        writer TEXT NOT NULL,
        body BLOB NOT NULL,
        UNIQUE (stream, revision),
        -- Not over the whole log: ids can be computed, and whoever may write anywhere could use up those of other streams.
        UNIQUE (stream, event_id)
    ) STRICT;
";

/// Another process may be recovering the file, or copying it, for a moment.
const BUSY_WAIT: Duration = Duration::from_secs(5);

/// What the writer's connection keeps of the file in memory, in KiB; mostly upper pages of the two unique indices.
const WRITER_CACHE_KIB: i64 = 16 * 1024;

/// Pages in the WAL that make a commit move them to the file: 4 MiB, for which that commit, and all that wait for it, take some 5 ms longer.
/// Ids are spread evenly, so every append changes a page of each index; the more commits a move covers, the more of their pages are
/// the same: sixteen times as many append a third more a second with 64 callers, and one in a hundred of them waits twice as long.
const CHECKPOINT_PAGES: i64 = 1024;

/// So many events at the end are looked at when a file is opened.
const TAIL_CHECKED: u64 = 1000;

/// What opening found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) log_id: Uuid,
    pub(crate) head: Position,
}

/// Opens the file for writing; makes it if there is none. The caller holds the writer lock.
pub(crate) fn open_writer(
    path: &Path,
    new_id: Uuid,
    bytes_max: Option<u64>,
) -> Result<(Connection, Found), LogError> {
    refuse_library(rusqlite::version_number())?;
    let is_new = !path.exists();
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let mut connection = open(path, flags)?;
    if application_id(&connection)? == 0 {
        create(&mut connection, new_id)?;
    }
    let found = examine(&connection)?;
    make_durable(&connection)?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB).map_err(fault)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES).map_err(fault)?;
    if let Some(bytes) = bytes_max {
        limit_size(&connection, bytes)?;
    }
    if is_new {
        sync_directory(path)?;
    }
    Ok((connection, found))
}

/// Opens the file for reading only. It has to be there.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, LogError> {
    open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

/// Whether this is a log, undamaged as far as can be seen at once; and which one.
pub(crate) fn examine(connection: &Connection) -> Result<Found, LogError> {
    if application_id(connection)? != APPLICATION_ID {
        return Err(LogError::Unsafe("the file is a database, but not a log".into()));
    }
    let (format, log_id) = connection
        .query_row("SELECT format, log_id FROM meta WHERE one = 1", [], |row| {
            Ok((row.get::<_, i64>(0)?, row::uuid(row, 1)))
        })
        .optional()
        .map_err(fault)?
        .ok_or_else(|| LogError::Corrupt("the log has lost its identity".into()))?;
    if !(FORMAT_MIN..=FORMAT).contains(&format) {
        return Err(LogError::Unsafe(format!(
            "the log has format {format}, this program knows formats {FORMAT_MIN} to {FORMAT}; use the program that wrote it, or newer"
        )));
    }
    Ok(Found { log_id: log_id?, head: examine_tail(connection)? })
}

/// The position of the last event.
pub(crate) fn head(connection: &Connection) -> Result<Position, LogError> {
    connection
        .prepare_cached("SELECT coalesce(max(position), 0) FROM events")
        .and_then(|mut query| query.query_row([], |row| Ok(row::ordinal(row, 0))))
        .map_err(fault)?
        .map(Position)
}

fn open(path: &Path, flags: OpenFlags) -> Result<Connection, LogError> {
    // No URI file names: a path is a path.
    let connection =
        Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(fault)?;
    connection.busy_timeout(BUSY_WAIT).map_err(fault)?;
    // Without it, a build with STAT4 plans a cached statement anew for every value that it is given.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(fault)?;
    connection.pragma_update(None, "trusted_schema", false).map_err(fault)?;
    connection.pragma_update(None, "cell_size_check", true).map_err(fault)?;
    Ok(connection)
}

fn refuse_library(number: i32) -> Result<(), LogError> {
    if number < LIBRARY_MIN {
        return Err(LogError::Unsafe(format!(
            "SQLite library {number} can corrupt a log; {LIBRARY_MIN} or newer is needed"
        )));
    }
    Ok(())
}

fn application_id(connection: &Connection) -> Result<i32, LogError> {
    connection.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(fault)
}

/// Turns an empty database into an empty log, all or nothing.
fn create(connection: &mut Connection, new_id: Uuid) -> Result<(), LogError> {
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(fault)?;
    if tables > 0 {
        return Err(LogError::Unsafe("the file is a database, but not a log".into()));
    }
    make_durable(connection)?;
    let transaction = connection.transaction().map_err(fault)?;
    transaction.execute_batch(SCHEMA).map_err(fault)?;
    transaction
        .execute(
            "INSERT INTO meta (one, format, log_id, settled) VALUES (1, ?1, ?2, 0)",
            (FORMAT, new_id.as_bytes().as_slice()),
        )
        .map_err(fault)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(fault)?;
    transaction.commit().map_err(fault)
}

/// WAL and a sync at every commit; refuses if SQLite did not take it.
fn make_durable(connection: &Connection) -> Result<(), LogError> {
    let journal: String =
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0)).map_err(fault)?;
    if journal != "wal" {
        return Err(LogError::Unsafe(format!(
            "journal_mode is {journal}, it must be wal; is the file on a local disk?"
        )));
    }
    connection.pragma_update(None, "synchronous", "full").map_err(fault)?;
    let synchronous: i64 =
        connection.pragma_query_value(None, "synchronous", |row| row.get(0)).map_err(fault)?;
    if synchronous != 2 {
        return Err(LogError::Unsafe(format!("synchronous is {synchronous}, it must be 2 (full)")));
    }
    Ok(())
}

/// The last events have every position and can be decoded, and the log begins at its beginning.
fn examine_tail(connection: &Connection) -> Result<Position, LogError> {
    let head = head(connection)?;
    if head == Position::START {
        return Ok(head);
    }
    let before = head.0.saturating_sub(TAIL_CHECKED);
    let mut query = connection.prepare(row::AFTER_POSITION).map_err(fault)?;
    let mut rows = query.query([integer(before), integer(head.0)]).map_err(fault)?;
    let mut last = before;
    while let Some(row) = rows.next().map_err(fault)? {
        let event = row::recorded(row)?;
        if event.position.0 != last + 1 {
            return Err(LogError::Corrupt(format!(
                "event {} is missing; the one after {last} is at {}",
                last + 1,
                event.position.0
            )));
        }
        last = event.position.0;
    }
    let first = connection
        .query_row("SELECT min(position) FROM events", [], |row| Ok(row::ordinal(row, 0)))
        .map_err(fault)??;
    if first != 1 {
        return Err(LogError::Corrupt(format!(
            "the log begins at event {first}, the ones before are missing"
        )));
    }
    Ok(head)
}

fn limit_size(connection: &Connection, bytes: u64) -> Result<(), LogError> {
    let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0)).map_err(fault)?;
    let pages = integer(bytes).checked_div(page).unwrap_or(0).max(1);
    connection
        .pragma_update_and_check(None, "max_page_count", pages, |row| row.get::<_, i64>(0))
        .map(drop)
        .map_err(fault)
}

/// Makes the name of a new file as durable as its content.
fn sync_directory(path: &Path) -> Result<(), LogError> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    std::fs::File::open(parent.unwrap_or(Path::new(".")))
        .and_then(|directory| directory.sync_all())
        .map_err(|error| LogError::Unavailable(format!("the log's directory: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_with_the_wal_reset_bug_is_refused() {
        assert!(matches!(refuse_library(3_051_002), Err(LogError::Unsafe(_))));
        assert_eq!(refuse_library(3_051_003), Ok(()));
        assert_eq!(refuse_library(rusqlite::version_number()), Ok(()));
    }

    #[test]
    fn a_database_that_cannot_have_a_wal_is_refused() {
        let in_memory = Connection::open_in_memory().unwrap();
        let refused = make_durable(&in_memory);
        assert!(matches!(refused, Err(LogError::Unsafe(reason)) if reason.contains("journal_mode")));
    }
}

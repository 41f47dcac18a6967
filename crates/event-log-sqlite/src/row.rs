//! Events as rows.
//!
//! INVARIANT: numbers of the port are unsigned, SQLite's are signed; what does not fit is beyond every event, never wrapped.

use bytes::Bytes;
use event_log::{Envelope, LogError, Position, Recorded, Revision, StreamName, Writer};
use rusqlite::{ErrorCode, Row};
use uuid::Uuid;

/// Events of the whole log after one position, up to and with another; as [`recorded`] reads them.
pub(crate) const AFTER_POSITION: &str = "
    SELECT position, stream, revision, event_id, writer, body FROM events
    WHERE position > ?1 AND position <= ?2 ORDER BY position";

/// Events of one stream after a revision; as [`recorded`] reads them.
pub(crate) const OF_STREAM: &str = "
    SELECT position, stream, revision, event_id, writer, body FROM events
    WHERE stream = ?1 AND revision > ?2 ORDER BY revision";

/// A row of either query.
pub(crate) fn recorded(row: &Row<'_>) -> Result<Recorded, LogError> {
    Ok(Recorded {
        position: Position(ordinal(row, 0)?),
        stream: name(row, 1)?,
        revision: Revision(ordinal(row, 2)?),
        envelope: Envelope {
            event_id: uuid(row, 3)?,
            writer: writer(row, 4)?,
            body: Bytes::copy_from_slice(blob(row, 5)?),
        },
    })
}

pub(crate) fn name(row: &Row<'_>, column: usize) -> Result<StreamName, LogError> {
    text(row, column)?.parse().map_err(damaged)
}

pub(crate) fn uuid(row: &Row<'_>, column: usize) -> Result<Uuid, LogError> {
    Uuid::from_slice(blob(row, column)?).map_err(damaged)
}

pub(crate) fn blob<'row>(row: &'row Row<'_>, column: usize) -> Result<&'row [u8], LogError> {
    row.get_ref(column).map_err(fault)?.as_blob().map_err(damaged)
}

/// A position or revision out of a column that may not be negative.
pub(crate) fn ordinal(row: &Row<'_>, column: usize) -> Result<u64, LogError> {
    u64::try_from(row.get::<_, i64>(column).map_err(fault)?).map_err(damaged)
}

/// A position or revision as SQLite's integer.
pub(crate) fn integer(ordinal: u64) -> i64 {
    i64::try_from(ordinal).unwrap_or(i64::MAX)
}

fn writer(row: &Row<'_>, column: usize) -> Result<Writer, LogError> {
    Writer::new(text(row, column)?).map_err(damaged)
}

fn text<'row>(row: &'row Row<'_>, column: usize) -> Result<&'row str, LogError> {
    row.get_ref(column).map_err(fault)?.as_str().map_err(damaged)
}

fn damaged(error: impl std::fmt::Display) -> LogError {
    LogError::Corrupt(format!("a stored event: {error}"))
}

/// What an error of SQLite means to a reader.
#[expect(clippy::needless_pass_by_value, reason = "shaped for `map_err`")]
pub(crate) fn fault(error: rusqlite::Error) -> LogError {
    match (&error, error.sqlite_error_code()) {
        (_, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
        | (
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..),
            _,
        ) => LogError::Corrupt(error.to_string()),
        _ => LogError::Unavailable(error.to_string()),
    }
}

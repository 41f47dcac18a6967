//! What a service says of its read model.

use event_log::Recorded;
use journal::{DecodeError, Event};
use rusqlite::Transaction;

/// An event as it is handed to a read model.
#[derive(Clone, Debug)]
pub struct Item {
    /// Where it is in the log, and its bytes.
    pub recorded: Recorded,
    /// What it says. Where that cannot be read, its stream is to be quarantined: the model is told like of any other event.
    pub event: Result<Event, DecodeError>,
}

impl Item {
    /// Decodes what the log gave back.
    pub fn new(recorded: Recorded) -> Self {
        let envelope = &recorded.envelope;
        let event = journal::decode_recorded(
            recorded.stream.as_str(),
            &envelope.event_id,
            envelope.writer.as_str(),
            &envelope.body,
        );
        Self { recorded, event }
    }
}

/// Tables, and what each event does to them.
///
/// Everything that reads answer with is in the tables. A model may keep things in itself to be faster: a cache of what the
/// tables hold, or rows to be written together in [`finish`](Self::finish); [`forget`](Self::forget) must drop all of it.
pub trait ReadModel: Send + 'static {
    /// Names the file: of `a-z`, `0-9`, `-` and `_`.
    fn name(&self) -> &str;

    /// The tables and indices, as SQL that is run on an empty database. Another text is another database.
    fn schema(&self) -> &str;

    /// Indices that only queries need, as SQL that may be run again (`CREATE INDEX IF NOT EXISTS`). They are made once the
    /// model has caught up: filling tables without them is several times faster. Unique indices belong into the schema.
    fn indices(&self) -> &'static str {
        ""
    }

    /// Raised whenever [`apply`](Self::apply) does something else with the same schema: then the tables are made anew.
    fn code_revision(&self) -> u32;

    /// What one event does. Must not fail for what an event says, only for what SQLite does; an event that still fails is
    /// set aside, loudly, and holds up nobody. Use `prepare_cached`.
    fn apply(&mut self, tx: &Transaction<'_>, item: &Item) -> rusqlite::Result<()>;

    /// Writes what was only remembered; the transaction ends after it.
    fn finish(&mut self, _tx: &Transaction<'_>) -> rusqlite::Result<()> {
        Ok(())
    }

    /// Forgets everything that is not in the tables: the transaction did not happen, or the database is another.
    fn forget(&mut self) {}
}

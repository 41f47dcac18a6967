//! What the index is asked.

use super::{BLOCK_BITS, UNREADABLE, account_number, position, sql};
use crate::filter::Filter;
use domain::{AccountId, EventId, Person};
use event_log::{Position, Revision};
use projection::{Projection, ReadError};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, params, params_from_iter};

/// The index of events, to be asked.
#[derive(Clone, Debug)]
pub struct Events {
    projection: Projection,
}

/// Which rows are wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listing {
    pub(crate) filter: Filter,
    /// `[from, to)` in milliseconds.
    pub(crate) from_ms: Option<i64>,
    pub(crate) to_ms: Option<i64>,
    /// Only those before this position.
    pub(crate) before: Option<Position>,
    pub(crate) limit: usize,
}

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum About {
    /// This account.
    Account(AccountId),
    /// No account.
    Nothing,
    /// The index does not have that event.
    NotIndexed,
}

/// A row of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) position: Position,
    pub(crate) revision: Revision,
    pub(crate) id: EventId,
}

impl Events {
    /// The queries over a running projection of [`EventsModel`](super::EventsModel).
    pub fn new(projection: Projection) -> Self {
        Self { projection }
    }

    /// The projection itself, for waiting and for health.
    pub fn projection(&self) -> &Projection {
        &self.projection
    }

    /// Rows, newest first.
    pub(crate) fn newest(&self, listing: &Listing) -> Result<Vec<Row>, ReadError> {
        self.projection.read(|connection| {
            let Some(legs) = legs(connection, &listing.filter)? else { return Ok(Vec::new()) };
            let (after, before) = bounds(connection, listing)?;
            // One walk down one index for each leg, merged here: a walk over several values at once would sort all they hold.
            let mut rows = Vec::new();
            for leg in &legs {
                leg.walk(connection, listing, after, before, &mut rows)?;
            }
            rows.sort_by_key(|row: &Row| std::cmp::Reverse(row.position));
            rows.truncate(listing.limit);
            Ok(rows)
        })
    }

    /// The last position whose event happened before an instant (in milliseconds); the start of the log when none did.
    pub(crate) fn place_before(&self, time_ms: i64) -> Result<Position, ReadError> {
        self.projection.read(|connection| {
            let block: Option<i64> = connection
                .prepare_cached("SELECT id FROM block WHERE time_min < ?1 ORDER BY id DESC LIMIT 1")?
                .query_row([time_ms], |row| row.get(0))
                .optional()?;
            let Some(block) = block else { return Ok(Position::START) };
            let found: Option<i64> = connection
                .prepare_cached(
                    "SELECT max(position) FROM event WHERE position >= ?1 AND position < ?2 AND time < ?3",
                )?
                .query_row(params![block << BLOCK_BITS, (block + 1) << BLOCK_BITS, time_ms], |row| {
                    row.get(0)
                })?;
            Ok(found.map_or(Position::START, position))
        })
    }

    /// What the event at a position is about.
    pub(crate) fn about(&self, at: Position) -> Result<About, ReadError> {
        self.projection.read(|connection| {
            let found = connection
                .prepare_cached("SELECT account FROM event WHERE position = ?1")?
                .query_row([sql(at.0)], |row| row.get::<_, Option<i64>>(0))
                .optional()?;
            Ok(match found {
                None => About::NotIndexed,
                Some(account) => account
                    .and_then(|number| AccountId::new(format!("{number:012}")).ok())
                    .map_or(About::Nothing, About::Account),
            })
        })
    }

    /// When the event at or before a position happened, in milliseconds.
    pub(crate) fn time_at(&self, at: Position) -> Result<Option<i64>, ReadError> {
        self.projection.read(|connection| {
            connection
                .prepare_cached("SELECT time FROM event WHERE position <= ?1 ORDER BY position DESC LIMIT 1")?
                .query_row([sql(at.0)], |row| row.get(0))
                .optional()
        })
    }

    /// Names of the streams of requests that may have been approved and not over just behind a position, with the positions of
    /// their approvals; in that order, those approved after `after`.
    pub(crate) fn held(
        &self,
        at: Position,
        after: Position,
        limit: usize,
    ) -> Result<Vec<(Position, String)>, ReadError> {
        self.projection.read(|connection| {
            // The tree's coordinates are rounded outward; the table is exact.
            let mut statement = connection.prepare_cached(
                "SELECT h.approved, s.name FROM held_span t
                 JOIN held h ON h.stream = t.stream JOIN stream s ON s.id = t.stream
                 WHERE t.first <= ?1 AND t.last >= ?1 AND h.approved <= ?1 AND (h.over IS NULL OR h.over > ?1)
                   AND h.approved > ?2
                 ORDER BY h.approved LIMIT ?3",
            )?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            statement
                .query_map(params![sql(at.0), sql(after.0), limit], |row| {
                    Ok((position(row.get(0)?), row.get(1)?))
                })?
                .collect()
        })
    }
}

/// Positions, both excluded, outside of which no event is in the range of times.
fn bounds(connection: &Connection, listing: &Listing) -> rusqlite::Result<(i64, i64)> {
    let mut before = listing.before.map_or(i64::MAX, |before| sql(before.0));
    let mut after = -1;
    if let Some(to) = listing.to_ms {
        let block: Option<i64> = connection
            .prepare_cached("SELECT id FROM block WHERE time_min < ?1 ORDER BY id DESC LIMIT 1")?
            .query_row([to], |row| row.get(0))
            .optional()?;
        before = before.min(block.map_or(0, |block| (block + 1) << BLOCK_BITS));
    }
    if let Some(from) = listing.from_ms {
        let block: Option<i64> = connection
            .prepare_cached("SELECT id FROM block WHERE time_max >= ?1 ORDER BY id LIMIT 1")?
            .query_row([from], |row| row.get(0))
            .optional()?;
        after = block.map_or(i64::MAX, |block| (block << BLOCK_BITS) - 1);
    }
    Ok((after, before))
}

/// Equalities that one walk over the table or one of its indices keeps to.
#[derive(Clone, Debug, Default)]
struct Leg {
    columns: Vec<(&'static str, i64)>,
}

impl Leg {
    fn with(&self, column: &'static str, value: i64) -> Self {
        let mut columns = self.columns.clone();
        columns.push((column, value));
        Self { columns }
    }

    fn statement(&self, listing: &Listing, after: i64, before: i64) -> (String, Vec<Value>) {
        let mut text =
            "SELECT position, revision, id FROM event WHERE position > ? AND position < ?".to_owned();
        let mut values = vec![Value::Integer(after), Value::Integer(before)];
        for (column, value) in &self.columns {
            text.push_str(" AND ");
            text.push_str(column);
            text.push_str(" = ?");
            values.push(Value::Integer(*value));
        }
        for (bound, condition) in [(listing.from_ms, " AND time >= ?"), (listing.to_ms, " AND time < ?")] {
            if let Some(bound) = bound {
                text.push_str(condition);
                values.push(Value::Integer(bound));
            }
        }
        text.push_str(" ORDER BY position DESC LIMIT ?");
        values.push(Value::Integer(i64::try_from(listing.limit).unwrap_or(i64::MAX)));
        (text, values)
    }

    fn walk(
        &self,
        connection: &Connection,
        listing: &Listing,
        after: i64,
        before: i64,
        rows: &mut Vec<Row>,
    ) -> rusqlite::Result<()> {
        let (text, values) = self.statement(listing, after, before);
        let mut statement = connection.prepare_cached(&text)?;
        let found = statement.query_map(params_from_iter(values), |row| {
            let id: [u8; 16] = row.get(2)?;
            Ok(Row {
                position: position(row.get(0)?),
                revision: Revision(row.get::<_, i64>(1)?.unsigned_abs()),
                id: EventId::from_uuid(uuid::Uuid::from_bytes(id)),
            })
        })?;
        for row in found {
            rows.push(row?);
        }
        Ok(())
    }
}

/// The walks whose rows together are what a filter selects, each row in one of them; `None` when nothing can match. Events whose
/// envelope cannot be read are selected whatever types and actor are asked for: nobody knows that they do not match.
fn legs(connection: &Connection, filter: &Filter) -> rusqlite::Result<Option<Vec<Leg>>> {
    let mut base = Leg::default();
    if let Some(stream) = &filter.stream {
        match number(connection, "SELECT id FROM stream WHERE name = ?1", stream.as_str())? {
            Some(id) => base = base.with("stream", id),
            None => return Ok(None),
        }
    }
    if let Some(account) = &filter.account {
        base = base.with("account", account_number(account));
    }
    let mut legs = Vec::new();
    let acting = match &filter.actor {
        None => Some(base.clone()),
        Some(person) => actor(connection, person)?.map(|id| base.with("actor", id)),
    };
    let mut types = filter.types.iter().map(String::as_str).collect::<Vec<_>>();
    if let Some(acting) = acting {
        if types.is_empty() {
            legs.push(acting);
        } else {
            for name in types.drain(..) {
                if let Some(id) = type_id(connection, name)? {
                    legs.push(acting.with("type", id));
                }
            }
        }
    }
    if (!filter.types.is_empty() || filter.actor.is_some())
        && let Some(id) = type_id(connection, UNREADABLE)?
    {
        legs.push(base.with("type", id));
    }
    Ok(Some(legs))
}

fn type_id(connection: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
    number(connection, "SELECT id FROM type WHERE name = ?1", name)
}

fn actor(connection: &Connection, person: &Person) -> rusqlite::Result<Option<i64>> {
    number(connection, "SELECT id FROM actor WHERE person = ?1", person.id().as_str())
}

fn number(connection: &Connection, text: &str, name: &str) -> rusqlite::Result<Option<i64>> {
    connection.prepare_cached(text)?.query_row([name], |row| row.get(0)).optional()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_is_a_walk_down_one_index() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(super::super::SCHEMA).unwrap();
        connection.execute_batch(super::super::INDICES).unwrap();
        let listing = Listing { from_ms: Some(1), to_ms: Some(2), limit: 10, ..Listing::default() };
        for columns in [
            vec![],
            vec![("stream", 1)],
            vec![("type", 1)],
            vec![("actor", 1)],
            vec![("account", 1)],
            vec![("account", 1), ("type", 1)],
            vec![("stream", 1), ("account", 1), ("actor", 1), ("type", 1)],
        ] {
            let (text, values) = Leg { columns: columns.clone() }.statement(&listing, 0, 100);
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {text}")).unwrap();
            let steps = statement.query_map(params_from_iter(values), |row| row.get::<_, String>(3));
            let steps = steps.unwrap().collect::<Result<Vec<_>, _>>().unwrap().join("; ");
            let index = if columns.is_empty() { "INTEGER PRIMARY KEY" } else { "INDEX event_" };
            assert!(steps.starts_with("SEARCH event USING") && steps.contains(index), "{columns:?}: {steps}");
            assert!(!steps.contains("TEMP B-TREE"), "{columns:?}: {steps}");
        }
    }
}

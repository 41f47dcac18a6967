//! The read model of requests: every story as it was stored, and columns to find it by. It is filled in `model`.
//!
//! A row of `request` is what queries select on (`selection`); what is shown and decided is folded from the stored events of
//! `request_event`, so there is no second form of a request's state that could differ from the log.

mod model;
mod selection;
mod signals;

pub use model::RequestsModel;
pub use selection::Selection;
pub use signals::{Received, raised_by};

use domain::{EventId, Person, PersonId, RequestId, Timestamp};
use event_log::{Position, Revision};
use journal::{DecodeError, Event, Fact};
use lifecycle::Request;
use lifecycle::assignment::AssignmentKey;
use lifecycle::state::Status;
use projection::{Projection, ReadError};
use rusqlite::{Connection, OptionalExtension as _, Row, params, params_from_iter, types::Value};
use selection::Condition;
use std::collections::BTreeSet;

/// One request with its whole story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Story {
    /// What the events add up to.
    pub request: Request,
    /// The events, oldest first.
    pub events: Vec<Event>,
    /// Ordinal of the latest event.
    pub revision: Revision,
    /// Where in the log the latest event is.
    pub position: Position,
}

/// Where the trace's id ends in a W3C traceparent: version, hyphen, 32 digits.
const TRACE_ID_ENDS: usize = 35;

impl Story {
    /// Folds events of one request, oldest first; `None` when the first is not its raising.
    pub fn fold(events: Vec<Event>, position: Position) -> Option<Self> {
        let facts = events.iter().filter_map(|event| match &event.fact {
            Fact::Request(fact) => Some((fact, event.at)),
            Fact::Assignment(_)
            | Fact::Denial(_)
            | Fact::Policy(_)
            | Fact::Duty(_)
            | Fact::Signal(_)
            | Fact::Person(_)
            | Fact::Log(_) => None,
        });
        let request = Request::fold(facts)?;
        let revision = Revision(u64::try_from(events.len()).ok()?.checked_sub(1)?);
        Some(Self { request, events, revision, position })
    }

    /// The trace context of the latest event in the trace that the request began: what services do about it by themselves is part of
    /// that. What people do meanwhile has traces of its own.
    pub fn trace(&self) -> Option<&str> {
        let mut contexts = self.events.iter().filter_map(|event| event.trace.as_deref());
        let trace = contexts.clone().next()?.get(..TRACE_ID_ENDS)?;
        contexts.rfind(|context| context.starts_with(trace))
    }

    /// The latest event that ended, rejected or expired the request.
    pub fn ending(&self) -> Option<&Event> {
        self.events.iter().find(|event| matches!(&event.fact, Fact::Request(fact) if fact.ends()))
    }
}

/// Why a request cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum StoryError {
    /// The read model could not be asked.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A stored event of the request cannot be relied on.
    #[error("the history of the request cannot be read: {0}")]
    Undecodable(#[from] DecodeError),
    /// The history does not begin with its raising, or was quarantined.
    #[error("the history of the request is damaged")]
    Damaged,
}

impl From<rusqlite::Error> for StoryError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Read(ReadError(error))
    }
}

/// The read model of requests, to be asked.
#[derive(Clone)]
pub struct Requests {
    projection: Projection,
}

impl Requests {
    /// The queries over a running projection of [`RequestsModel`].
    pub fn new(projection: Projection) -> Self {
        Self { projection }
    }

    /// The projection itself, for waiting and for health.
    pub fn projection(&self) -> &Projection {
        &self.projection
    }

    /// One request; `None` when there is none.
    pub fn get(&self, id: &RequestId) -> Result<Option<Story>, StoryError> {
        self.ask(|connection| {
            let found: Option<(i64, bool)> = connection
                .prepare_cached("SELECT position, quarantined FROM request WHERE id = ?1")?
                .query_row(params![id.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            match found {
                None => Ok(None),
                Some((_, true)) => Err(StoryError::Damaged),
                Some((position, false)) => fold_stored(connection, position),
            }
        })
    }

    /// Requests newest first, those raised before `before` (the `cursor` of the last one of the page before), at most `limit`.
    /// Requests whose history cannot be read are left out: asking for one of them says so.
    pub fn newest(
        &self,
        selection: &Selection,
        before: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<(Cursor, Story)>, StoryError> {
        let (text, values) = selection.newest(before, limit);
        self.stories(&text, values, |row| row.get(1).map(Cursor))
    }

    /// Requests that changed after a position, in the order of their latest change, at most `limit`; for watching.
    pub fn changed_since(&self, after: Position, limit: usize) -> Result<Vec<(Cursor, Story)>, StoryError> {
        self.selected_since(&Selection::default(), after, limit)
    }

    /// Of the requests that changed after a position, some.
    pub fn selected_since(
        &self,
        selection: &Selection,
        after: Position,
        limit: usize,
    ) -> Result<Vec<(Cursor, Story)>, StoryError> {
        let Condition { text: condition, mut values } = selection.condition();
        values.push(Value::Integer(sql(after.0)));
        values.push(Value::Integer(i64::try_from(limit).unwrap_or(i64::MAX)));
        let readable = if selection.damaged { "1 = 1" } else { "quarantined = 0" };
        let text = format!(
            "SELECT position, last_position FROM request WHERE {readable} AND {condition} AND last_position > ? ORDER BY last_position LIMIT ?"
        );
        self.stories(&text, values, |row| row.get(1).map(Cursor))
    }

    /// Pending requests, those with the nearest deadline first, after a `(deadline in ms, id)`, at most `limit` (not 0). Says after which
    /// to go on; `None`: that was all.
    pub fn pending(&self, after: Option<Due>, limit: usize) -> Result<Part, StoryError> {
        let text = "SELECT position, decide_until, id FROM request
            WHERE status = 1 AND quarantined = 0 AND (decide_until, id) > (?1, ?2) ORDER BY decide_until, id LIMIT ?3";
        self.part(text, after, limit)
    }

    /// Pending requests whose deadline is at or before `at`, and the next deadline after those.
    pub fn overdue(
        &self,
        at: Timestamp,
        limit: usize,
    ) -> Result<(Vec<RequestId>, Option<Timestamp>), StoryError> {
        self.ask(|connection| {
            let due = ids(
                connection,
                "SELECT id FROM request WHERE status = 1 AND quarantined = 0 AND decide_until <= ?1 ORDER BY decide_until, id LIMIT ?2",
                params![at.as_millisecond(), i64::try_from(limit).unwrap_or(i64::MAX)],
            )?;
            let next: Option<i64> = connection
                .prepare_cached("SELECT min(decide_until) FROM request WHERE status = 1 AND quarantined = 0 AND decide_until > ?1")?
                .query_row([at.as_millisecond()], |row| row.get(0))?;
            Ok((due, next.and_then(|ms| Timestamp::from_millisecond(ms).ok())))
        })
    }

    /// Pending requests that their rule asks nobody about.
    pub fn pending_by_rule(&self, limit: usize) -> Result<Vec<RequestId>, StoryError> {
        self.ask(|connection| {
            ids(
                connection,
                "SELECT id FROM request WHERE status = 1 AND quarantined = 0 AND by_rule = 1 ORDER BY decide_until, id LIMIT ?1",
                params![i64::try_from(limit).unwrap_or(i64::MAX)],
            )
        })
    }

    /// How many requests of this person are pending, counted up to `limit`.
    pub fn pending_of(&self, person: &Person, limit: usize) -> Result<usize, StoryError> {
        self.ask(|connection| {
            let counted: i64 = connection
                .prepare_cached(
                    "SELECT count(*) FROM (SELECT 1 FROM request WHERE status = 1 AND requester = ?1 LIMIT ?2)",
                )?
                .query_row(params![person.id().as_str(), i64::try_from(limit).unwrap_or(i64::MAX)], |row| row.get(0))?;
            Ok(usize::try_from(counted).unwrap_or(usize::MAX))
        })
    }

    /// Every request that is approved or closing: what AWS must agree with. Also those whose history cannot be read to its end,
    /// as far as it can: nothing may be granted on them, but what was given must go at the last known end. What is over comes first,
    /// then what starts or ends soonest; after a `(due in ms, id)`, at most `limit` (not 0). Says after which to go on; `None`: that
    /// was all.
    pub fn unfinished(&self, after: Option<Due>, limit: usize) -> Result<Part, StoryError> {
        let text = "SELECT position, due_at, id FROM request
            WHERE due_at IS NOT NULL AND (due_at, id) > (?1, ?2) ORDER BY due_at, id LIMIT ?3";
        self.part(text, after, limit)
    }

    fn part(&self, text: &str, after: Option<Due>, limit: usize) -> Result<Part, StoryError> {
        let (at, id) = after.map_or((i64::MIN, Vec::new()), |(at, id)| (at, id.as_bytes().to_vec()));
        self.ask(|connection| {
            let mut statement = connection.prepare_cached(text)?;
            let found: Vec<(i64, i64, [u8; 16])> = statement
                .query_map(params![at, id, i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                })?
                .collect::<Result<_, _>>()?;
            // By rows, not by stories: a history that cannot be read is not the end.
            let next = match found.last() {
                Some((_, at, id)) if found.len() >= limit => {
                    Some((*at, RequestId::from_slice(id).map_err(|_| StoryError::Damaged)?))
                }
                Some(_) | None => None,
            };
            let mut stories = Vec::with_capacity(found.len());
            for (position, at, _) in found {
                stories.extend(fold_readable(connection, position)?.map(|story| (at, story)));
            }
            let due = |(at, story): (i64, Story)| ((at, story.request.raised.id), story);
            Ok((stories.into_iter().map(due).collect(), next))
        })
    }

    /// Those of them about one assignment.
    pub fn unfinished_about(&self, key: &AssignmentKey) -> Result<Vec<Story>, StoryError> {
        let text = "SELECT position FROM request
            WHERE due_at IS NOT NULL AND principal = ? AND account = ? AND entitlement = ?";
        let values = vec![
            Value::Text(key.principal.as_str().to_owned()),
            Value::Text(key.target.account().as_str().to_owned()),
            Value::Text(key.target.entitlement().arn().to_owned()),
        ];
        Ok(self.stories(text, values, |_| Ok(()))?.into_iter().map(|((), story)| story).collect())
    }

    /// Streams with an event that cannot be read.
    pub fn quarantined(&self) -> Result<Vec<String>, StoryError> {
        self.ask(|connection| {
            let mut statement = connection.prepare_cached("SELECT stream FROM quarantine ORDER BY stream")?;
            let streams = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
            Ok(streams)
        })
    }

    /// The other identities of the human behind `person`, found by following every link.
    pub fn linked(&self, person: &Person) -> Result<BTreeSet<Person>, StoryError> {
        self.ask(|connection| Ok(linked_of(connection, person)?))
    }

    /// Whether this person has decided, or helped to decide, a request.
    pub fn decided(&self, person: &PersonId, request: &RequestId) -> Result<bool, StoryError> {
        self.ask(|connection| {
            let Some(request) = position_of(connection, request)? else { return Ok(false) };
            Ok(connection
                .prepare_cached("SELECT 1 FROM decider WHERE person = ?1 AND request = ?2")?
                .exists(params![person.as_str(), request])?)
        })
    }

    /// The event of this id in a request's story, to see whether a command was done before.
    pub fn event(&self, request: &RequestId, event: EventId) -> Result<Option<Event>, StoryError> {
        Ok(self.get(request)?.and_then(|story| story.events.into_iter().find(|found| found.id == event)))
    }

    fn stories<K>(
        &self,
        text: &str,
        values: Vec<Value>,
        key: impl Fn(&Row<'_>) -> rusqlite::Result<K>,
    ) -> Result<Vec<(K, Story)>, StoryError> {
        self.ask(|connection| {
            let mut statement = connection.prepare_cached(text)?;
            let found: Vec<(i64, K)> = statement
                .query_map(params_from_iter(values), |row| Ok((row.get(0)?, key(row)?)))?
                .collect::<Result<_, _>>()?;
            let mut stories = Vec::with_capacity(found.len());
            for (position, key) in found {
                stories.extend(fold_readable(connection, position)?.map(|story| (key, story)));
            }
            Ok(stories)
        })
    }

    fn ask<T>(&self, question: impl FnOnce(&Connection) -> Result<T, StoryError>) -> Result<T, StoryError> {
        self.projection.read(|connection| match question(connection) {
            Err(StoryError::Read(ReadError(error))) => Err(error),
            answer => Ok(answer),
        })?
    }
}

/// A deadline or due time in milliseconds, and the request that has it.
pub type Due = (i64, RequestId);

/// Some requests in order, each with its place, and after which place to go on; `None`: that was all.
pub type Part = (Vec<(Due, Story)>, Option<Due>);

/// The place of a request in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(pub i64);

fn ids(
    connection: &Connection,
    text: &str,
    values: &[&dyn rusqlite::ToSql],
) -> Result<Vec<RequestId>, StoryError> {
    let mut statement = connection.prepare_cached(text)?;
    let rows = statement.query_map(values, |row| row.get::<_, [u8; 16]>(0))?;
    rows.map(|id| RequestId::from_slice(&id?).map_err(|_| StoryError::Damaged)).collect()
}

/// The other identities of the human behind `person`, found by following every link.
fn linked_of(connection: &Connection, person: &Person) -> rusqlite::Result<BTreeSet<Person>> {
    let mut statement = connection.prepare_cached("SELECT issuer, subject FROM linked WHERE person = ?1")?;
    let mut found = BTreeSet::from([person.clone()]);
    let mut unasked = vec![person.clone()];
    while let Some(next) = unasked.pop() {
        let rows = statement.query_map([next.id().as_str()], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
        })?;
        for row in rows {
            let (issuer, subject) = row?;
            // Only what is well formed was ever linked.
            let Ok(other) = Person::new(&issuer, &subject) else { continue };
            if found.insert(other.clone()) {
                unasked.push(other);
            }
        }
    }
    found.remove(person);
    Ok(found)
}

/// The position that a request is known by in the tables.
fn position_of(connection: &Connection, id: &RequestId) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT position FROM request WHERE id = ?1")?
        .query_row(params![id.as_bytes()], |row| row.get(0))
        .optional()
}

/// The story of the request that was raised at `position`.
fn fold_stored(connection: &Connection, position: i64) -> Result<Option<Story>, StoryError> {
    let mut statement = connection
        .prepare_cached("SELECT body, position FROM request_event WHERE request = ?1 ORDER BY revision")?;
    let mut rows = statement.query([position])?;
    let mut events = Vec::new();
    let mut last = Position::START;
    while let Some(row) = rows.next()? {
        events.push(journal::decode(row.get_ref(0)?.as_blob().map_err(|_| StoryError::Damaged)?)?);
        last = Position(row.get::<_, i64>(1)?.unsigned_abs());
    }
    if events.is_empty() {
        return Ok(None);
    }
    Story::fold(events, last).map(Some).ok_or(StoryError::Damaged)
}

/// The same; `None` also for a history that cannot be read: asking for that one says so.
fn fold_readable(connection: &Connection, position: i64) -> Result<Option<Story>, StoryError> {
    match fold_stored(connection, position) {
        Err(StoryError::Undecodable(_) | StoryError::Damaged) => Ok(None),
        folded => folded,
    }
}

const fn status_number(status: Status) -> i64 {
    match status {
        Status::Requested => 1,
        Status::Rejected => 2,
        Status::Expired => 3,
        Status::Approved => 4,
        Status::Ended => 5,
    }
}

/// SQLite's integers are signed; positions and revisions stay far below their limit.
fn sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

//! The index of events: one row per event of the log, with what it can be found by. What an event says stays in the log.
//!
//! An event is about an account when its stream is: a request's by its target, an assignment's by its key, a signal's by its
//! target. Events inherit the account of their stream as it is when they are written. An event whose time cannot be read counts
//! as having happened with the event before it in the log, so that no range of times loses it.
//!
//! Times grow along the log only nearly: two writers' clocks differ. So the least and the latest time of each block of
//! positions is kept: a place in time is found by looking through blocks (24,000 for 100 million events), then through one.

mod query;

pub use query::Events;
pub(crate) use query::{About, Listing, Row};

use crate::stored;
use domain::{AccountId, Person, Timestamp};
use event_log::Position;
use journal::{Event, Fact};
use lifecycle::RequestEvent;
use lifecycle::assignment::AssignmentEvent;
use lifecycle::denial::DenialEvent;
use lifecycle::signal::SignalEvent;
use projection::{Item, ReadModel};
use rusqlite::{OptionalExtension as _, Transaction, params};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// How many numbers of streams are remembered while events are applied: what is worked on, not history.
const STREAMS_MAX: usize = 20_000;
/// How many numbers of actors, and of types, are remembered.
const NAMES_MAX: usize = 10_000;
/// Positions in one block, as a power of two.
const BLOCK_BITS: u32 = 12;

const SCHEMA: &str = "
CREATE TABLE stream (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, account INTEGER) STRICT;
CREATE TABLE type (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE actor (id INTEGER PRIMARY KEY, person TEXT NOT NULL UNIQUE, issuer TEXT NOT NULL, subject TEXT NOT NULL) STRICT;
CREATE TABLE event (
    position INTEGER PRIMARY KEY,
    stream INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    id BLOB NOT NULL,
    type INTEGER NOT NULL,
    time INTEGER NOT NULL,
    writer TEXT NOT NULL,
    actor INTEGER,
    account INTEGER
) STRICT;
CREATE TABLE block (id INTEGER PRIMARY KEY, time_min INTEGER NOT NULL, time_max INTEGER NOT NULL) STRICT;
CREATE TABLE held (stream INTEGER PRIMARY KEY, approved INTEGER NOT NULL, over INTEGER) STRICT;
CREATE VIRTUAL TABLE held_span USING rtree (stream, first, last);
";

const INDICES: &str = "
CREATE INDEX IF NOT EXISTS event_stream ON event (stream);
CREATE INDEX IF NOT EXISTS event_type ON event (type);
CREATE INDEX IF NOT EXISTS event_actor ON event (actor) WHERE actor IS NOT NULL;
CREATE INDEX IF NOT EXISTS event_account ON event (account) WHERE account IS NOT NULL;
";

/// A position after every other, for spans that are not over.
const NEVER: i64 = i64::MAX;

/// The type of events whose envelope cannot be read.
const UNREADABLE: &str = "";

/// Fills the index.
#[derive(Debug, Default)]
pub struct EventsModel {
    streams: BTreeMap<String, Numbered>,
    types: BTreeMap<String, i64>,
    actors: BTreeMap<Person, i64>,
    /// Least and latest time of the blocks that the open transaction touched.
    blocks: BTreeMap<i64, (i64, i64)>,
    last_time: Option<i64>,
}

/// What an event says of itself, as far as it can be read.
struct Told<'a> {
    type_name: Cow<'a, str>,
    time: Option<i64>,
    actor: Option<Cow<'a, Person>>,
}

impl<'a> Told<'a> {
    fn by(item: &'a Item) -> Self {
        if let Ok(event) = &item.event {
            return Self {
                type_name: journal::types::type_name(&event.fact).into(),
                time: Some(event.at.as_millisecond()),
                actor: event.actor.as_ref().map(|actor| Cow::Borrowed(&actor.person)),
            };
        }
        let Some(envelope) = stored::envelope(&item.recorded) else {
            return Self { type_name: UNREADABLE.into(), time: None, actor: None };
        };
        let person = envelope.actor.as_ref().and_then(|actor| actor.person.as_ref());
        Self {
            time: stored::happened_at(&envelope).map(Timestamp::as_millisecond),
            actor: person
                .and_then(|person| Person::new(&person.issuer, &person.subject).ok())
                .map(Cow::Owned),
            type_name: envelope.r#type.into(),
        }
    }
}

/// A stream's number, and the account that it is about.
#[derive(Clone, Copy, Debug)]
struct Numbered {
    id: i64,
    account: Option<i64>,
}

impl ReadModel for EventsModel {
    fn name(&self) -> &'static str {
        "events"
    }

    fn schema(&self) -> &'static str {
        SCHEMA
    }

    fn indices(&self) -> &'static str {
        INDICES
    }

    fn code_revision(&self) -> u32 {
        1
    }

    fn apply(&mut self, tx: &Transaction<'_>, item: &Item) -> rusqlite::Result<()> {
        let recorded = &item.recorded;
        let position = sql(recorded.position.0);
        let told = Told::by(item);
        let time = match told.time {
            Some(time) => time,
            None => self.time_before(tx)?,
        };
        let stream = self.stream(tx, recorded.stream.as_str(), item.event.as_ref().ok().and_then(account))?;
        let type_id = self.type_id(tx, &told.type_name)?;
        let actor = told.actor.map(|person| self.actor_id(tx, &person)).transpose()?;
        tx.prepare_cached(
            "INSERT OR REPLACE INTO event (position, stream, revision, id, type, time, writer, actor, account)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            position,
            stream.id,
            sql(recorded.revision.0),
            recorded.envelope.event_id.as_bytes(),
            type_id,
            time,
            recorded.envelope.writer.as_str(),
            actor,
            stream.account,
        ])?;
        match &item.event {
            Ok(Event { fact: Fact::Request(fact), .. }) => hold(tx, stream.id, position, fact)?,
            // It may have been the approval: whoever asks what was held from here on must hear of it.
            Err(_) if recorded.stream.kind() == "request" => hold_from(tx, stream.id, position)?,
            Ok(_) | Err(_) => {}
        }
        self.last_time = Some(time);
        let block = self.blocks.entry(position >> BLOCK_BITS).or_insert((time, time));
        *block = (block.0.min(time), block.1.max(time));
        Ok(())
    }

    fn finish(&mut self, tx: &Transaction<'_>) -> rusqlite::Result<()> {
        let mut write = tx.prepare_cached(
            "INSERT INTO block (id, time_min, time_max) VALUES (?1, ?2, ?3)
             ON CONFLICT (id) DO UPDATE SET time_min = min(time_min, ?2), time_max = max(time_max, ?3)",
        )?;
        for (block, (least, latest)) in std::mem::take(&mut self.blocks) {
            write.execute(params![block, least, latest])?;
        }
        Ok(())
    }

    fn forget(&mut self) {
        *self = Self::default();
    }
}

impl EventsModel {
    fn stream(&mut self, tx: &Transaction<'_>, name: &str, about: Option<i64>) -> rusqlite::Result<Numbered> {
        let known = match self.streams.get(name) {
            Some(known) => *known,
            None => numbered_stream(tx, name)?,
        };
        let stream = Numbered { id: known.id, account: about.or(known.account) };
        if stream.account != known.account {
            tx.prepare_cached("UPDATE stream SET account = ?2 WHERE id = ?1")?
                .execute(params![stream.id, stream.account])?;
        }
        if self.streams.len() >= STREAMS_MAX {
            self.streams.clear();
        }
        self.streams.insert(name.to_owned(), stream);
        Ok(stream)
    }

    fn type_id(&mut self, tx: &Transaction<'_>, name: &str) -> rusqlite::Result<i64> {
        if let Some(id) = self.types.get(name) {
            return Ok(*id);
        }
        let id = if let Some(id) = numbered(tx, "SELECT id FROM type WHERE name = ?1", name)? {
            id
        } else {
            tx.prepare_cached("INSERT INTO type (name) VALUES (?1)")?.execute([name])?;
            tx.last_insert_rowid()
        };
        // Names that are not known to this release count as well; a log could hold any number of them.
        if self.types.len() >= NAMES_MAX {
            self.types.clear();
        }
        self.types.insert(name.to_owned(), id);
        Ok(id)
    }

    fn actor_id(&mut self, tx: &Transaction<'_>, person: &Person) -> rusqlite::Result<i64> {
        if let Some(id) = self.actors.get(person) {
            return Ok(*id);
        }
        let name = person.id();
        let id = if let Some(id) = numbered(tx, "SELECT id FROM actor WHERE person = ?1", name.as_str())? {
            id
        } else {
            tx.prepare_cached("INSERT INTO actor (person, issuer, subject) VALUES (?1, ?2, ?3)")?
                .execute(params![name.as_str(), person.issuer.as_str(), person.subject.as_str()])?;
            tx.last_insert_rowid()
        };
        if self.actors.len() >= NAMES_MAX {
            self.actors.clear();
        }
        self.actors.insert(person.clone(), id);
        Ok(id)
    }

    fn time_before(&self, tx: &Transaction<'_>) -> rusqlite::Result<i64> {
        if let Some(time) = self.last_time {
            return Ok(time);
        }
        let time = tx
            .query_row("SELECT time FROM event ORDER BY position DESC LIMIT 1", [], |row| row.get(0))
            .optional()?;
        Ok(time.unwrap_or_default())
    }
}

fn numbered(tx: &Transaction<'_>, text: &str, name: &str) -> rusqlite::Result<Option<i64>> {
    tx.prepare_cached(text)?.query_row([name], |row| row.get(0)).optional()
}

fn numbered_stream(tx: &Transaction<'_>, name: &str) -> rusqlite::Result<Numbered> {
    let known = tx
        .prepare_cached("SELECT id, account FROM stream WHERE name = ?1")?
        .query_row([name], |row| Ok(Numbered { id: row.get(0)?, account: row.get(1)? }))
        .optional()?;
    if let Some(known) = known {
        return Ok(known);
    }
    tx.prepare_cached("INSERT INTO stream (name) VALUES (?1)")?.execute([name])?;
    Ok(Numbered { id: tx.last_insert_rowid(), account: None })
}

/// The account that an event says its stream is about.
fn account(event: &Event) -> Option<i64> {
    let target = match &event.fact {
        Fact::Request(RequestEvent::Requested(requested)) => &requested.target,
        Fact::Assignment(
            AssignmentEvent::Attempted { key, .. }
            | AssignmentEvent::StandingFound { key }
            | AssignmentEvent::Adopted { key },
        ) => &key.target,
        Fact::Denial(DenialEvent::Attempted { account, .. }) => return Some(account_number(account)),
        Fact::Signal(SignalEvent::Received(signal)) => signal.target.as_ref()?,
        Fact::Signal(SignalEvent::Refused(_)) => return None,
        Fact::Request(_)
        | Fact::Assignment(_)
        | Fact::Denial(_)
        | Fact::Policy(_)
        | Fact::Duty(_)
        | Fact::Person(_)
        | Fact::Log(_) => {
            return None;
        }
    };
    Some(account_number(target.account()))
}

/// From where to where in the log a request may have been approved and not over. Wider than the truth where events cannot
/// follow: the fold of the story has the last word.
fn hold(tx: &Transaction<'_>, stream: i64, position: i64, fact: &RequestEvent) -> rusqlite::Result<()> {
    match fact {
        RequestEvent::Approved(_) => hold_from(tx, stream, position)?,
        RequestEvent::Withdrawn | RequestEvent::Revoked(_) | RequestEvent::Ended(_) => {
            let over = tx
                .prepare_cached("UPDATE held SET over = ?2 WHERE stream = ?1 AND over IS NULL")?
                .execute(params![stream, position])?;
            if over > 0 {
                tx.prepare_cached("UPDATE held_span SET last = ?2 WHERE stream = ?1")?
                    .execute(params![stream, position])?;
            }
        }
        RequestEvent::Requested(_)
        | RequestEvent::Endorsed(_)
        | RequestEvent::Rejected(_)
        | RequestEvent::Expired(_)
        | RequestEvent::Activated(_)
        | RequestEvent::CredentialsIssued(_)
        | RequestEvent::ConsoleOpened(_)
        | RequestEvent::Closed(_)
        | RequestEvent::ReviewedAfter(_) => {}
    }
    Ok(())
}

fn hold_from(tx: &Transaction<'_>, stream: i64, position: i64) -> rusqlite::Result<()> {
    let new = tx
        .prepare_cached("INSERT OR IGNORE INTO held (stream, approved) VALUES (?1, ?2)")?
        .execute(params![stream, position])?;
    if new > 0 {
        tx.prepare_cached("INSERT INTO held_span (stream, first, last) VALUES (?1, ?2, ?3)")?
            .execute(params![stream, position, NEVER])?;
    }
    Ok(())
}

/// Twelve digits, as a number: a sixth of the space.
fn account_number(account: &AccountId) -> i64 {
    account.as_str().parse().unwrap_or(-1)
}

/// SQLite's integers are signed; positions and revisions stay far below their limit.
fn sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn position(number: i64) -> Position {
    Position(number.unsigned_abs())
}

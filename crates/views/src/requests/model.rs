//! Fills the read model of requests from the log.

mod signals;

use super::{fold_stored, position_of, sql, status_number};
use domain::{BatchId, Person, RequestId};
use event_log::Revision;
use journal::{Event, Fact};
use lifecycle::state::Phase;
use lifecycle::{Request, RequestEvent};
use projection::{Item, ReadModel};
use rusqlite::{Transaction, params};
use std::collections::{BTreeMap, BTreeSet};

/// How many folded requests are kept while events are applied: what is worked on, not history.
const FOLDED_MAX: usize = 20_000;

/// A request is known by the position of its raising: rows and stories then grow at their ends, and only the way from an id to
/// its request is written at random places.
pub(super) const SCHEMA: &str = "
CREATE TABLE request (
    position INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    last_position INTEGER NOT NULL,
    requester TEXT NOT NULL,
    raiser TEXT NOT NULL,
    account TEXT NOT NULL,
    entitlement TEXT NOT NULL,
    principal TEXT,
    ticket TEXT,
    batch BLOB,
    policy_event BLOB NOT NULL,
    status INTEGER NOT NULL,
    decide_until INTEGER NOT NULL,
    by_rule INTEGER NOT NULL,
    due_at INTEGER,
    quarantined INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE request_event (
    position INTEGER PRIMARY KEY,
    request INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX request_story ON request_event (request, revision);
CREATE TABLE decider (person TEXT NOT NULL, request INTEGER NOT NULL, PRIMARY KEY (person, request)) STRICT, WITHOUT ROWID;
CREATE TABLE linked (person TEXT NOT NULL, issuer TEXT NOT NULL, subject TEXT NOT NULL,
    PRIMARY KEY (person, issuer, subject)) STRICT, WITHOUT ROWID;
CREATE TABLE signal (position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, ends INTEGER NOT NULL, raises BLOB,
    body BLOB NOT NULL) STRICT;
CREATE TABLE departed (person TEXT NOT NULL, because_of TEXT NOT NULL, position INTEGER NOT NULL, signal INTEGER NOT NULL,
    PRIMARY KEY (person, because_of)) STRICT, WITHOUT ROWID;
CREATE INDEX departed_position ON departed (position);
CREATE TABLE departed_user (principal TEXT NOT NULL, because_of TEXT NOT NULL, position INTEGER NOT NULL,
    PRIMARY KEY (principal, because_of)) STRICT, WITHOUT ROWID;
CREATE INDEX departed_user_position ON departed_user (position);
CREATE TABLE quarantine (stream TEXT PRIMARY KEY, position INTEGER NOT NULL, why TEXT NOT NULL) STRICT, WITHOUT ROWID;
";

/// Those by `position` have no other column, so that no query for something else in a status takes them for the better way.
pub(super) const INDICES: &str = "
CREATE INDEX IF NOT EXISTS request_requester ON request (requester);
CREATE INDEX IF NOT EXISTS request_raiser ON request (raiser);
CREATE INDEX IF NOT EXISTS request_account ON request (account);
CREATE INDEX IF NOT EXISTS request_batch ON request (batch) WHERE batch IS NOT NULL;
CREATE INDEX IF NOT EXISTS request_requested ON request (position) WHERE status = 1;
CREATE INDEX IF NOT EXISTS request_rejected ON request (position) WHERE status = 2;
CREATE INDEX IF NOT EXISTS request_expired ON request (position) WHERE status = 3;
CREATE INDEX IF NOT EXISTS request_approved ON request (position) WHERE status = 4;
CREATE INDEX IF NOT EXISTS request_live ON request (position) WHERE status IN (1, 4);
CREATE INDEX IF NOT EXISTS request_pending ON request (decide_until, id) WHERE status = 1;
CREATE INDEX IF NOT EXISTS request_by_rule ON request (decide_until, id) WHERE status = 1 AND by_rule = 1 AND quarantined = 0;
CREATE INDEX IF NOT EXISTS request_pending_of ON request (requester) WHERE status = 1;
CREATE INDEX IF NOT EXISTS request_unfinished ON request (due_at, id) WHERE due_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS request_unfinished_about ON request (principal, account, entitlement) WHERE due_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS request_changed ON request (last_position);
CREATE INDEX IF NOT EXISTS request_live_user ON request (principal) WHERE status IN (1, 4);
CREATE INDEX IF NOT EXISTS request_live_ticket ON request (ticket) WHERE status IN (1, 4);
CREATE INDEX IF NOT EXISTS signal_raises ON signal (raises) WHERE raises IS NOT NULL;
";

/// Fills the read model. Stored events are written as they come, in the order of the log; rows once per transaction.
#[derive(Default)]
pub struct RequestsModel {
    folded: BTreeMap<RequestId, Folded>,
    /// Requests whose row is behind what is folded.
    unwritten: BTreeSet<RequestId>,
}

/// A request as far as its events were applied.
struct Folded {
    request: Request,
    /// Where its raising is.
    position: i64,
    /// Where its latest event is.
    last_position: i64,
}

impl ReadModel for RequestsModel {
    fn name(&self) -> &'static str {
        "requests"
    }

    fn schema(&self) -> &'static str {
        SCHEMA
    }

    fn indices(&self) -> &'static str {
        INDICES
    }

    fn code_revision(&self) -> u32 {
        2
    }

    fn forget(&mut self) {
        self.folded.clear();
        self.unwritten.clear();
    }

    fn finish(&mut self, tx: &Transaction<'_>) -> rusqlite::Result<()> {
        self.write_rows(tx)?;
        if self.folded.len() >= FOLDED_MAX {
            self.folded.clear();
        }
        Ok(())
    }

    fn apply(&mut self, tx: &Transaction<'_>, item: &Item) -> rusqlite::Result<()> {
        match &item.event {
            Ok(event) => match &event.fact {
                Fact::Request(fact) => self.apply_request(tx, item, event, fact),
                Fact::Person(linked) => {
                    link(tx, &linked.person, &linked.same_as)?;
                    signals::linked(tx, item, &linked.person)
                }
                Fact::Signal(fact) => signals::apply(tx, item, event, fact),
                Fact::Assignment(_) | Fact::Denial(_) | Fact::Policy(_) | Fact::Duty(_) | Fact::Log(_) => {
                    Ok(())
                }
            },
            Err(why) => self.quarantine(tx, item, &why.to_string()),
        }
    }
}

impl RequestsModel {
    fn apply_request(
        &mut self,
        tx: &Transaction<'_>,
        item: &Item,
        event: &Event,
        fact: &RequestEvent,
    ) -> rusqlite::Result<()> {
        let Some(id) = request_of(item) else {
            return self.quarantine(tx, item, "a request's event in another stream");
        };
        let last_position = sql(item.recorded.position.0);
        let (before, position) = match self.folded.remove(&id) {
            Some(folded) => (Some(folded.request), folded.position),
            None if item.recorded.revision == Revision(0) => (None, last_position),
            None => {
                known(tx, &id)?.map_or((None, last_position), |(request, position)| (Some(request), position))
            }
        };
        let Some(request) = Request::evolve(before, fact, event.at) else {
            return self.quarantine(tx, item, "the story does not begin with its raising");
        };
        tx.prepare_cached(
            "INSERT OR IGNORE INTO request_event (request, revision, position, body) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![
            position,
            sql(item.recorded.revision.0),
            last_position,
            item.recorded.envelope.body.as_ref()
        ])?;
        if let (
            RequestEvent::Endorsed(_) | RequestEvent::Approved(_) | RequestEvent::Rejected(_),
            Some(actor),
        ) = (fact, &event.actor)
        {
            tx.prepare_cached("INSERT OR IGNORE INTO decider (person, request) VALUES (?1, ?2)")?
                .execute(params![actor.person.id().as_str(), position])?;
        }
        // People raise far more than signals do.
        if matches!(fact, RequestEvent::Requested(raised) if !raised.raiser.is_human()) {
            signals::raised(tx, &id)?;
        }
        self.folded.insert(id, Folded { request, position, last_position });
        self.unwritten.insert(id);
        Ok(())
    }

    fn write_rows(&mut self, tx: &Transaction<'_>) -> rusqlite::Result<()> {
        for id in std::mem::take(&mut self.unwritten) {
            if let Some(folded) = self.folded.get(&id) {
                write_row(tx, &id, folded)?;
            }
        }
        Ok(())
    }

    /// A stream with an event that cannot be relied on: no grant rests on it any more, and an SRE must look.
    fn quarantine(&mut self, tx: &Transaction<'_>, item: &Item, why: &str) -> rusqlite::Result<()> {
        tracing::error!(
            stream = %item.recorded.stream, position = item.recorded.position.0, why, "an event cannot be read"
        );
        self.write_rows(tx)?;
        tx.execute(
            "INSERT OR IGNORE INTO quarantine (stream, position, why) VALUES (?1, ?2, ?3)",
            params![item.recorded.stream.as_str(), sql(item.recorded.position.0), why],
        )?;
        if let Some(id) = request_of(item) {
            tx.execute(
                "UPDATE request SET quarantined = 1, last_position = ?2 WHERE id = ?1",
                params![id.as_bytes(), sql(item.recorded.position.0)],
            )?;
        }
        Ok(())
    }
}

/// A request as the tables have it, and where its raising is. Without a story that can be read, there is nothing to go on.
fn known(tx: &Transaction<'_>, id: &RequestId) -> rusqlite::Result<Option<(Request, i64)>> {
    let Some(position) = position_of(tx, id)? else { return Ok(None) };
    Ok(fold_stored(tx, position).ok().flatten().map(|story| (story.request, position)))
}

fn request_of(item: &Item) -> Option<RequestId> {
    match item.recorded.stream.as_str().parse().ok()? {
        journal::Stream::Request(id) => Some(id),
        journal::Stream::Assignment(_)
        | journal::Stream::Denial(_)
        | journal::Stream::Policy
        | journal::Stream::Duty(_)
        | journal::Stream::Signal(_)
        | journal::Stream::Person(_)
        | journal::Stream::Log => None,
    }
}

fn write_row(tx: &Transaction<'_>, id: &RequestId, folded: &Folded) -> rusqlite::Result<()> {
    let Folded { request, position, last_position } = folded;
    let raised = &request.raised;
    tx.prepare_cached(
        "INSERT INTO request (position, id, last_position, requester, raiser, account, entitlement, principal, ticket, batch,
             policy_event, status, decide_until, by_rule, due_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
         ON CONFLICT (position) DO UPDATE SET last_position = ?3, status = ?12, due_at = ?15",
    )?
    .execute(params![
        position,
        id.as_bytes(),
        last_position,
        raised.requester.id().as_str(),
        raised.raiser.person.id().as_str(),
        raised.target.account().as_str(),
        raised.target.entitlement().arn(),
        raised.grounds.principal.as_ref().map(domain::PrincipalId::as_str),
        raised.ticket.as_ref().map(domain::Ticket::as_str),
        raised.batch.as_ref().map(BatchId::as_bytes),
        raised.grounds.policy_event.as_uuid().as_bytes(),
        status_number(request.status()),
        request.decide_until().as_millisecond(),
        raised.grounds.plan.is_none(),
        due_at(request),
    ])?;
    Ok(())
}

/// From when on an approved or closing request may need something, in milliseconds: the start or the end of its window, or, since
/// it is over, any time.
fn due_at(request: &Request) -> Option<i64> {
    match &request.phase {
        Phase::Approved { grant, active } => {
            let window = grant.approved.window;
            let at = if active.is_some() { window.end() } else { window.start() };
            Some(at.as_millisecond())
        }
        Phase::Ended { .. } => request.is_closing().then_some(0),
        Phase::Pending | Phase::Expired { .. } | Phase::Rejected { .. } => None,
    }
}

fn link(tx: &Transaction<'_>, person: &Person, other: &Person) -> rusqlite::Result<()> {
    let mut insert =
        tx.prepare_cached("INSERT OR IGNORE INTO linked (person, issuer, subject) VALUES (?1, ?2, ?3)")?;
    for (of, is) in [(person, other), (other, person)] {
        insert.execute(params![of.id().as_str(), is.issuer.as_str(), is.subject.as_str()])?;
    }
    Ok(())
}

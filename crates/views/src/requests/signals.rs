//! What follows from signals, as the log has it: who has left, which requests end, what is still to be raised.

use super::{Requests, StoryError, sql};
use domain::{Person, PrincipalId, RequestId};
use event_log::Position;
use journal::{Event, Fact};
use lifecycle::signal::{SignalEvent, SignalKind, SignalReceived};
use lifecycle::state::Identities;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, params_from_iter};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// A recorded signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its event.
    pub event: Event,
    /// What it says.
    pub signal: SignalReceived,
    /// Where in the log it is.
    pub position: Position,
}

/// The request that a signal of this id has raised. Sealed text of the signal is sealed to it already.
pub fn raised_by(signal: &str) -> RequestId {
    RequestId::from_parts([b"raised by signal".as_slice(), signal.as_bytes()])
}

impl Requests {
    /// Whether a signal says that someone has left, under any of their identities, and none that they returned.
    pub fn has_left(&self, identities: &Identities) -> Result<bool, StoryError> {
        self.ask(|connection| {
            let mut person = connection.prepare_cached("SELECT 1 FROM departed WHERE person = ?1")?;
            for identity in &identities.people {
                if person.exists([identity.id().as_str()])? {
                    return Ok(true);
                }
            }
            let Some(principal) = &identities.principal else { return Ok(false) };
            Ok(connection
                .prepare_cached("SELECT 1 FROM departed_user WHERE principal = ?1")?
                .exists([principal.as_str()])?)
        })
    }

    /// The user in Identity Center that the latest request of this human names.
    pub fn principal_of(&self, people: &BTreeSet<Person>) -> Result<Option<PrincipalId>, StoryError> {
        self.ask(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT principal FROM request WHERE requester = ?1 AND principal IS NOT NULL ORDER BY position DESC LIMIT 1",
            )?;
            for person in people {
                let found: Option<String> =
                    statement.query_row([person.id().as_str()], |row| row.get(0)).optional()?;
                if let Some(found) = found {
                    return PrincipalId::new(found).map(Some).map_err(|_| StoryError::Damaged);
                }
            }
            Ok(None)
        })
    }

    /// Live requests of people who have left, where the request or the departure is after `since`; each with the signal that says
    /// so.
    pub fn of_departed(&self, since: Position) -> Result<Vec<(RequestId, Received)>, StoryError> {
        Ok(self.departed_since(since, false)?.into_iter().collect())
    }

    /// The same, of those whose history cannot be read to its end: no event ends them.
    pub fn damaged_of_departed(&self, since: Position) -> Result<Vec<RequestId>, StoryError> {
        Ok(self.departed_since(since, true)?.into_keys().collect())
    }

    fn departed_since(
        &self,
        since: Position,
        damaged: bool,
    ) -> Result<BTreeMap<RequestId, Received>, StoryError> {
        self.ask(|connection| {
            let mut found = BTreeMap::new();
            for (table, same, signal) in [
                ("departed d", "d.person = r.requester", "d.signal"),
                ("departed_user d", "d.principal = r.principal", "d.position"),
            ] {
                // From what is new to what it meets: a cross join is made in the order that is written.
                for (new, other, after) in [("request r", table, "r"), (table, "request r", "d")] {
                    let text = format!(
                        "SELECT {signal}, s.body, r.id FROM {new} CROSS JOIN {other} CROSS JOIN signal s
                         WHERE {after}.position > ?1 AND {same} AND s.position = {signal}
                         AND r.status IN (1, 4) AND r.quarantined = ?2"
                    );
                    let mut statement = connection.prepare_cached(&text)?;
                    let mut rows = statement.query((sql(since.0), damaged))?;
                    while let Some(row) = rows.next()? {
                        let id = RequestId::from_slice(&row.get::<_, [u8; 16]>(2)?);
                        let id = id.map_err(|_| StoryError::Damaged)?;
                        if let Some(signal) = received(row)? {
                            found.entry(id).or_insert(signal);
                        }
                    }
                }
            }
            Ok(found)
        })
    }

    /// Signals after `since` that may end requests that were raised before them and are live, in the order of the log, at most
    /// `limit`. Those by which someone left end what is raised later as well: see [`of_departed`](Self::of_departed).
    pub fn ending(&self, since: Position, limit: usize) -> Result<Vec<Received>, StoryError> {
        self.ask(|connection| {
            let mut after = sql(since.0);
            if since == Position::START {
                // What was recorded before the oldest live request ends nothing any more.
                let text = "SELECT ifnull(min(position), ?1) FROM request WHERE status IN (1, 4)";
                after = connection.prepare_cached(text)?.query_row([after], |row| row.get(0))?;
            }
            let text =
                "SELECT position, body FROM signal WHERE ends = 1 AND position > ?1 ORDER BY position LIMIT ?2";
            all_received(connection, text, &[Value::Integer(after), limit_of(limit)])
        })
    }

    /// Live requests that were raised before a signal and may be about what it names. Wider than the truth; the decider has the
    /// last word. `about` is whom it is about, under every identity.
    pub fn live_before(
        &self,
        signal: &Received,
        about: Option<&Identities>,
    ) -> Result<Vec<RequestId>, StoryError> {
        self.ask(|connection| {
            let mut text =
                "SELECT id FROM request WHERE status IN (1, 4) AND quarantined = 0 AND position < ?"
                    .to_owned();
            let mut values = vec![Value::Integer(sql(signal.position.0))];
            if let Some(about) = about {
                let places = vec!["?"; about.people.len()].join(", ");
                let _ = write!(text, " AND (requester IN ({places}) OR principal = ?)");
                values.extend(about.people.iter().map(|person| Value::Text(person.id().to_string())));
                values
                    .push(about.principal.as_ref().map_or(Value::Null, |user| Value::Text(user.to_string())));
            }
            let named = &signal.signal;
            let (target, ticket) = match named.kind {
                SignalKind::IncidentClosed => (named.target.as_ref(), named.ticket.as_ref()),
                SignalKind::FindingRaised => (named.target.as_ref(), None),
                SignalKind::PersonLeft
                | SignalKind::TicketApproved
                | SignalKind::IncidentOpened
                | SignalKind::RaiseForPerson
                | SignalKind::PersonReturned => (None, None),
            };
            if let Some(target) = target {
                text.push_str(" AND account = ? AND entitlement = ?");
                values.push(Value::Text(target.account().to_string()));
                values.push(Value::Text(target.entitlement().arn().to_owned()));
            }
            if let Some(ticket) = ticket {
                text.push_str(" AND ticket = ?");
                values.push(Value::Text(ticket.to_string()));
            }
            let mut statement = connection.prepare_cached(&text)?;
            let rows = statement.query_map(params_from_iter(values), |row| row.get::<_, [u8; 16]>(0))?;
            rows.map(|id| RequestId::from_slice(&id?).map_err(|_| StoryError::Damaged)).collect()
        })
    }

    /// Signals by which something is to be raised, and neither was nor was refused, the oldest first.
    pub fn to_be_raised(&self, limit: usize) -> Result<Vec<Received>, StoryError> {
        self.ask(|connection| {
            let text =
                "SELECT position, body FROM signal WHERE raises IS NOT NULL ORDER BY position LIMIT ?1";
            all_received(connection, text, &[limit_of(limit)])
        })
    }
}

fn limit_of(limit: usize) -> Value {
    Value::Integer(i64::try_from(limit).unwrap_or(i64::MAX))
}

fn all_received(connection: &Connection, text: &str, values: &[Value]) -> Result<Vec<Received>, StoryError> {
    let mut statement = connection.prepare_cached(text)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.extend(received(row)?);
    }
    Ok(found)
}

/// The signal of a row that begins with its position and its body.
fn received(row: &Row<'_>) -> Result<Option<Received>, StoryError> {
    let event = journal::decode(row.get_ref(1)?.as_blob().map_err(|_| StoryError::Damaged)?)?;
    let position = Position(row.get::<_, i64>(0)?.unsigned_abs());
    Ok(match &event.fact {
        Fact::Signal(SignalEvent::Received(signal)) => {
            let signal = signal.as_ref().clone();
            Some(Received { event, signal, position })
        }
        Fact::Signal(SignalEvent::Refused(_))
        | Fact::Request(_)
        | Fact::Assignment(_)
        | Fact::Denial(_)
        | Fact::Policy(_)
        | Fact::Duty(_)
        | Fact::Person(_)
        | Fact::Log(_) => None,
    })
}

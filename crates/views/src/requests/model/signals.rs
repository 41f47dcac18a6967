//! What is kept of signals: who has left, what may end requests, and what is to be raised and was not yet.
//!
//! A departure is kept for every identity that is known to be the same human, also where that becomes known later: whoever asks
//! whether someone has left asks one row.

use super::sql;
use domain::{Person, PrincipalId, RequestId};
use journal::{Event, Stream};
use lifecycle::signal::{SignalEvent, SignalKind, SignalReceived};
use projection::Item;
use rusqlite::{OptionalExtension as _, Transaction, params};
use std::collections::BTreeSet;

pub(super) fn apply(
    tx: &Transaction<'_>,
    item: &Item,
    event: &Event,
    fact: &SignalEvent,
) -> rusqlite::Result<()> {
    let Stream::Signal(id) = &event.stream else { return Ok(()) };
    match fact {
        SignalEvent::Received(received) => receive(tx, item, id, received),
        SignalEvent::Refused(_) => {
            tx.prepare_cached("UPDATE signal SET raises = NULL WHERE id = ?1")?.execute([id])?;
            Ok(())
        }
    }
}

fn receive(tx: &Transaction<'_>, item: &Item, id: &str, received: &SignalReceived) -> rusqlite::Result<()> {
    let position = sql(item.recorded.position.0);
    let (ends, raises) = match received.kind {
        SignalKind::PersonLeft => {
            if let Some(about) = &received.about {
                left(tx, about, received.about_principal.as_ref(), position)?;
            }
            (true, None)
        }
        SignalKind::IncidentClosed | SignalKind::FindingRaised => (received.may_revoke, None),
        SignalKind::RaiseForPerson => (false, Some(super::super::raised_by(id))),
        SignalKind::PersonReturned => {
            return received.about.as_ref().map_or(Ok(()), |about| returned(tx, about));
        }
        SignalKind::TicketApproved | SignalKind::IncidentOpened => return Ok(()),
    };
    if ends || raises.is_some() { keep(tx, item, id, (ends, raises)) } else { Ok(()) }
}

/// Keeps a signal: whether it ends requests that were raised before it, and what it is to raise.
fn keep(
    tx: &Transaction<'_>,
    item: &Item,
    id: &str,
    (ends, raises): (bool, Option<RequestId>),
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT OR IGNORE INTO signal (position, id, ends, raises, body) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![
        sql(item.recorded.position.0),
        id,
        ends,
        raises.as_ref().map(RequestId::as_bytes),
        item.recorded.envelope.body.as_ref()
    ])?;
    Ok(())
}

/// What was to be raised has been.
pub(super) fn raised(tx: &Transaction<'_>, request: &RequestId) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE signal SET raises = NULL WHERE raises = ?1")?.execute([request.as_bytes()])?;
    Ok(())
}

/// Everyone whom `about` is known to be has left, and their user in Identity Center with them.
fn left(
    tx: &Transaction<'_>,
    about: &Person,
    principal: Option<&PrincipalId>,
    position: i64,
) -> rusqlite::Result<()> {
    let because_of = about.id();
    for person in everyone(tx, about)? {
        depart(tx, &person, because_of.as_str(), (position, position))?;
    }
    if let Some(principal) = principal {
        tx.prepare_cached(
            "INSERT OR IGNORE INTO departed_user (principal, because_of, position) VALUES (?1, ?2, ?3)",
        )?
        .execute(params![principal.as_str(), because_of.as_str(), position])?;
    }
    Ok(())
}

/// Notes a departure that is known since `position`, by the signal at `signal`.
fn depart(
    tx: &Transaction<'_>,
    person: &Person,
    because_of: &str,
    (position, signal): (i64, i64),
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT OR IGNORE INTO departed (person, because_of, position, signal) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![person.id().as_str(), because_of, position, signal])?;
    Ok(())
}

fn returned(tx: &Transaction<'_>, about: &Person) -> rusqlite::Result<()> {
    // Whichever of their identities was named when they left.
    for person in everyone(tx, about)? {
        for table in ["departed", "departed_user"] {
            tx.prepare_cached(&format!("DELETE FROM {table} WHERE because_of = ?1"))?
                .execute([person.id().as_str()])?;
        }
    }
    Ok(())
}

/// Two identities turned out to be one human: if one of them has left, so has the other.
pub(super) fn linked(tx: &Transaction<'_>, item: &Item, one: &Person) -> rusqlite::Result<()> {
    let position = sql(item.recorded.position.0);
    let everyone = everyone(tx, one)?;
    for person in &everyone {
        let departure: Option<(String, i64)> = tx
            .prepare_cached("SELECT because_of, signal FROM departed WHERE person = ?1")?
            .query_row([person.id().as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((because_of, signal)) = departure else { continue };
        for other in &everyone {
            depart(tx, other, &because_of, (position, signal))?;
        }
    }
    Ok(())
}

fn everyone(tx: &Transaction<'_>, person: &Person) -> rusqlite::Result<BTreeSet<Person>> {
    let mut everyone = super::super::linked_of(tx, person)?;
    everyone.insert(person.clone());
    Ok(everyone)
}

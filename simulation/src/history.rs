//! The invariants that a log alone can show, held against the history of a real deployment, as auditors export it.
//!
//! What AWS was asked is not in it: that an assignment was made or removed is as the ledgers say.

use crate::invariant::Violation;
use crate::truth::Truth;
use domain::EventId;
use event_log::{Envelope, Position, Recorded, Revision, StreamName, Writer};
use journal::{Event, Fact, Stream};
use lifecycle::assignment::{AssignmentEvent, Operation};
use std::collections::{BTreeMap, BTreeSet};

/// An attempt that is not concluded.
struct Open {
    id: EventId,
    operation: Operation,
    /// Whether a live request needed the assignment, by the log up to the attempt.
    wanted: bool,
}

/// Reads `bodies`, the stored bytes of every event in the order of the log, and holds them against S1, S3, S4, S5, S6 and S7. Gives
/// back the events.
pub fn check<'a>(bodies: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Event>, Violation> {
    let mut truth = Truth::default();
    let mut revisions: BTreeMap<Stream, u64> = BTreeMap::new();
    let mut ids = BTreeSet::new();
    let mut open: BTreeMap<Stream, Open> = BTreeMap::new();
    let mut events = Vec::new();
    for (place, body) in (1..).zip(bodies) {
        let event = journal::decode(body)
            .map_err(|error| Violation::new("S5", format!("event {place} cannot be read: {error}")))?;
        if !ids.insert(event.id) {
            return Err(Violation::new("S5", format!("{} is there twice", event.id)));
        }
        let revision = revisions.entry(event.stream.clone()).or_default();
        let recorded = recorded(&event, body, Position(place), Revision(*revision))?;
        *revision += 1;
        truth.take(recorded, event.at)?;
        if let Fact::Assignment(fact) = &event.fact {
            attempts(&truth, &mut open, &event, fact)?;
        }
        events.push(event);
    }
    Ok(events)
}

fn recorded(
    event: &Event,
    body: &[u8],
    position: Position,
    revision: Revision,
) -> Result<Recorded, Violation> {
    let wrong = |what: &dyn std::fmt::Display| Violation::new("S5", format!("{}: {what}", event.id));
    let envelope = Envelope {
        event_id: *event.id.as_uuid(),
        writer: Writer::new(event.writer.as_str()).map_err(|error| wrong(&error))?,
        body: body.to_vec().into(),
    };
    let stream = event.stream.to_string().parse::<StreamName>().map_err(|error| wrong(&error))?;
    Ok(Recorded { stream, revision, position, envelope })
}

/// S7: an attempt is concluded before the next. S1, S3: what was confirmed was wanted when it was attempted.
fn attempts(
    truth: &Truth,
    open: &mut BTreeMap<Stream, Open>,
    event: &Event,
    fact: &AssignmentEvent,
) -> Result<(), Violation> {
    let stream = &event.stream;
    match fact {
        AssignmentEvent::Attempted { operation, .. } => {
            let key = truth.key_of(stream);
            let known = key.and_then(|key| truth.attempt(key, *operation, event.at));
            let wanted = known.is_some_and(|known| known.wanted);
            let attempt = Open { id: event.id, operation: *operation, wanted };
            if open.insert(stream.clone(), attempt).is_some() {
                return Err(Violation::new(
                    "S7",
                    format!("{stream}: an attempt follows one that is not concluded"),
                ));
            }
        }
        AssignmentEvent::Confirmed { attempt } => {
            let done = concluded(open, stream, *attempt)?;
            match (done.operation, done.wanted) {
                (Operation::Create, false) => {
                    return Err(Violation::new(
                        "S1",
                        format!("{stream}: made, and no live request needed it"),
                    ));
                }
                (Operation::Delete, true) => {
                    return Err(Violation::new(
                        "S3",
                        format!("{stream}: removed, and a live request needed it"),
                    ));
                }
                (Operation::Create, true) | (Operation::Delete, false) => {}
            }
        }
        AssignmentEvent::Failed { attempt, .. } | AssignmentEvent::AttemptAbandoned { attempt } => {
            concluded(open, stream, *attempt)?;
        }
        AssignmentEvent::StandingFound { .. }
        | AssignmentEvent::DriftFound { .. }
        | AssignmentEvent::Adopted { .. }
        | AssignmentEvent::AbandonAsked { .. }
        | AssignmentEvent::Abandoned { .. } => {}
    }
    Ok(())
}

fn concluded(
    open: &mut BTreeMap<Stream, Open>,
    stream: &Stream,
    attempt: EventId,
) -> Result<Open, Violation> {
    let found = open.remove(stream).filter(|open| open.id == attempt);
    found.ok_or_else(|| Violation::new("S7", format!("{stream}: an outcome without its attempt")))
}

//! The invariants that a log alone can show, held against the history of a real deployment, as auditors export it.
//!
//! What AWS was asked is not in it: that an assignment was made or removed is as the ledgers say, and when credentials expire is as it
//! was recorded. Neither are read models (S9), nor what a process could prove (S10) but for what the log itself says of that.

use crate::invariant::{Violation, durable, effect, later};
use crate::truth::{Known, Truth};
use domain::{EventId, SignedDuration, Timestamp};
use event_log::{Envelope, Position, Recorded, Revision, StreamName, Writer};
use journal::{Event, Fact, Stream};
use lifecycle::RequestEvent;
use lifecycle::assignment::{AssignmentEvent, Ledger, Operation, Presence};
use lifecycle::event::{Bound, ClosedHow};
use lifecycle::log::Restored;
use lifecycle::state::Issue;
use std::collections::{BTreeMap, BTreeSet};

/// By how much the clock of who dated an event may be behind AWS's in no doubt: what a process must notice (5 s), and a rest.
const BEHIND_MAX: SignedDuration = SignedDuration::from_secs(8);

/// An attempt that is not concluded.
struct Open {
    id: EventId,
    operation: Operation,
    /// Whether a live request needed the assignment, by the log up to the attempt.
    wanted: bool,
}

/// Reads `bodies`, the stored bytes of every event in the order of the log, and holds them against S1, S3, S4, S5, S6 and S7, and
/// against what can be told of S2, S8 and S10. None of `confidential` may be in them: what people wrote, and secrets that were handed
/// out. Gives back the events.
pub fn check<'a>(
    bodies: impl IntoIterator<Item = &'a [u8]>,
    confidential: &[String],
) -> Result<Vec<Event>, Violation> {
    let mut history = History::default();
    (1..).zip(bodies).map(|(place, body)| history.read(place, body, confidential)).collect()
}

/// What has been read.
#[derive(Default)]
struct History {
    truth: Truth,
    revisions: BTreeMap<Stream, u64>,
    ids: BTreeSet<EventId>,
    open: BTreeMap<Stream, Open>,
    ledgers: BTreeMap<Stream, Ledger>,
    restored: Option<Restored>,
}

impl History {
    fn read(&mut self, place: u64, body: &[u8], confidential: &[String]) -> Result<Event, Violation> {
        let event = journal::decode(body)
            .map_err(|error| Violation::new("S5", format!("event {place} cannot be read: {error}")))?;
        if !self.ids.insert(event.id) {
            return Err(Violation::new("S5", format!("{} is there twice", event.id)));
        }
        let revision = self.revisions.entry(event.stream.clone()).or_default();
        let recorded = recorded(&event, body, Position(place), Revision(*revision))?;
        *revision += 1;
        durable::confidential(&recorded, confidential)?;
        self.truth.take(recorded, event.at)?;
        self.provable(&event)?;
        match &event.fact {
            Fact::Request(fact) => self.request(&event, fact)?,
            Fact::Assignment(fact) => self.assignment(&event, fact)?,
            Fact::Log(fact) => self.restored = Restored::evolve(self.restored, fact, event.at),
            Fact::Policy(_) | Fact::Duty(_) | Fact::Signal(_) | Fact::Person(_) | Fact::Denial(_) => {}
        }
        Ok(event)
    }

    fn assignment(&mut self, event: &Event, fact: &AssignmentEvent) -> Result<(), Violation> {
        let before = self.ledgers.remove(&event.stream);
        if let Some(ledger) = Ledger::evolve(before, fact, event.id, event.at) {
            self.ledgers.insert(event.stream.clone(), ledger);
        }
        attempts(&self.truth, &mut self.open, event, fact)
    }

    fn request(&self, event: &Event, fact: &RequestEvent) -> Result<(), Violation> {
        let Stream::Request(id) = event.stream else { return Ok(()) };
        let Some(known) = self.truth.requests.get(&id) else { return Ok(()) };
        match fact {
            RequestEvent::CredentialsIssued(issued) => handed_out(known, issued.expires_at, event.at),
            RequestEvent::ConsoleOpened(opened) => handed_out(known, opened.expires_at, event.at),
            RequestEvent::Closed(closed) => self.closed(known, &closed.how, event.at),
            RequestEvent::Requested(_)
            | RequestEvent::Withdrawn
            | RequestEvent::Endorsed(_)
            | RequestEvent::Approved(_)
            | RequestEvent::Rejected(_)
            | RequestEvent::Expired(_)
            | RequestEvent::Activated(_)
            | RequestEvent::Revoked(_)
            | RequestEvent::Ended(_)
            | RequestEvent::ReviewedAfter(_) => Ok(()),
        }
    }

    /// S2: what is closed has left nothing that was handed out, and no assignment of ours by its ledger, unless another request takes
    /// that upon itself.
    fn closed(&self, known: &Known, how: &ClosedHow, at: Timestamp) -> Result<(), Violation> {
        let alive = known.request.issues.iter().map(|issue| dead_at(known, issue)).find(|dead| at < *dead);
        if let Some(dead) = alive {
            let what = format!("r{} is closed at {at} while its credentials live until {dead}", known.number);
            return Err(Violation::new("S2", what));
        }
        let left = match how {
            ClosedHow::Deleted | ClosedHow::NothingCreated => known.key(),
            ClosedHow::CarriedBy(_)
            | ClosedHow::Standing
            | ClosedHow::CredentialsExpired
            | ClosedHow::Abandoned => None,
        };
        // What people said is ours, or gave up, may be ours without a request.
        let left = left.filter(|key| {
            self.is_ours(key)
                && !effect::others_close(known, key, &self.truth)
                && !self.truth.adopted.contains(key)
                && !self.truth.abandoned.contains(key)
        });
        if left.is_some() {
            let what =
                format!("r{} is closed while its assignment is there, as its ledger says", known.number);
            return Err(Violation::new("S2", what));
        }
        Ok(())
    }

    fn is_ours(&self, key: &aws::AssignmentKey) -> bool {
        let ledger = self.truth.ledger_of(key).and_then(|stream| self.ledgers.get(stream));
        ledger.is_some_and(|ledger| ledger.presence == Presence::Ours)
    }

    /// S10: a log that was restored may have lost the end of what it gave. Nothing is given by it before AWS was looked through.
    fn provable(&self, event: &Event) -> Result<(), Violation> {
        let unswept = self.restored.is_some_and(|restored| !restored.swept);
        if unswept && gives(event, &self.truth) {
            let (name, stream) = (journal::types::type_name(&event.fact), &event.stream);
            let what = format!("{stream}: {name}, and nobody has looked through AWS since the restore");
            return Err(Violation::new("S10", what));
        }
        Ok(())
    }
}

/// Whether an event gives access. What is held already is made again without asking.
fn gives(event: &Event, truth: &Truth) -> bool {
    match &event.fact {
        Fact::Request(fact) => matches!(
            fact,
            RequestEvent::Activated(_) | RequestEvent::CredentialsIssued(_) | RequestEvent::ConsoleOpened(_)
        ),
        Fact::Assignment(AssignmentEvent::Attempted { key, operation: Operation::Create, .. }) => {
            !truth.is_held(key, event.at)
        }
        Fact::Assignment(_)
        | Fact::Denial(_)
        | Fact::Policy(_)
        | Fact::Duty(_)
        | Fact::Signal(_)
        | Fact::Person(_)
        | Fact::Log(_) => false,
    }
}

/// S2: were the access to end when it is handed out, it works no longer than its user was told.
fn handed_out(known: &Known, expires_at: Timestamp, at: Timestamp) -> Result<(), Violation> {
    let Some(Bound { after_early_end, chained, .. }) = known.bound else { return Ok(()) };
    let told = later(at, after_early_end.saturating_sub(chained));
    let works_until = usable_until(known, expires_at);
    if works_until <= later(told, BEHIND_MAX) {
        return Ok(());
    }
    let what = format!(
        "what is handed out at {at} for r{} works until {works_until}, and {told} was told of an early end",
        known.number
    );
    Err(Violation::new("S2", what))
}

/// With the window the session policy refuses everything.
fn usable_until(known: &Known, expires_at: Timestamp) -> Timestamp {
    known.request.window().map_or(expires_at, |window| window.end().min(expires_at))
}

/// When AWS takes it no more, nor what can have been chained from it.
fn dead_at(known: &Known, issue: &Issue) -> Timestamp {
    let chained = known.bound.map_or(SignedDuration::ZERO, |bound| bound.chained);
    issue.expires_at.max(later(usable_until(known, issue.expires_at), chained))
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

#[cfg(test)]
mod tests;

//! Whether what callers saw of one stream is linearizable: as if each call had happened at one instant between its invocation
//! and its return, and no two at the same one.
//!
//! That is NP-complete to decide in general, and simple here: an append names the revision that it was decided on, so the stream
//! itself says in which order its appends took effect, and each read how many of them it came after. What is left to see is that
//! nothing in this order had returned before something ahead of it was invoked. The check is exact;
//! `tests/linearizability.rs` compares it with the tester of the model checker `stateright`, which searches all orders.

use crate::{Expected, Revision};
use std::collections::BTreeMap;
use uuid::Uuid;

/// One call of one caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// When it was invoked, on a clock that all callers share and that never shows the same time twice.
    pub invoked: u64,
    /// When it returned, on the same clock; `None`: never, or without a definite answer. Then it may take effect at any time
    /// after its invocation, or never.
    pub returned: Option<u64>,
    /// What it was.
    pub what: What,
}

/// What was called, and what came of it if it returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// An append, perhaps tried several times until its answer was definite.
    Append {
        /// Of the event.
        event_id: Uuid,
        /// What the stream was expected to be.
        expected: Expected,
        /// The event's revision, or the stream's last revision as told by a conflict; means nothing if it did not return.
        answer: Result<Revision, Option<Revision>>,
    },
    /// A read of the whole stream, and the events that it gave; means nothing if it did not return.
    Read(Vec<Uuid>),
}

/// Where in the one order a call must be: after so many appends, and whether it is the next one.
type Place = (usize, bool);

/// Whether these calls, all that were made, are linearizable; `stream` is what the stream holds in the end. The error says
/// what is not.
pub fn check(stream: &[Uuid], calls: &[Call]) -> Result<(), String> {
    let mut revisions = BTreeMap::new();
    for (revision, id) in stream.iter().enumerate() {
        if revisions.insert(*id, revision).is_some() {
            return Err(format!("{id} is in the stream twice"));
        }
    }
    let mut order: BTreeMap<Place, Vec<&Call>> = BTreeMap::new();
    let mut appended = vec![0; stream.len()];
    for call in calls {
        let Some(place) = place(stream, &revisions, call)? else { continue };
        if let (revision, true) = place
            && let Some(times) = appended.get_mut(revision)
        {
            *times += 1;
        }
        order.entry(place).or_default().push(call);
    }
    if let Some((revision, times)) = appended.iter().enumerate().find(|(_, times)| **times != 1) {
        return Err(format!("revision {revision} was appended by {times} calls"));
    }
    let mut ahead: Option<&Call> = None;
    for calls in order.values() {
        for call in calls {
            if let (Some(ahead), Some(returned)) = (ahead, call.returned)
                && returned < ahead.invoked
            {
                return Err(format!(
                    "{call:?} had returned before {ahead:?} began, and can only come after it"
                ));
            }
        }
        // Calls at one place are reads that saw the same: they may be in any order.
        ahead = calls.iter().copied().chain(ahead).max_by_key(|call| call.invoked);
    }
    Ok(())
}

/// The place of a call in the order; `None` for one that need not be anywhere.
fn place(stream: &[Uuid], revisions: &BTreeMap<Uuid, usize>, call: &Call) -> Result<Option<Place>, String> {
    let wrong = |why: &str| Err(format!("{call:?}: {why}"));
    let length =
        |last: Option<Revision>| last.map_or(Some(0), |last| usize::try_from(last.0).ok()?.checked_add(1));
    match &call.what {
        What::Append { event_id, expected, answer } => {
            let at = revisions.get(event_id).copied();
            if at.is_some_and(|at| at as u64 != expected.revision_of_next().0) {
                return wrong("the event is elsewhere than after the revision that it was decided on");
            }
            match (call.returned.and(Some(answer)), at) {
                (None, None) => Ok(None),
                (None, Some(at)) => Ok(Some((at, true))),
                (Some(Ok(revision)), Some(at)) if revision.0 == at as u64 => Ok(Some((at, true))),
                (Some(Ok(_)), _) => wrong("acknowledged, and not there"),
                (Some(Err(_)), Some(_)) => wrong("refused, and there"),
                (Some(Err(actual)), None) if Expected::after(*actual) == *expected => {
                    wrong("refused, although the stream was as expected")
                }
                (Some(Err(actual)), None) => match length(*actual) {
                    Some(length) if length <= stream.len() => Ok(Some((length, false))),
                    _ => wrong("the conflict tells of more than there is"),
                },
            }
        }
        What::Read(_) if call.returned.is_none() => Ok(None),
        What::Read(events) if stream.starts_with(events) => Ok(Some((events.len(), false))),
        What::Read(_) => wrong("the read gave something else than the stream's beginning"),
    }
}

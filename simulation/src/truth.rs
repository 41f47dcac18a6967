//! What is true: the fold of the log, made by the simulation itself, and what each event may not be.

use crate::invariant::{Violation, story};
use aws::AssignmentKey;
use domain::{EventId, RequestId, Timestamp};
use event_log::Recorded;
use journal::{Event, Fact, Stream};
use lifecycle::Request;
use lifecycle::assignment::{AssignmentEvent, Operation};
use policy::{Policy, PolicyEvent};
use std::collections::{BTreeMap, BTreeSet};

/// One request, as the log says.
#[derive(Debug)]
pub(crate) struct Known {
    /// The how manieth it is.
    pub(crate) number: usize,
    pub(crate) request: Request,
    /// Its latest event.
    pub(crate) last: EventId,
    /// Whether it was ever active.
    pub(crate) was_active: bool,
}

/// An attempt, as the log says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KnownAttempt {
    /// Whether a live request needed the assignment, by the log up to this event and at its time.
    pub(crate) wanted: bool,
}

/// Everything that the log says.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    pub(crate) seen: Vec<Recorded>,
    pub(crate) requests: BTreeMap<RequestId, Known>,
    /// By key, operation and time: AWS's calls are signed with the time of their attempt.
    pub(crate) attempts: BTreeMap<(AssignmentKey, Operation, Timestamp), KnownAttempt>,
    /// Whose ledger a stream is.
    keys: BTreeMap<Stream, AssignmentKey>,
    pub(crate) policy: Option<(EventId, Policy)>,
    pub(crate) proposals: BTreeSet<EventId>,
    /// Requests that changed since the read model was last compared.
    pub(crate) changed: BTreeSet<RequestId>,
    /// How often each stored type occurred.
    pub(crate) types: BTreeMap<&'static str, u32>,
    /// Assignments whose attempt was concluded since the last time.
    pub(crate) concluded: Vec<AssignmentKey>,
}

impl Truth {
    /// Takes up the next event of the log.
    pub(crate) fn take(&mut self, recorded: Recorded) -> Result<Event, Violation> {
        let envelope = &recorded.envelope;
        let event = journal::decode_recorded(
            recorded.stream.as_str(),
            &envelope.event_id,
            envelope.writer.as_str(),
            &envelope.body,
        )
        .map_err(|error| Violation::new("S5", format!("an event in the log cannot be read: {error}")))?;
        *self.types.entry(journal::types::type_name(&event.fact)).or_default() += 1;
        self.seen.push(recorded);
        match &event.fact {
            Fact::Request(fact) => {
                let Stream::Request(id) = event.stream else {
                    return Err(Violation::new(
                        "S5",
                        "an event of a request is in another stream".to_owned(),
                    ));
                };
                let known = self.requests.get(&id);
                story::check(known, fact, &event)?;
                let number = known.map_or(self.requests.len() + 1, |known| known.number);
                let before = self.requests.remove(&id);
                let was_active = before.as_ref().is_some_and(|known| known.was_active);
                let request =
                    Request::evolve(before.map(|known| known.request), fact, event.at).ok_or_else(|| {
                        Violation::new("S6", "a story does not begin with its raising".to_owned())
                    })?;
                let was_active = was_active || request.approved().is_ok_and(|(_, active)| active.is_some());
                self.requests.insert(id, Known { number, request, last: event.id, was_active });
                self.changed.insert(id);
            }
            Fact::Assignment(fact) => self.take_assignment(&event, fact)?,
            Fact::Policy(fact) => self.take_policy(event.id, fact)?,
            Fact::Denial(_) | Fact::Duty(_) | Fact::Signal(_) | Fact::Person(_) => {}
        }
        Ok(event)
    }

    fn take_assignment(&mut self, event: &Event, fact: &AssignmentEvent) -> Result<(), Violation> {
        match fact {
            AssignmentEvent::Attempted { key, operation, .. } => {
                let wanted = self.wanted(key, event.at);
                let key = self.aws_key(event, key);
                self.attempts.insert((key, *operation, event.at), KnownAttempt { wanted });
            }
            AssignmentEvent::StandingFound { key } | AssignmentEvent::Adopted { key } => {
                self.aws_key(event, key);
            }
            AssignmentEvent::Confirmed { .. }
            | AssignmentEvent::Failed { .. }
            | AssignmentEvent::AttemptAbandoned { .. } => {
                self.concluded.extend(self.keys.get(&event.stream).cloned());
            }
            AssignmentEvent::DriftFound { .. }
            | AssignmentEvent::AbandonAsked { .. }
            | AssignmentEvent::Abandoned { .. } => {}
        }
        Ok(())
    }

    fn aws_key(
        &mut self,
        event: &Event,
        key: &lifecycle::assignment::AssignmentKey,
    ) -> AssignmentKey {
        let key = AssignmentKey::of_target(key.principal.clone(), &key.target);
        self.keys.insert(event.stream.clone(), key.clone());
        key
    }

    /// Whether a live request needs this assignment at `at`, by the log so far.
    fn wanted(&self, key: &lifecycle::assignment::AssignmentKey, at: Timestamp) -> bool {
        self.requests.values().any(|known| {
            let raised = &known.request.raised;
            raised.grounds.principal.as_ref() == Some(&key.principal)
                && raised.target == key.target
                && known.request.is_live(at)
        })
    }

    fn take_policy(&mut self, id: EventId, fact: &PolicyEvent) -> Result<(), Violation> {
        match fact {
            PolicyEvent::Proposed(_) => {
                self.proposals.insert(id);
            }
            PolicyEvent::Applied(applied) => {
                story::check_policy(self.policy.as_ref(), applied)?;
                self.policy = Some((id, applied.policy.clone()));
                if let Some(proposal) = &applied.proposal {
                    self.proposals.remove(proposal);
                }
            }
            PolicyEvent::Discarded(discarded) => {
                self.proposals.remove(&discarded.proposal);
            }
        }
        Ok(())
    }

    /// A short name for a request.
    pub(crate) fn name(&self, id: &RequestId) -> String {
        self.requests.get(id).map_or_else(|| "a request".to_owned(), |known| format!("r{}", known.number))
    }

    /// The assignment of this ledger.
    pub(crate) fn key_of(&self, stream: &Stream) -> Option<&AssignmentKey> {
        self.keys.get(stream)
    }
}

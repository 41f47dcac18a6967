//! What is true: the fold of the log, made by the simulation itself, and what each event may not be.

use crate::invariant::{Violation, later, story};
use aws::AssignmentKey;
use domain::{AccountId, EventId, Person, Provider, RequestId, SignedDuration, Timestamp};
use event_log::Recorded;
use journal::{Event, Fact, Stream};
use lifecycle::assignment::{AssignmentEvent, Operation};
use lifecycle::denial::{DenialEvent, Denials};
use lifecycle::event::Bound;
use lifecycle::state::{Phase, Status};
use lifecycle::{Request, RequestEvent};
use policy::{Policy, PolicyEvent};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// One request, as the log says.
#[derive(Debug)]
pub(crate) struct Known {
    /// The how manieth it is.
    pub(crate) number: usize,
    pub(crate) request: Request,
    /// Its latest event.
    pub(crate) last: EventId,
    /// What its user was told when it became active, if it ever was.
    pub(crate) bound: Option<Bound>,
    /// Every status that it has had.
    pub(crate) reached: BTreeSet<Status>,
    /// Since when its history cannot be read to the end, by the world's clock.
    pub(crate) damaged: Option<Timestamp>,
}

impl Known {
    /// Whether it was ever active.
    pub(crate) fn was_active(&self) -> bool {
        self.bound.is_some()
    }

    /// The assignment that it is about.
    pub(crate) fn key(&self) -> Option<AssignmentKey> {
        let raised = &self.request.raised;
        self.request
            .raised
            .grounds
            .principal
            .clone()
            .map(|principal| AssignmentKey::of_target(principal, &raised.target))
            .filter(|_| raised.grounds.provider != Provider::Sts)
    }

    /// Whether it needs its assignment at `at`.
    fn needs(&self, at: Timestamp) -> bool {
        self.request.is_live(at) && (self.damaged.is_none() || self.was_active())
    }

    /// Whether its assignment may be made at `at` by who begins so long before a start.
    fn may_have(&self, at: Timestamp, lead: SignedDuration) -> bool {
        let window = self.request.approved().ok().map(|(grant, _)| grant.approved.window);
        let begins = window.is_some_and(|window| later(window.start(), -lead) <= at && at < window.start());
        self.needs(at) || (begins && self.damaged.is_none())
    }
}

/// An attempt, as the log says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KnownAttempt {
    /// Whether a live request needed the assignment, by the log up to this event and at its time.
    pub(crate) wanted: bool,
    /// The same of one that begins so soon that it may be made for it.
    pub(crate) allowed: bool,
    /// When the first window begins of the requests about it that were not over, by the log up to this event.
    pub(crate) begins_at: Option<Timestamp>,
    /// Whether the log says what became of it.
    pub(crate) concluded: bool,
}

/// An attempt of which the log does not say yet what became of it.
#[derive(Debug)]
struct OpenAttempt {
    key: AssignmentKey,
    operation: Operation,
    /// By the log.
    at: Timestamp,
    /// By the world's clock.
    intended_at: Timestamp,
}

/// What became of an attempt, as the log says.
#[derive(Debug)]
pub(crate) struct Concluded {
    pub(crate) key: AssignmentKey,
    /// When it was intended, by the world's clock, if it was a creation of which Daypass may believe that it had an effect.
    pub(crate) created_at: Option<Timestamp>,
}

/// Everything that the log says.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    /// How long before a start access may be made.
    start_lead: SignedDuration,
    pub(crate) seen: Vec<Recorded>,
    pub(crate) requests: BTreeMap<RequestId, Known>,
    /// By key, operation and time.
    attempts: BTreeMap<(AssignmentKey, Operation, Timestamp), KnownAttempt>,
    /// Those that are not concluded, by their event.
    open: BTreeMap<EventId, OpenAttempt>,
    /// Whose ledger a stream is.
    keys: BTreeMap<Stream, AssignmentKey>,
    pub(crate) policy: Option<(EventId, Policy)>,
    /// Every policy that ever applied, by its event.
    pub(crate) policies: BTreeMap<EventId, Policy>,
    pub(crate) proposals: BTreeSet<EventId>,
    /// What is denied, by account.
    pub(crate) denials: BTreeMap<AccountId, Denials>,
    /// Requests that changed since the read models were last compared.
    pub(crate) changed: BTreeSet<RequestId>,
    /// How often each stored type occurred.
    pub(crate) types: BTreeMap<&'static str, u32>,
    /// Attempts that were concluded since the last time.
    pub(crate) concluded: Vec<Concluded>,
    /// What is recorded as handed out: access keys of credentials, issues of console sessions.
    pub(crate) issued: BTreeSet<String>,
    /// Assignments that people said are Daypass's.
    pub(crate) adopted: BTreeSet<AssignmentKey>,
    /// Assignments that were found to be others', and not to be gone since.
    pub(crate) found: BTreeSet<AssignmentKey>,
    /// Assignments that two people gave up.
    pub(crate) abandoned: BTreeSet<AssignmentKey>,
    /// Identities of the same human.
    pub(crate) linked: Vec<(Person, Person)>,
    /// Events that cannot be read, because the simulation made them so.
    pub(crate) damage: BTreeSet<Uuid>,
    /// Assignments whose ledger cannot be read to its end.
    pub(crate) unreadable: BTreeSet<AssignmentKey>,
    /// Whether it cannot be read who has the duty.
    pub(crate) duty_damaged: bool,
    /// Since when the policy cannot be read, by the world's clock.
    pub(crate) policy_damaged: Option<Timestamp>,
}

impl Truth {
    /// Nothing yet, where access may be made so long before a start.
    pub(crate) fn new(start_lead: SignedDuration) -> Self {
        Self { start_lead, ..Self::default() }
    }

    /// Takes up the next event of the log, at `now`. `None`: it cannot be read, and is not meant to be.
    pub(crate) fn take(&mut self, recorded: Recorded, now: Timestamp) -> Result<Option<Event>, Violation> {
        let envelope = &recorded.envelope;
        let decoded = journal::decode_recorded(
            recorded.stream.as_str(),
            &envelope.event_id,
            envelope.writer.as_str(),
            &envelope.body,
        );
        let event = match decoded {
            Ok(event) => event,
            Err(_) if self.damage.contains(&envelope.event_id) => {
                self.take_damage(recorded, now);
                return Ok(None);
            }
            Err(error) => {
                return Err(Violation::new("S5", format!("an event in the log cannot be read: {error}")));
            }
        };
        *self.types.entry(journal::types::type_name(&event.fact)).or_default() += 1;
        self.seen.push(recorded);
        match &event.fact {
            Fact::Request(fact) => self.take_request(&event, fact)?,
            Fact::Assignment(fact) => self.take_assignment(&event, fact, now),
            Fact::Policy(fact) => self.take_policy(event.id, fact)?,
            Fact::Person(linked) => self.linked.push((linked.person.clone(), linked.same_as.clone())),
            Fact::Denial(fact) => self.take_denial(&event, fact),
            Fact::Duty(_) | Fact::Signal(_) | Fact::Log(_) => {}
        }
        Ok(Some(event))
    }

    fn take_damage(&mut self, recorded: Recorded, now: Timestamp) {
        match recorded.stream.as_str().parse() {
            Ok(Stream::Request(id)) => {
                if let Some(known) = self.requests.get_mut(&id) {
                    known.damaged.get_or_insert(now);
                }
            }
            Ok(Stream::Policy) => {
                self.policy_damaged.get_or_insert(now);
            }
            Ok(stream @ Stream::Assignment(_)) => self.unreadable.extend(self.keys.get(&stream).cloned()),
            Ok(Stream::Duty(_)) => self.duty_damaged = true,
            _other => {}
        }
        self.seen.push(recorded);
    }

    fn take_request(&mut self, event: &Event, fact: &RequestEvent) -> Result<(), Violation> {
        let Stream::Request(id) = event.stream else {
            return Err(Violation::new("S5", "an event of a request is in another stream".to_owned()));
        };
        let known = self.requests.get(&id);
        story::check(known, fact, event, &self.linked)?;
        let number = known.map_or(self.requests.len() + 1, |known| known.number);
        let (before, mut bound, mut reached, damaged) = match self.requests.remove(&id) {
            Some(known) => (Some(known.request), known.bound, known.reached, known.damaged),
            None => (None, None, BTreeSet::new(), None),
        };
        let request = Request::evolve(before, fact, event.at)
            .ok_or_else(|| Violation::new("S6", "a story does not begin with its raising".to_owned()))?;
        reached.insert(request.status());
        if let RequestEvent::Activated(activated) = fact {
            bound = Some(activated.bound);
        }
        if let RequestEvent::CredentialsIssued(issued) = fact {
            self.issued.insert(issued.access_key_id.clone());
        }
        if let RequestEvent::ConsoleOpened(opened) = fact {
            self.issued.extend([opened.issue.to_string(), opened.access_key_id.clone()]);
        }
        self.requests.insert(id, Known { number, request, last: event.id, bound, reached, damaged });
        self.changed.insert(id);
        Ok(())
    }

    fn take_assignment(&mut self, event: &Event, fact: &AssignmentEvent, now: Timestamp) {
        match fact {
            AssignmentEvent::Attempted { key, operation, .. } => {
                let wanted = self.about(key).any(|known| known.needs(event.at));
                let allowed = self.about(key).any(|known| known.may_have(event.at, self.start_lead));
                let approved = self.about(key).filter(|known| known.request.approved().is_ok());
                let begins_at = approved.filter_map(|known| Some(known.request.window()?.start())).min();
                let key = self.aws_key(event, key);
                let (operation, at) = (*operation, event.at);
                let open = OpenAttempt { key: key.clone(), operation, at, intended_at: now };
                self.open.insert(event.id, open);
                let known = KnownAttempt { wanted, allowed, begins_at, concluded: false };
                self.attempts.insert((key, operation, at), known);
            }
            AssignmentEvent::StandingFound { key } => {
                let key = self.aws_key(event, key);
                self.found.insert(key);
            }
            AssignmentEvent::Adopted { key } => {
                let key = self.aws_key(event, key);
                self.adopted.insert(key);
            }
            AssignmentEvent::Confirmed { attempt } => self.conclude(*attempt, true),
            AssignmentEvent::Failed { attempt, definite, .. } => self.conclude(*attempt, !definite),
            AssignmentEvent::AttemptAbandoned { attempt } => self.conclude(*attempt, false),
            AssignmentEvent::Abandoned { .. } => {
                self.abandoned.extend(self.keys.get(&event.stream).cloned());
            }
            AssignmentEvent::DriftFound { present: false } => {
                // What comes back is to be found again.
                if let Some(key) = self.keys.get(&event.stream) {
                    self.found.remove(key);
                }
            }
            AssignmentEvent::DriftFound { present: true } | AssignmentEvent::AbandonAsked { .. } => {}
        }
    }

    /// Notes that it is known what became of an attempt, and whether it may have had an effect.
    fn conclude(&mut self, attempt: EventId, effective: bool) {
        let Some(OpenAttempt { key, operation, at, intended_at }) = self.open.remove(&attempt) else {
            return;
        };
        if let Some(known) = self.attempts.get_mut(&(key.clone(), operation, at)) {
            known.concluded = true;
        }
        let created_at = (effective && operation == Operation::Create).then_some(intended_at);
        self.concluded.push(Concluded { key, created_at });
    }

    fn take_denial(&mut self, event: &Event, fact: &DenialEvent) {
        let Stream::Denial(account) = &event.stream else { return };
        let before = self.denials.remove(account);
        if let Some(denials) = Denials::evolve(before, fact, event.id, event.at) {
            self.denials.insert(account.clone(), denials);
        }
    }

    fn aws_key(&mut self, event: &Event, key: &lifecycle::assignment::AssignmentKey) -> AssignmentKey {
        let key = AssignmentKey::of_target(key.principal.clone(), &key.target);
        self.keys.insert(event.stream.clone(), key.clone());
        key
    }

    /// What may begin by now at the latest, if access is made at `at`.
    pub(crate) fn led(&self, at: Timestamp) -> Timestamp {
        later(at, self.start_lead)
    }

    /// The attempt of a call: it is signed with the time of its attempt, or with its machine's where the log's is ahead of that.
    pub(crate) fn attempt(
        &self,
        key: &AssignmentKey,
        operation: Operation,
        signed_at: Timestamp,
    ) -> Option<&KnownAttempt> {
        let of_key = |at| (key.clone(), operation, at);
        self.attempts.range(of_key(signed_at)..=of_key(Timestamp::MAX)).next().map(|(_, attempt)| attempt)
    }

    /// Whether one that needs it at `at` is active: then making it again is no new access.
    pub(crate) fn is_held(&self, key: &lifecycle::assignment::AssignmentKey, at: Timestamp) -> bool {
        self.about(key).any(|known| known.needs(at) && known.was_active())
    }

    fn about(&self, key: &lifecycle::assignment::AssignmentKey) -> impl Iterator<Item = &Known> {
        self.requests.values().filter(|known| {
            let raised = &known.request.raised;
            raised.grounds.principal.as_ref() == Some(&key.principal) && raised.target == key.target
        })
    }

    /// When the last of the requests about `key` that were ever approved was over; `None`: one needs it at `at`, or so soon that it may
    /// be there.
    pub(crate) fn needed_until(&self, key: &AssignmentKey, at: Timestamp) -> Option<Timestamp> {
        let mut until = Timestamp::MIN;
        for known in self.requests.values().filter(|known| known.key().as_ref() == Some(key)) {
            if known.may_have(at, self.start_lead) {
                return None;
            }
            let Some(window) = known.request.window().filter(|window| window.start() <= at) else { continue };
            let over = match &known.request.phase {
                Phase::Ended { at, .. } => (*at).min(window.end()),
                Phase::Pending | Phase::Expired { .. } | Phase::Rejected { .. } | Phase::Approved { .. } => {
                    window.end()
                }
            };
            until = until.max(over);
        }
        Some(until)
    }

    /// When the log says that the last of the requests about `key` ended: later than it was, if a clock was ahead.
    pub(crate) fn ended_at(&self, key: &AssignmentKey) -> Option<Timestamp> {
        let about = self.requests.values().filter(|known| known.key().as_ref() == Some(key));
        about
            .filter_map(|known| match &known.request.phase {
                Phase::Ended { at, .. } => Some(*at),
                Phase::Pending | Phase::Expired { .. } | Phase::Rejected { .. } | Phase::Approved { .. } => {
                    None
                }
            })
            .max()
    }

    fn take_policy(&mut self, id: EventId, fact: &PolicyEvent) -> Result<(), Violation> {
        match fact {
            PolicyEvent::Proposed(_) => {
                self.proposals.insert(id);
            }
            PolicyEvent::Applied(applied) => {
                story::check_policy(self.policy.as_ref(), applied)?;
                self.policies.insert(id, applied.policy.clone());
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

    /// The ledger of an assignment.
    pub(crate) fn ledger_of(&self, key: &AssignmentKey) -> Option<&Stream> {
        self.keys.iter().find(|(_, known)| *known == key).map(|(stream, _)| stream)
    }

    /// Whether the story of a request, or the ledger of its assignment, cannot be read: nothing can follow.
    pub(crate) fn is_stuck(&self, known: &Known) -> bool {
        known.damaged.is_some() || known.key().is_some_and(|key| self.unreadable.contains(&key))
    }

    /// Whether a stream holds something that cannot be read.
    pub(crate) fn is_damaged(&self, id: &RequestId) -> bool {
        self.requests.get(id).is_some_and(|known| known.damaged.is_some())
    }

    /// Whether anything cannot be read.
    pub(crate) fn any_damage(&self) -> bool {
        self.policy_damaged.is_some()
            || self.duty_damaged
            || !self.unreadable.is_empty()
            || self.requests.values().any(|known| known.damaged.is_some())
    }
}

//! Every policy that was proposed or seeded, and where it stands: the fold of the policy stream, read when asked for.
//!
//! Policies change a few times a day, so the stream is short; of the policies themselves only the one that is asked for is kept.

use crate::core::Core;
use api::approval::v1::{PolicyRecord, PolicyStatus};
use domain::{Actor, EventId, Timestamp};
use event_log::LogError;
use futures::TryStreamExt as _;
use journal::{DecodeError, Event, Fact, Stream};
use policy::change::SourceDigest;
use policy::{Policy, PolicyEvent};
use tonic::{Code, Status};
use views::{refusal, wire};

/// Which policy is to be kept with its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    Nothing,
    InForce,
    /// The one with this proposal, or applied by this event.
    Of(EventId),
}

/// One policy.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    proposal: Option<EventId>,
    applied: Option<EventId>,
    base: Option<EventId>,
    author: Actor,
    second: Option<Actor>,
    proposed_at: Option<Timestamp>,
    applied_at: Option<Timestamp>,
    discarded_at: Option<Timestamp>,
    source_digest: SourceDigest,
    policy: Option<Policy>,
}

/// All of them, oldest first.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) records: Vec<Record>,
    in_force: Option<EventId>,
}

/// Reads the story of the policy, as far as the log goes.
pub(crate) async fn read(core: &Core, keep: Keep) -> Result<History, Status> {
    let name = Stream::Policy.to_string();
    let stream = name.parse().map_err(|_| Status::internal("the policy has no stream"))?;
    let mut events = core.views.log.read_stream(&stream, None);
    let mut history = History::default();
    while let Some(recorded) = events.try_next().await.map_err(|error| unreadable(&error))? {
        let envelope = &recorded.envelope;
        let event =
            journal::decode_recorded(&name, &envelope.event_id, envelope.writer.as_str(), &envelope.body)
                .map_err(|error| damaged(&error))?;
        history.push(event, keep);
    }
    Ok(history)
}

fn unreadable(error: &LogError) -> Status {
    tracing::warn!(%error, "the policy cannot be read");
    refusal::unavailable("LOG_UNAVAILABLE", "the log is not available")
}

fn damaged(error: &DecodeError) -> Status {
    tracing::error!(%error, "the history of the policy cannot be read");
    refusal::with_reason(Code::DataLoss, "HISTORY_DAMAGED", "the history of the policy cannot be read")
}

impl History {
    fn push(&mut self, event: Event, keep: Keep) {
        let (id, at) = (event.id, event.at);
        let Fact::Policy(fact) = event.fact else { return };
        match fact {
            PolicyEvent::Proposed(proposed) => self.records.push(Record {
                proposal: Some(id),
                applied: None,
                base: proposed.base,
                author: proposed.author,
                second: None,
                proposed_at: Some(at),
                applied_at: None,
                discarded_at: None,
                source_digest: proposed.source_digest,
                policy: (keep == Keep::Of(id)).then_some(proposed.policy),
            }),
            PolicyEvent::Applied(applied) => {
                let wanted = keep == Keep::InForce || keep == Keep::Of(id);
                if keep == Keep::InForce {
                    self.records.iter_mut().for_each(|record| record.policy = None);
                }
                self.in_force = Some(id);
                let policy = wanted.then_some(applied.policy);
                match applied.proposal.and_then(|proposal| self.of_proposal(proposal)) {
                    Some(record) => {
                        record.applied = Some(id);
                        record.applied_at = Some(at);
                        record.second = applied.second;
                        record.policy = policy.or_else(|| record.policy.take());
                    }
                    None => self.records.push(Record {
                        proposal: applied.proposal,
                        applied: Some(id),
                        base: applied.base,
                        author: applied.author,
                        second: applied.second,
                        proposed_at: None,
                        applied_at: Some(at),
                        discarded_at: None,
                        source_digest: applied.source_digest,
                        policy,
                    }),
                }
            }
            PolicyEvent::Discarded(discarded) => {
                if let Some(record) = self.of_proposal(discarded.proposal) {
                    record.discarded_at = Some(at);
                }
            }
        }
    }

    fn of_proposal(&mut self, proposal: EventId) -> Option<&mut Record> {
        self.records.iter_mut().find(|record| record.proposal == Some(proposal))
    }

    /// The policy with this proposal, or applied by this event.
    pub(crate) fn find(&self, event: EventId) -> Option<&Record> {
        self.records.iter().find(|record| record.proposal == Some(event) || record.applied == Some(event))
    }

    /// The policy in force.
    pub(crate) fn in_force(&self) -> Option<&Record> {
        self.in_force.and_then(|event| self.find(event))
    }

    /// Where a policy stands.
    pub(crate) fn status(&self, record: &Record) -> PolicyStatus {
        if record.applied.is_some() {
            if record.applied == self.in_force { PolicyStatus::Applied } else { PolicyStatus::Replaced }
        } else if record.discarded_at.is_some() || record.base != self.in_force {
            PolicyStatus::Discarded
        } else {
            PolicyStatus::Proposed
        }
    }

    /// A policy as the API shows it.
    pub(crate) fn show(&self, core: &Core, record: &Record) -> PolicyRecord {
        let directory = core.views.directory.snapshot();
        let party = |actor: &Actor| wire::party(&actor.person, None, directory.as_deref());
        let text = |id: Option<EventId>| id.map(|id| id.to_string()).unwrap_or_default();
        PolicyRecord {
            proposal_event_id: text(record.proposal),
            policy_event_id: text(record.applied),
            base_event_id: text(record.base),
            status: self.status(record).into(),
            author: Some(party(&record.author)),
            accepted_by: record.second.as_ref().map(party),
            proposed_at: record.proposed_at.map(wire::time),
            applied_at: record.applied_at.map(wire::time),
            discarded_at: record.discarded_at.map(wire::time),
            source_digest: record.source_digest.to_vec(),
            policy: record.policy.as_ref().map(views::policy_wire::write),
        }
    }
}

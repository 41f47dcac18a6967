//! Bugs that are planted on purpose, to see that the invariants find them. Nothing is planted unless a switch says so.

use crate::people;
use domain::{Endorsement, EventId, SignedDuration, Timestamp};
use journal::{Event, Fact, Service, Stream};
use lifecycle::event::{ApprovalBasis, Approved, Rejected, RejectedBecause};
use lifecycle::{Request, RequestEvent};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, clap::ValueEnum)]
pub enum Plant {
    /// AWS is changed without an event that intends it.
    CreateWithoutAttempt,
    /// An assignment that Daypass did not make is deleted.
    DeleteStanding,
    /// The requester's own yes counts.
    ApproveOwn,
    /// The log acknowledges an event and forgets it.
    ForgetAcknowledged,
    /// What is over is approved after all.
    ApproveEnded,
    /// The justification is stored as it was written.
    StorePlainText,
}

/// Whether and when a bug strikes: the third time that it could, once.
#[derive(Clone, Debug)]
pub(crate) struct Planted {
    plant: Option<Plant>,
    chances: Arc<AtomicU32>,
}

/// The chance that is taken.
const STRIKES_AT: u32 = 3;

impl Planted {
    pub(crate) fn new(plant: Option<Plant>) -> Self {
        Self { plant, chances: Arc::default() }
    }

    /// Whether `plant` strikes here.
    pub(crate) fn strikes(&self, plant: Plant) -> bool {
        self.plant == Some(plant) && self.chances.fetch_add(1, Ordering::Relaxed) + 1 == STRIKES_AT
    }

    /// The event that a bug would write now about `request`, whose latest event is `previous`.
    pub(crate) fn event(&self, request: &Request, previous: EventId, now: Timestamp) -> Option<Event> {
        let fact = match self.plant? {
            Plant::ApproveOwn => {
                request.pending().ok()?;
                self.strikes(Plant::ApproveOwn).then_some(())?;
                RequestEvent::Approved(approved_by_themselves(request, now)?)
            }
            Plant::ApproveEnded => {
                (request.pending().is_err() && request.approved().is_err()).then_some(())?;
                self.strikes(Plant::ApproveEnded).then_some(())?;
                RequestEvent::Approved(approved_by_themselves(request, now)?)
            }
            Plant::StorePlainText => {
                request.pending().ok()?;
                self.strikes(Plant::StorePlainText).then_some(())?;
                let mut sealed = request.raised.justification.clone();
                sealed.ciphertext = crate::order::CANARY.as_bytes().to_vec();
                let because = RejectedBecause::Approver { comment: Some(sealed) };
                RequestEvent::Rejected(Rejected { because, policy_event: None })
            }
            Plant::CreateWithoutAttempt | Plant::DeleteStanding | Plant::ForgetAcknowledged => return None,
        };
        let stream = Stream::Request(request.raised.id);
        Some(Event {
            id: EventId::from_parts([b"planted".as_slice(), stream.to_string().as_bytes()]),
            stream,
            at: request.time_of_next(now),
            writer: Service::Approval,
            actor: Some(people::actor("bob")),
            previous: Some(previous),
            trace: None,
            command_digest: None,
            fact: Fact::Request(fact),
        })
    }
}

/// An approval of a request by its own requester.
pub(crate) fn approved_by_themselves(request: &Request, now: Timestamp) -> Option<Approved> {
    let raised = &request.raised;
    let yes = Endorsement {
        approver: people::actor(raised.requester.subject.as_str()),
        principal: raised.grounds.principal.clone(),
        groups: BTreeSet::from([people::group("approvers"), people::group("admins")]),
        at: now,
    };
    Some(Approved {
        window: domain::Window::from_duration(now, SignedDuration::from_mins(5)).ok()?,
        basis: ApprovalBasis::People,
        approvers: vec![yes],
        policy_event: raised.grounds.policy_event,
        comment: None,
    })
}

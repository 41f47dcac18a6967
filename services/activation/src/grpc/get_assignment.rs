//! GetAssignment: what the ledger knows of one assignment in AWS.

use crate::assignment::ledger::facts;
use crate::core::Core;
use crate::fault::Fault;
use api::activation::v1 as wire;
use domain::{EventId, PrincipalId, Timestamp};
use journal::Event;
use lifecycle::assignment::{AssignmentEvent, AssignmentKey, Ledger, Operation, Presence};
use service_runtime::Call;
use std::collections::BTreeMap;
use tonic::{Code, Status};
use views::{refusal, wire as values};

/// The latest attempts that are shown.
const ATTEMPTS_MAX: usize = 20;

impl Core {
    pub(super) async fn get_assignment(
        &self,
        call: &Call,
        asked: wire::GetAssignmentRequest,
    ) -> Result<wire::GetAssignmentResponse, Status> {
        let in_force = self.policy().await?;
        let who = self.who(call, in_force.as_deref())?;
        if !who.is_administrator && !who.is_auditor {
            return Err(refusal::with_reason(
                Code::PermissionDenied,
                "NOT_ENTITLED",
                "only administrators and auditors may look at the ledger",
            ));
        }
        let key = read_key(&asked.key.unwrap_or_default())?;
        self.wait_for(&asked.wait_for_position).await?;
        let shown = self.show_assignment(&key).await.map_err(|fault| crate::status::fault(&fault))?;
        let mut assignment = shown.ok_or_else(|| refusal::not_found("assignment"))?;
        assignment.standing_groups = self.standing_groups(&key).await;
        Ok(wire::GetAssignmentResponse { assignment: Some(assignment) })
    }

    /// An assignment as its ledger and the requests about it say; `None`: there are neither.
    pub(super) async fn show_assignment(
        &self,
        key: &AssignmentKey,
    ) -> Result<Option<wire::Assignment>, Fault> {
        let loaded = self.ledger(key).await?;
        let needing = self.agenda.requests_of(key);
        if loaded.state.is_none() && needing.is_empty() {
            return Ok(None);
        }
        let events = self.ledger_events(key).await?;
        let now = self.now();
        let live = needing.iter().filter(|request| request.approved().is_ok());
        Ok(Some(wire::Assignment {
            key: Some(wire::AssignmentKey {
                principal_id: key.principal.to_string(),
                target: Some(values::target(&key.target)),
            }),
            revision: loaded.revision.map_or(0, |revision| revision.0),
            state: state(loaded.state.as_ref()).into(),
            wanted: needing.iter().any(|request| request.is_live(now)),
            request_ids: live.map(|request| request.raised.id.to_string()).collect(),
            attempts: attempts(&events),
            drift_found_at: drift_found_at(&events).map(values::time),
            standing_groups: Vec::new(),
        }))
    }
}

pub(super) fn read_key(key: &wire::AssignmentKey) -> Result<AssignmentKey, Status> {
    let target = key.target.clone().unwrap_or_default();
    Ok(AssignmentKey {
        principal: PrincipalId::new(&key.principal_id).map_err(refusal::invalid("key.principal_id"))?,
        target: values::read_target(&target).map_err(refusal::invalid("key.target"))?,
    })
}

fn state(ledger: Option<&Ledger>) -> wire::AssignmentState {
    let Some(ledger) = ledger else { return wire::AssignmentState::Absent };
    match (ledger.attempt().map(|(_, attempt)| attempt.operation), ledger.presence) {
        (Some(Operation::Create), _) => wire::AssignmentState::Creating,
        (Some(Operation::Delete), _) => wire::AssignmentState::Deleting,
        (None, Presence::Ours) => wire::AssignmentState::Present,
        (None, Presence::Standing) => wire::AssignmentState::Standing,
        (None, Presence::Absent) => wire::AssignmentState::Absent,
    }
}

/// The latest first.
fn attempts(events: &[Event]) -> Vec<wire::Attempt> {
    let mut attempts: Vec<wire::Attempt> = Vec::new();
    let mut places: BTreeMap<EventId, usize> = BTreeMap::new();
    for (event, fact) in facts(events) {
        match fact {
            AssignmentEvent::Attempted { operation, deadline, .. } => {
                places.insert(event.id, attempts.len());
                attempts.push(wire::Attempt {
                    event_id: event.id.to_string(),
                    operation: match operation {
                        Operation::Create => wire::AssignmentOperation::Create,
                        Operation::Delete => wire::AssignmentOperation::Delete,
                    }
                    .into(),
                    attempted_at: Some(values::time(event.at)),
                    deadline: Some(values::time(*deadline)),
                    outcome: wire::AttemptOutcome::Open.into(),
                    ..wire::Attempt::default()
                });
            }
            AssignmentEvent::AttemptAbandoned { attempt } => {
                conclude(
                    places.get(attempt).and_then(|at| attempts.get_mut(*at)),
                    event,
                    wire::AttemptOutcome::Abandoned,
                    "",
                );
            }
            AssignmentEvent::Confirmed { attempt } => {
                conclude(
                    places.get(attempt).and_then(|at| attempts.get_mut(*at)),
                    event,
                    wire::AttemptOutcome::Confirmed,
                    "",
                );
            }
            AssignmentEvent::Failed { attempt, reason, .. } => {
                conclude(
                    places.get(attempt).and_then(|at| attempts.get_mut(*at)),
                    event,
                    wire::AttemptOutcome::Failed,
                    reason,
                );
            }
            AssignmentEvent::StandingFound { .. }
            | AssignmentEvent::DriftFound { .. }
            | AssignmentEvent::Adopted { .. }
            | AssignmentEvent::AbandonAsked { .. }
            | AssignmentEvent::Abandoned { .. } => {}
        }
    }
    attempts.into_iter().rev().take(ATTEMPTS_MAX).collect()
}

fn conclude(attempt: Option<&mut wire::Attempt>, event: &Event, outcome: wire::AttemptOutcome, reason: &str) {
    if let Some(attempt) = attempt {
        attempt.outcome = outcome.into();
        attempt.outcome_at = Some(values::time(event.at));
        reason.clone_into(&mut attempt.reason);
    }
}

fn drift_found_at(events: &[Event]) -> Option<Timestamp> {
    let drifts = facts(events).filter(|(_, fact)| matches!(fact, AssignmentEvent::DriftFound { .. }));
    drifts.last().map(|(event, _)| event.at)
}

//! One attempt: from the event that intends it to the event that says what came of it.

use super::ledger::Outcome;
use super::tend::Round;
use crate::core::Core;
use crate::fault::Fault;
use crate::traffic::{Asking, Place, Traffic, Urgency};
use aws::{Assignments, AwsError, Deletion, ErrorKind, OperationId, OperationStatus};
use domain::{EventId, Timestamp};
use event_log::Position;
use lifecycle::assignment::{AssignmentKey, Operation};
use tracing::Instrument as _;

/// The longest text of AWS that is kept with a failed operation, in characters.
const REASON_MAX: usize = 200;

/// An attempt that is in the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Intended {
    pub(super) id: EventId,
    pub(super) at: Timestamp,
    pub(super) position: Position,
    pub(super) operation: Operation,
    pub(super) deadline: Timestamp,
}

/// What a call and its status said.
enum Said {
    /// Done.
    Done,
    /// Not done, and will not be.
    Refused(AwsError),
    /// AWS began a removal, and says that it failed. So it says of users whom it does not know any more, and may do so
    /// whether or not the assignment is there.
    RemovalFailed(AwsError),
    /// Nothing that can be relied on.
    Unknown(AwsError),
}

impl Core {
    /// Makes the call that was intended, if it is still wanted when the event is known here, and learns what came of it. `place`
    /// is that of the operation, and given back when the operation is over.
    pub(super) async fn carry_out(
        &self,
        key: &AssignmentKey,
        intended: Intended,
        place: Option<Place<'_>>,
    ) -> Result<Round, Fault> {
        let call = self.signed(intended.at);
        match self.still_wanted(key, &intended, &call).await {
            Ok(true) => {}
            Ok(false) => {
                self.conclude(key, intended.id, Outcome::Abandoned).await?;
                return Ok(Round::Again);
            }
            Err(fault) => {
                self.conclude(key, intended.id, Outcome::Abandoned).await?;
                return Err(fault);
            }
        }
        let aws_key = aws::AssignmentKey::of_target(key.principal.clone(), &key.target);
        let asking = self.traffic(key).asking(Urgency::of(intended.operation)).await;
        let said = match intended.operation {
            Operation::Create => self.create(&asking, &aws_key, call).await,
            Operation::Delete => self.delete(&asking, &aws_key, call).await,
        };
        match said {
            Said::Done => {
                // AWS's last word on it says as much as a look that began when it came.
                let look = self.agenda.begin_look(self.now());
                drop(place);
                self.conclude(key, intended.id, Outcome::Confirmed).await?;
                self.agenda.note_seen(key, look);
                Ok(Round::Again)
            }
            Said::Refused(error) => {
                drop(place);
                let reason = reason_of(&error);
                self.conclude(key, intended.id, Outcome::Failed { reason, definite: true }).await?;
                Err(error.into())
            }
            Said::RemovalFailed(error) => {
                drop(place);
                self.observe_failed(key, &intended, error).await
            }
            Said::Unknown(error) => {
                tracing::warn!(target = %key.target, %error, "the outcome is not known: observing");
                self.observe_own(key, &intended, error).await
            }
        }
    }

    /// Catches up to the attempt, and computes again what is desired.
    async fn still_wanted(
        &self,
        key: &AssignmentKey,
        intended: &Intended,
        call: &aws::Attempt,
    ) -> Result<bool, Fault> {
        self.see(intended.position).await?;
        let needs = self.needs(key).await?;
        let wanted = match intended.operation {
            Operation::Create => needs.by.iter().any(|needed| needed.is_made_by(intended.at, needs.at)),
            Operation::Delete => !needs.any() && !needs.unsure,
        };
        // Who has lost the duty in between leaves it to who has it.
        Ok(wanted && self.on_duty().await? && self.now() < call.start_before)
    }

    async fn create(&self, asking: &Asking<'_>, key: &aws::AssignmentKey, call: aws::Attempt) -> Said {
        let port = match self.ports.assignments_of(key) {
            Ok(port) => port,
            Err(error) => return Said::Refused(error),
        };
        let span = aws_call("CreateAccountAssignment", key);
        match self.answered(asking, port.create(key, call)).instrument(span).await {
            Ok(operation) => self.poll(port, asking.traffic, &operation, Operation::Create).await,
            Err(error) if error.outcome_unknown() => Said::Unknown(error),
            Err(error) => Said::Refused(error),
        }
    }

    async fn delete(&self, asking: &Asking<'_>, key: &aws::AssignmentKey, call: aws::Attempt) -> Said {
        let port = match self.ports.assignments_of(key) {
            Ok(port) => port,
            Err(error) => return Said::Refused(error),
        };
        let span = aws_call("DeleteAccountAssignment", key);
        match self.answered(asking, port.delete(key, call, asking)).instrument(span).await {
            Ok(Deletion::Started(operation)) => {
                self.poll(port, asking.traffic, &operation, Operation::Delete).await
            }
            // It may not be found yet by those whom AWS asked.
            Ok(Deletion::NotFound) => Said::Unknown(nothing_found()),
            Err(error) if error.kind == ErrorKind::NotFound => Said::Unknown(error),
            Err(error) if error.outcome_unknown() => Said::Unknown(error),
            Err(error) => Said::Refused(error),
        }
    }

    /// A changing call, or an unknown outcome when no answer comes in time.
    async fn answered<T>(
        &self,
        asking: &Asking<'_>,
        call: impl Future<Output = Result<T, AwsError>>,
    ) -> Result<T, AwsError> {
        asking.answer(self.settings.call_within, ErrorKind::Unknown, call).await
    }

    /// Asks for the status until it is final. Only AWS's final word counts; without one the outcome is unknown.
    async fn poll(
        &self,
        port: &dyn Assignments,
        traffic: &Traffic,
        operation: &OperationId,
        kind: Operation,
    ) -> Said {
        let mut watch = traffic.watch(kind);
        let asking = async {
            loop {
                watch.pause(self.settings.poll_min, self.settings.poll_max).await;
                let status = match kind {
                    Operation::Create => port.creation_status(operation).await,
                    Operation::Delete => port.deletion_status(operation).await,
                };
                traffic.heard(&status);
                match status {
                    Ok(OperationStatus::Succeeded) => {
                        watch.done();
                        return Said::Done;
                    }
                    Ok(OperationStatus::Failed { reason }) => {
                        let error = AwsError::new(ErrorKind::Unavailable, "FAILED", &reason);
                        return match kind {
                            Operation::Create => Said::Refused(error),
                            Operation::Delete => Said::RemovalFailed(error),
                        };
                    }
                    Ok(OperationStatus::InProgress) => {}
                    Err(error) => tracing::debug!(%error, "the status was not told; asked again"),
                }
            }
        };
        tokio::time::timeout(self.settings.operation_within, asking).await.unwrap_or_else(|_| {
            Said::Unknown(AwsError::new(
                ErrorKind::Unknown,
                "StillInProgress",
                "the operation takes too long",
            ))
        })
    }
}

fn nothing_found() -> AwsError {
    AwsError::new(ErrorKind::NotFound, "NotFound", "AWS found nothing to delete")
}

/// What is kept of an error, in events and until the next try: AWS's code, and for a failed operation AWS's reason.
pub(super) fn reason_of(error: &AwsError) -> String {
    if error.code == "FAILED" {
        let reason: String = error.message.chars().filter(|c| !c.is_control()).take(REASON_MAX).collect();
        format!("FAILED: {reason}")
    } else {
        error.code.clone()
    }
}

/// The span of a call that changes AWS. Named as for permission sets; roles have calls of their own.
fn aws_call(operation: &'static str, key: &aws::AssignmentKey) -> tracing::Span {
    tracing::info_span!(
        "aws",
        otel.name = operation,
        otel.kind = "client",
        rpc.system = "aws-api",
        cloud.account.id = %key.account()
    )
}

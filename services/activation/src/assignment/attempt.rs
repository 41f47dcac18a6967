//! One attempt: from the event that intends it to the event that says what came of it.

use super::ledger::Outcome;
use super::tend::Round;
use crate::core::{Core, later};
use crate::fault::Fault;
use aws::{AwsError, Deletion, ErrorKind, OperationId, OperationStatus};
use domain::{EventId, Timestamp};
use event_log::Position;
use lifecycle::assignment::{AssignmentKey, Operation};
use std::future::Future;

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
    /// Nothing that can be relied on.
    Unknown(AwsError),
}

impl Core {
    /// Makes the call that was intended, if it is still wanted when the event is known here, and learns what came of it.
    pub(super) async fn carry_out(&self, key: &AssignmentKey, intended: Intended) -> Result<Round, Fault> {
        let call = aws::Attempt {
            signed_at: intended.at,
            start_before: later(intended.at, self.settings.start_within),
        };
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
        let aws_key =
            aws::AssignmentKey::of_target(key.principal.clone(), &key.target).map_err(AwsError::from)?;
        let said = match intended.operation {
            Operation::Create => self.create(&aws_key, call).await,
            Operation::Delete => self.delete(&aws_key, call).await,
        };
        match said {
            Said::Done => {
                self.conclude(key, intended.id, Outcome::Confirmed).await?;
                self.agenda.note_seen(key, self.now());
                Ok(Round::Again)
            }
            Said::Refused(error) => {
                let reason = reason_of(&error);
                self.conclude(key, intended.id, Outcome::Failed { reason, definite: true }).await?;
                Err(error.into())
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
        if !self.views.caught_up_to(intended.position).await {
            return Err(Fault::Behind);
        }
        self.refresh()?;
        let needs = self.needs(key).await?;
        let wanted = match intended.operation {
            Operation::Create => needs.any(),
            Operation::Delete => !needs.any() && !needs.unsure,
        };
        Ok(wanted && self.now() < call.start_before)
    }

    async fn create(&self, key: &aws::AssignmentKey, call: aws::Attempt) -> Said {
        match self.answered(self.ports.assignments.create(key, call)).await {
            Ok(operation) => self.poll(&operation, Operation::Create).await,
            Err(error) if error.outcome_unknown() => Said::Unknown(error),
            Err(error) => Said::Refused(error),
        }
    }

    async fn delete(&self, key: &aws::AssignmentKey, call: aws::Attempt) -> Said {
        match self.answered(self.ports.assignments.delete(key, call)).await {
            Ok(Deletion::Started(operation)) => self.poll(&operation, Operation::Delete).await,
            Ok(Deletion::AlreadyGone) => Said::Done,
            Err(error) if error.outcome_unknown() => Said::Unknown(error),
            // What is not there is what was wanted.
            Err(error) if error.kind == ErrorKind::NotFound => Said::Done,
            Err(error) => Said::Refused(error),
        }
    }

    /// A changing call, or an unknown outcome when no answer comes in time.
    async fn answered<T>(&self, call: impl Future<Output = Result<T, AwsError>>) -> Result<T, AwsError> {
        tokio::time::timeout(self.settings.call_within, call)
            .await
            .unwrap_or_else(|_| Err(AwsError::new(ErrorKind::Unknown, "Timeout", "no answer came")))
    }

    /// Asks for the status until it is final. Only AWS's final word counts; without one the outcome is unknown.
    async fn poll(&self, operation: &OperationId, kind: Operation) -> Said {
        let mut pause = self.settings.poll_min;
        let asking = async {
            loop {
                let status = match kind {
                    Operation::Create => self.ports.assignments.creation_status(operation).await,
                    Operation::Delete => self.ports.assignments.deletion_status(operation).await,
                };
                match status {
                    Ok(OperationStatus::Succeeded) => return Said::Done,
                    Ok(OperationStatus::Failed { reason }) => {
                        return Said::Refused(AwsError::new(ErrorKind::Unavailable, "FAILED", &reason));
                    }
                    Ok(OperationStatus::InProgress) => {}
                    Err(error) => tracing::debug!(%error, "the status was not told; asked again"),
                }
                tokio::time::sleep(pause).await;
                pause = pause.saturating_mul(3).checked_div(2).unwrap_or(pause).min(self.settings.poll_max);
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

/// What an event keeps of an error: AWS's code, and for a failed operation AWS's reason.
fn reason_of(error: &AwsError) -> String {
    if error.code == "FAILED" {
        let reason: String = error.message.chars().filter(|c| !c.is_control()).take(REASON_MAX).collect();
        format!("FAILED: {reason}")
    } else {
        error.code.clone()
    }
}

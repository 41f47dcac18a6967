//! The simulated Identity Center, and how both services begin an operation.

use super::SimulatedAws;
use super::assigned::{Service, Verb, check_target, missing_user};
use super::behaviour::{Fault, refusal};
use super::state::{Admitted, Call, State};
use crate::{
    AssignmentKey, Assignments, Attempt, AwsError, Deletion, ErrorKind, GroupId, Limits, OperationId,
    OperationStatus, Turns, permission_set_of,
};
use domain::{AccountId, Entitlement, PrincipalId, SignedDuration, Timestamp};
use std::collections::BTreeSet;

/// Refuses a signature that is `skew_max` old, or as far ahead of the clock of AWS, when it arrives at `now`.
pub(super) fn check_signature(
    signed_at: Timestamp,
    now: Timestamp,
    skew_max: SignedDuration,
) -> Result<(), AwsError> {
    let age = now.duration_since(signed_at);
    if age > skew_max {
        Err(AwsError::new(ErrorKind::Unavailable, "RequestExpired", "the signature is too old"))
    } else if age < -skew_max {
        Err(AwsError::new(
            ErrorKind::Unavailable,
            "InvalidSignatureException",
            "the signature is not current yet",
        ))
    } else {
        Ok(())
    }
}

pub(super) fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// Begins an operation, as the fault (if any) has it.
pub(super) fn begin(
    state: &mut State,
    now: Timestamp,
    verb: Verb,
    key: &AssignmentKey,
    attempt: Attempt,
    admitted: Admitted,
) -> Result<OperationId, AwsError> {
    let State { behaviour, times, directory, sts, assigned, .. } = state;
    let travel = match &admitted.fault {
        Some(Fault::ArrivesLater(travel)) => *travel,
        _other => SignedDuration::ZERO,
    };
    let arrives_at = later(now, travel);
    check_signature(attempt.signed_at, arrives_at, behaviour.signature_skew_max)
        .map_err(|refused| if travel.is_zero() { refused } else { refusal(ErrorKind::Unknown) })?;
    let mut failure = match verb {
        Verb::Create => check_target(directory, sts, behaviour, key)?,
        Verb::Delete => missing_user(directory, behaviour, key),
    };
    let mut time = times.get(key).copied().unwrap_or(behaviour.operation_time);
    match admitted.fault {
        Some(Fault::FailsLater { reason }) => failure = Some(reason),
        Some(Fault::Slow(slow)) => time = slow,
        Some(Fault::ArrivesLater(_)) => {
            return assigned.begin(verb, key, later(arrives_at, time), failure, false);
        }
        Some(Fault::AnswerLost | Fault::Refused(_)) | None => {}
    }
    assigned.check_room(behaviour, key)?;
    assigned.begin(verb, key, later(now, time), failure, true)
}

const IDENTITY_CENTER: Option<Service> = Some(Service::IdentityCenter);

impl SimulatedAws {
    /// The users who hold `entitlement` in `account`, as old as lists are. What its first page shows holds for all of them.
    pub(super) async fn list(
        &self,
        account: &AccountId,
        entitlement: &Entitlement,
        turns: &dyn Turns,
    ) -> Result<BTreeSet<PrincipalId>, AwsError> {
        let service = Some(Service::of(entitlement));
        let call = Call::Holders(account.clone(), entitlement.clone());
        let (holders, pages) = self
            .call(service, call.clone(), |state, now, _| {
                check_list(state, account)?;
                let holders = state.assigned.holders_at(account, entitlement, listed_as_of(state, now));
                let pages = state.behaviour.page_max.map_or(1, |max| holders.len().div_ceil(max.max(1)));
                Ok((holders, pages))
            })
            .await?;
        for _ in 1..pages {
            turns.next().await;
            self.call(service, call.clone(), |_, _, _| Ok(())).await?;
        }
        Ok(holders)
    }
}

/// Refuses lists of the management account to a delegated administrator.
pub(super) fn check_list(state: &State, account: &AccountId) -> Result<(), AwsError> {
    let management = state.directory.accounts.get(account).is_some_and(|account| account.management);
    if management && state.behaviour.delegated_administrator {
        return Err(refusal(ErrorKind::Denied));
    }
    Ok(())
}

/// What lists show now was so then.
pub(super) fn listed_as_of(state: &State, now: Timestamp) -> Timestamp {
    now.checked_sub(state.behaviour.list_lag).unwrap_or(Timestamp::MIN)
}

#[async_trait::async_trait]
impl Assignments for SimulatedAws {
    fn limits(&self) -> Limits {
        Limits::IDENTITY_CENTER
    }

    async fn create(&self, key: &AssignmentKey, attempt: Attempt) -> Result<OperationId, AwsError> {
        permission_set_of(key.entitlement())?;
        attempt.check(self.clock.now())?;
        self.call(IDENTITY_CENTER, Call::Create(key.clone(), attempt), |state, now, admitted| {
            begin(state, now, Verb::Create, key, attempt, admitted)
        })
        .await
    }

    async fn creation_status(&self, operation: &OperationId) -> Result<OperationStatus, AwsError> {
        self.call(IDENTITY_CENTER, Call::CreationStatus(operation.clone()), |state, _, _| {
            state.assigned.status(Verb::Create, operation)
        })
        .await
    }

    async fn delete(
        &self,
        key: &AssignmentKey,
        attempt: Attempt,
        _turns: &dyn Turns,
    ) -> Result<Deletion, AwsError> {
        permission_set_of(key.entitlement())?;
        attempt.check(self.clock.now())?;
        self.call(IDENTITY_CENTER, Call::Delete(key.clone(), attempt), |state, now, admitted| {
            state.assigned.check_room(&state.behaviour, key)?;
            let fails = missing_user(&state.directory, &state.behaviour, key).is_some();
            if state.assigned.has(key) || fails {
                begin(state, now, Verb::Delete, key, attempt, admitted).map(Deletion::Started)
            } else {
                Ok(Deletion::NotFound)
            }
        })
        .await
    }

    async fn deletion_status(&self, operation: &OperationId) -> Result<OperationStatus, AwsError> {
        self.call(IDENTITY_CENTER, Call::DeletionStatus(operation.clone()), |state, _, _| {
            state.assigned.status(Verb::Delete, operation)
        })
        .await
    }

    async fn groups_holding(
        &self,
        account: &AccountId,
        entitlement: &Entitlement,
        _turns: &dyn Turns,
    ) -> Result<BTreeSet<GroupId>, AwsError> {
        let place = (account.clone(), entitlement.clone());
        Ok(self.lock().groups.get(&place).cloned().unwrap_or_default())
    }

    async fn holders(
        &self,
        account: &AccountId,
        entitlement: &Entitlement,
        turns: &dyn Turns,
    ) -> Result<BTreeSet<PrincipalId>, AwsError> {
        permission_set_of(entitlement)?;
        self.list(account, entitlement, turns).await
    }
}

//! The simulated Account Access Manager: entitlements of roles, beside Identity Center's assignments.
//!
//! Like AWS, it tells no status: whether an entitlement has come or gone is seen by asking for it, so an operation that failed
//! stays in progress for ever. To delete one, its id has to be found in a list first, and lists may be behind.

use super::SimulatedAws;
use super::assigned::{Service, Verb};
use super::assignments::{begin, check_list, listed_as_of};
use super::state::Call;
use crate::{
    AssignmentKey, Assignments, Attempt, AwsError, Deletion, Limits, OperationId, OperationStatus, Turns,
    role_of,
};
use domain::{AccountId, Entitlement, PrincipalId};
use std::collections::BTreeSet;
use std::sync::Arc;

const ACCOUNT_ACCESS: Option<Service> = Some(Service::AccountAccess);

/// The Account Access Manager of a simulated AWS, whose observers see both services' assignments.
#[derive(Clone, Debug)]
pub struct SimulatedAccountAccess(Arc<SimulatedAws>);

impl SimulatedAccountAccess {
    /// That of `aws`.
    pub const fn new(aws: Arc<SimulatedAws>) -> Self {
        Self(aws)
    }

    async fn status(
        &self,
        call: Call,
        verb: Verb,
        operation: &OperationId,
        unheard_of: OperationStatus,
    ) -> Result<OperationStatus, AwsError> {
        self.0
            .call(ACCOUNT_ACCESS, call, |state, _, _| {
                Ok(match state.assigned.status(verb, operation) {
                    Ok(OperationStatus::Failed { .. }) => OperationStatus::InProgress,
                    Ok(told) => told,
                    Err(_) => unheard_of,
                })
            })
            .await
    }
}

#[async_trait::async_trait]
impl Assignments for SimulatedAccountAccess {
    fn limits(&self) -> Limits {
        Limits::ACCOUNT_ACCESS
    }

    async fn create(&self, key: &AssignmentKey, attempt: Attempt) -> Result<OperationId, AwsError> {
        role_of(key.account(), key.entitlement())?;
        attempt.check(self.0.clock.now())?;
        self.0
            .call(ACCOUNT_ACCESS, Call::Create(key.clone(), attempt), |state, now, admitted| {
                begin(state, now, Verb::Create, key, attempt, admitted)
            })
            .await
    }

    async fn creation_status(&self, operation: &OperationId) -> Result<OperationStatus, AwsError> {
        let call = Call::CreationStatus(operation.clone());
        self.status(call, Verb::Create, operation, OperationStatus::InProgress).await
    }

    async fn delete(
        &self,
        key: &AssignmentKey,
        attempt: Attempt,
        _turns: &dyn Turns,
    ) -> Result<Deletion, AwsError> {
        role_of(key.account(), key.entitlement())?;
        attempt.check(self.0.clock.now())?;
        self.0
            .call(ACCOUNT_ACCESS, Call::Delete(key.clone(), attempt), |state, now, admitted| {
                let as_of = listed_as_of(state, now);
                let listed = state.assigned.holders_at(key.account(), key.entitlement(), as_of);
                if listed.contains(key.principal()) {
                    begin(state, now, Verb::Delete, key, attempt, admitted).map(Deletion::Started)
                } else {
                    Ok(Deletion::NotFound)
                }
            })
            .await
    }

    async fn deletion_status(&self, operation: &OperationId) -> Result<OperationStatus, AwsError> {
        let call = Call::DeletionStatus(operation.clone());
        self.status(call, Verb::Delete, operation, OperationStatus::Succeeded).await
    }

    async fn holders(
        &self,
        account: &AccountId,
        entitlement: &Entitlement,
        turns: &dyn Turns,
    ) -> Result<BTreeSet<PrincipalId>, AwsError> {
        role_of(account, entitlement)?;
        self.0.list(account, entitlement, turns).await
    }

    async fn held_in(
        &self,
        account: &AccountId,
        _turns: &dyn Turns,
    ) -> Result<Option<BTreeSet<AssignmentKey>>, AwsError> {
        self.0
            .call(ACCOUNT_ACCESS, Call::HeldIn(account.clone()), |state, now, _| {
                check_list(state, account)?;
                Ok(Some(state.assigned.roles_held_at(account, listed_as_of(state, now))))
            })
            .await
    }
}

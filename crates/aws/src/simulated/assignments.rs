//! The simulated Identity Center: asynchronous operations on a set of assignments.

use super::SimulatedAws;
use super::behaviour::{Behaviour, Fault, refusal};
use super::state::{Admitted, Call, Change, ChangedBy, State, keep};
use crate::{
    AssignmentKey, Assignments, Attempt, AwsError, Contents, Deletion, ErrorKind, OperationId,
    OperationStatus,
};
use domain::{AccountId, PermissionSetArn, PrincipalId, SignedDuration, Timestamp};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Whether an operation creates or deletes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Create,
    Delete,
}

/// An operation that has not had its effect yet.
#[derive(Debug)]
struct Pending {
    id: OperationId,
    verb: Verb,
    key: AssignmentKey,
    failure: Option<String>,
    /// A request still on its way is nothing that AWS knows of yet: it conflicts with nothing.
    arrived: bool,
}

#[derive(Debug, Default)]
pub(super) struct IdentityCenter {
    /// By account and permission set, as the API lists them.
    assignments: BTreeMap<(AccountId, PermissionSetArn), BTreeSet<PrincipalId>>,
    pending: BTreeMap<(Timestamp, u64), Pending>,
    /// The keys of the operations that have arrived and are under way.
    busy: BTreeMap<AccountId, BTreeSet<AssignmentKey>>,
    outstanding: usize,
    operations: BTreeMap<OperationId, (Verb, OperationStatus)>,
    finished: VecDeque<OperationId>,
    pub(super) changes: VecDeque<Change>,
    counter: u64,
}

impl IdentityCenter {
    pub(super) fn assignments(&self) -> BTreeSet<AssignmentKey> {
        let keys = self.assignments.iter().flat_map(|((account, set), principals)| {
            principals
                .iter()
                .map(|principal| AssignmentKey::new(principal.clone(), account.clone(), set.clone()))
        });
        keys.collect()
    }

    pub(super) fn has(&self, key: &AssignmentKey) -> bool {
        self.holders(key.account(), key.permission_set())
            .is_some_and(|holders| holders.contains(key.principal()))
    }

    fn holders(&self, account: &AccountId, set: &PermissionSetArn) -> Option<&BTreeSet<PrincipalId>> {
        self.assignments.get(&(account.clone(), set.clone()))
    }

    /// The holders as they were at `at`, by undoing what has changed since.
    fn holders_at(
        &self,
        account: &AccountId,
        set: &PermissionSetArn,
        at: Timestamp,
    ) -> BTreeSet<PrincipalId> {
        let mut holders = self.holders(account, set).cloned().unwrap_or_default();
        for change in self.changes.iter().rev().take_while(|change| change.at > at) {
            if change.key.account() == account && change.key.permission_set() == set {
                if change.present {
                    holders.remove(change.key.principal());
                } else {
                    holders.insert(change.key.principal().clone());
                }
            }
        }
        holders
    }

    /// Makes an assignment exist, or not.
    pub(super) fn change(&mut self, at: Timestamp, key: AssignmentKey, present: bool, by: ChangedBy) {
        let place = (key.account().clone(), key.permission_set().clone());
        let mut holders = match self.assignments.entry(place) {
            Entry::Occupied(holders) => holders,
            Entry::Vacant(_) if !present => return,
            Entry::Vacant(vacant) => vacant.insert_entry(BTreeSet::new()),
        };
        let changed = if present {
            holders.get_mut().insert(key.principal().clone())
        } else {
            holders.get_mut().remove(key.principal())
        };
        if holders.get().is_empty() {
            holders.remove();
        }
        if changed {
            keep(&mut self.changes, Change { at, key, present, by });
        }
    }

    /// Lets every operation that is due have its effect, at the instant it was due.
    pub(super) fn settle(&mut self, now: Timestamp) {
        while let Some(entry) = self.pending.first_entry().filter(|entry| entry.key().0 <= now) {
            let ((at, _), operation) = entry.remove_entry();
            if operation.arrived {
                self.no_longer_busy(&operation.key);
            }
            let status = match (operation.failure, operation.verb) {
                (Some(reason), _) => OperationStatus::Failed { reason },
                (None, Verb::Create) => {
                    self.change(at, operation.key, true, ChangedBy::Daypass);
                    OperationStatus::Succeeded
                }
                (None, Verb::Delete) => {
                    self.change(at, operation.key, false, ChangedBy::Daypass);
                    OperationStatus::Succeeded
                }
            };
            self.operations.insert(operation.id.clone(), (operation.verb, status));
            if let Some(forgotten) = keep(&mut self.finished, operation.id) {
                self.operations.remove(&forgotten);
            }
        }
    }

    fn begin(
        &mut self,
        verb: Verb,
        key: &AssignmentKey,
        due: Timestamp,
        failure: Option<String>,
        arrived: bool,
    ) -> Result<OperationId, AwsError> {
        self.counter += 1;
        let id = OperationId::new(format!("00000000-0000-4000-8000-{:012x}", self.counter))?;
        self.operations.insert(id.clone(), (verb, OperationStatus::InProgress));
        if arrived {
            self.busy.entry(key.account().clone()).or_default().insert(key.clone());
            self.outstanding += 1;
        }
        self.pending.insert(
            (due, self.counter),
            Pending { id: id.clone(), verb, key: key.clone(), failure, arrived },
        );
        Ok(id)
    }

    fn no_longer_busy(&mut self, key: &AssignmentKey) {
        if let Entry::Occupied(mut keys) = self.busy.entry(key.account().clone()) {
            keys.get_mut().remove(key);
            if keys.get().is_empty() {
                keys.remove();
            }
        }
        self.outstanding = self.outstanding.saturating_sub(1);
    }

    /// Refuses what AWS would refuse while other operations are under way.
    fn check_room(&self, behaviour: &Behaviour, key: &AssignmentKey) -> Result<(), AwsError> {
        if let Some(keys) = self.busy.get(key.account())
            && (behaviour.conflict_in_account || keys.contains(key))
        {
            return Err(refusal(ErrorKind::Conflict));
        }
        match behaviour.outstanding_max {
            Some(limit) if self.outstanding >= limit => Err(refusal(ErrorKind::Throttled)),
            Some(_) | None => Ok(()),
        }
    }

    fn status(&self, verb: Verb, operation: &OperationId) -> Result<OperationStatus, AwsError> {
        match self.operations.get(operation) {
            Some((of, status)) if *of == verb => Ok(status.clone()),
            Some(_) | None => Err(refusal(ErrorKind::NotFound)),
        }
    }
}

/// What AWS finds wrong at once (error) or only when it does the work (failure).
fn check_target(
    directory: &Contents,
    behaviour: &Behaviour,
    key: &AssignmentKey,
) -> Result<Option<String>, AwsError> {
    if !directory.permission_sets.contains_key(key.permission_set()) {
        return Err(refusal(ErrorKind::NotFound));
    }
    let Some(account) = directory.accounts.get(key.account()) else {
        return Ok(Some(format!("account {} is not in the organisation", key.account())));
    };
    if account.management && behaviour.delegated_administrator {
        return Err(refusal(ErrorKind::Denied));
    }
    if !account.active {
        return Ok(Some(format!("account {} is suspended", key.account())));
    }
    if !directory.users.contains_key(key.principal()) {
        return Ok(Some(format!("user {} does not exist", key.principal())));
    }
    Ok(None)
}

fn stale_signature() -> AwsError {
    AwsError::new(ErrorKind::Unavailable, "RequestExpired", "the signature is too old")
}

fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// Begins an operation, as the fault (if any) has it.
fn begin(
    state: &mut State,
    now: Timestamp,
    verb: Verb,
    key: &AssignmentKey,
    attempt: Attempt,
    admitted: Admitted,
) -> Result<OperationId, AwsError> {
    let State { behaviour, directory, identity_center, .. } = state;
    let travel = match &admitted.fault {
        Some(Fault::ArrivesLater(travel)) => *travel,
        _other => SignedDuration::ZERO,
    };
    let arrives_at = later(now, travel);
    if arrives_at.duration_since(attempt.signed_at) > behaviour.signature_age_max {
        return Err(if travel.is_zero() { stale_signature() } else { refusal(ErrorKind::Unknown) });
    }
    let mut failure = match verb {
        Verb::Create => check_target(directory, behaviour, key)?,
        Verb::Delete => None,
    };
    let mut time = behaviour.operation_time;
    match admitted.fault {
        Some(Fault::FailsLater { reason }) => failure = Some(reason),
        Some(Fault::Slow(slow)) => time = slow,
        Some(Fault::ArrivesLater(_)) => {
            return identity_center.begin(verb, key, later(arrives_at, time), failure, false);
        }
        Some(Fault::AnswerLost | Fault::Refused(_)) | None => {}
    }
    identity_center.check_room(behaviour, key)?;
    identity_center.begin(verb, key, later(now, time), failure, true)
}

#[async_trait::async_trait]
impl Assignments for SimulatedAws {
    async fn create(&self, key: &AssignmentKey, attempt: Attempt) -> Result<OperationId, AwsError> {
        attempt.check(self.clock.now())?;
        self.call(Call::Create(key.clone(), attempt), |state, now, admitted| {
            begin(state, now, Verb::Create, key, attempt, admitted)
        })
        .await
    }

    async fn creation_status(&self, operation: &OperationId) -> Result<OperationStatus, AwsError> {
        self.call(Call::CreationStatus(operation.clone()), |state, _, _| {
            state.identity_center.status(Verb::Create, operation)
        })
        .await
    }

    async fn delete(&self, key: &AssignmentKey, attempt: Attempt) -> Result<Deletion, AwsError> {
        attempt.check(self.clock.now())?;
        self.call(Call::Delete(key.clone(), attempt), |state, now, admitted| {
            state.identity_center.check_room(&state.behaviour, key)?;
            if state.identity_center.has(key) {
                begin(state, now, Verb::Delete, key, attempt, admitted).map(Deletion::Started)
            } else {
                Ok(Deletion::AlreadyGone)
            }
        })
        .await
    }

    async fn deletion_status(&self, operation: &OperationId) -> Result<OperationStatus, AwsError> {
        self.call(Call::DeletionStatus(operation.clone()), |state, _, _| {
            state.identity_center.status(Verb::Delete, operation)
        })
        .await
    }

    async fn holders(
        &self,
        account: &AccountId,
        permission_set: &PermissionSetArn,
    ) -> Result<BTreeSet<PrincipalId>, AwsError> {
        self.call(Call::Holders(account.clone(), permission_set.clone()), |state, now, _| {
            let as_of = now.checked_sub(state.behaviour.list_lag).unwrap_or(Timestamp::MIN);
            Ok(state.identity_center.holders_at(account, permission_set, as_of))
        })
        .await
    }
}

//! What is assigned in the simulated AWS, by either service: asynchronous operations on a set of assignments.

use super::behaviour::{Behaviour, refusal};
use super::state::{Change, ChangedBy, keep};
use super::sts::StsState;
use crate::{AssignmentKey, AwsError, Contents, ErrorKind, OperationId, OperationStatus};
use domain::{AccountId, Entitlement, PrincipalId, Timestamp};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The service that assigns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Service {
    /// Permission sets.
    IdentityCenter,
    /// Roles.
    AccountAccess,
}

impl Service {
    pub(super) const fn of(entitlement: &Entitlement) -> Self {
        match entitlement {
            Entitlement::PermissionSet(_) => Self::IdentityCenter,
            Entitlement::Role(_) => Self::AccountAccess,
        }
    }
}

/// Whether an operation creates or deletes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
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
pub(super) struct Assigned {
    /// By account and entitlement, as the APIs list them.
    assignments: BTreeMap<(AccountId, Entitlement), BTreeSet<PrincipalId>>,
    pending: BTreeMap<(Timestamp, u64), Pending>,
    /// The keys of the operations that have arrived and are under way.
    busy: BTreeMap<(Service, AccountId), BTreeSet<AssignmentKey>>,
    outstanding: BTreeMap<Service, usize>,
    operations: BTreeMap<OperationId, (Verb, OperationStatus)>,
    finished: VecDeque<OperationId>,
    pub(super) changes: VecDeque<Change>,
    counter: u64,
}

impl Assigned {
    pub(super) fn assignments(&self) -> BTreeSet<AssignmentKey> {
        let keys = self.assignments.iter().flat_map(|((account, entitlement), principals)| {
            principals
                .iter()
                .map(|principal| AssignmentKey::new(principal.clone(), account.clone(), entitlement.clone()))
        });
        keys.collect()
    }

    pub(super) fn has(&self, key: &AssignmentKey) -> bool {
        self.holders(key.account(), key.entitlement())
            .is_some_and(|holders| holders.contains(key.principal()))
    }

    fn holders(&self, account: &AccountId, entitlement: &Entitlement) -> Option<&BTreeSet<PrincipalId>> {
        self.assignments.get(&(account.clone(), entitlement.clone()))
    }

    /// The holders as they were at `at`, by undoing what has changed since.
    pub(super) fn holders_at(
        &self,
        account: &AccountId,
        entitlement: &Entitlement,
        at: Timestamp,
    ) -> BTreeSet<PrincipalId> {
        let mut holders = self.holders(account, entitlement).cloned().unwrap_or_default();
        for change in self.changes.iter().rev().take_while(|change| change.at > at) {
            if change.key.account() == account && change.key.entitlement() == entitlement {
                if change.present {
                    holders.remove(change.key.principal());
                } else {
                    holders.insert(change.key.principal().clone());
                }
            }
        }
        holders
    }

    /// Every role that users held in `account` at `at`.
    pub(super) fn roles_held_at(&self, account: &AccountId, at: Timestamp) -> BTreeSet<AssignmentKey> {
        let now = self.assignments.keys();
        let since = self.changes.iter().rev().take_while(|change| change.at > at);
        let since = since.map(|change| (change.key.account(), change.key.entitlement()));
        let roles: BTreeSet<&Entitlement> = now
            .map(|(account, entitlement)| (account, entitlement))
            .chain(since)
            .filter(|(of, entitlement)| *of == account && Service::of(entitlement) == Service::AccountAccess)
            .map(|(_, role)| role)
            .collect();
        let held = |role: &Entitlement| {
            let holders = self.holders_at(account, role, at).into_iter();
            holders.map(|user| AssignmentKey::new(user, account.clone(), role.clone())).collect::<Vec<_>>()
        };
        roles.into_iter().flat_map(held).collect()
    }

    /// Makes an assignment exist, or not.
    pub(super) fn change(&mut self, at: Timestamp, key: AssignmentKey, present: bool, by: ChangedBy) {
        let place = (key.account().clone(), key.entitlement().clone());
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

    pub(super) fn begin(
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
            self.busy.entry(place_of(key)).or_default().insert(key.clone());
            *self.outstanding.entry(Service::of(key.entitlement())).or_default() += 1;
        }
        self.pending.insert(
            (due, self.counter),
            Pending { id: id.clone(), verb, key: key.clone(), failure, arrived },
        );
        Ok(id)
    }

    fn no_longer_busy(&mut self, key: &AssignmentKey) {
        if let Entry::Occupied(mut keys) = self.busy.entry(place_of(key)) {
            keys.get_mut().remove(key);
            if keys.get().is_empty() {
                keys.remove();
            }
        }
        let outstanding = self.outstanding.entry(Service::of(key.entitlement())).or_default();
        *outstanding = outstanding.saturating_sub(1);
    }

    /// Refuses what AWS would refuse while other operations are under way.
    pub(super) fn check_room(&self, behaviour: &Behaviour, key: &AssignmentKey) -> Result<(), AwsError> {
        let service = Service::of(key.entitlement());
        if let Some(keys) = self.busy.get(&place_of(key))
            && (behaviour.conflict_in_account && service == Service::IdentityCenter || keys.contains(key))
        {
            return Err(refusal(ErrorKind::Conflict));
        }
        let outstanding = self.outstanding.get(&service).copied().unwrap_or_default();
        match behaviour.outstanding_max {
            Some(limit) if outstanding >= limit => Err(refusal(ErrorKind::Throttled)),
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn status(&self, verb: Verb, operation: &OperationId) -> Result<OperationStatus, AwsError> {
        match self.operations.get(operation) {
            Some((of, status)) if *of == verb => Ok(status.clone()),
            Some(_) | None => Err(refusal(ErrorKind::NotFound)),
        }
    }
}

/// Where operations get into each other's way.
fn place_of(key: &AssignmentKey) -> (Service, AccountId) {
    (Service::of(key.entitlement()), key.account().clone())
}

/// Why a removal fails, where it needs its user and the directory has them no more.
pub(super) fn missing_user(
    directory: &Contents,
    behaviour: &Behaviour,
    key: &AssignmentKey,
) -> Option<String> {
    let needs_user = behaviour.removal_needs_user
        && Service::of(key.entitlement()) == Service::IdentityCenter
        && !directory.users.contains_key(key.principal());
    needs_user.then(|| {
        let user = key.principal();
        format!("Received a 404 status error: the USER assignee {user} was not found in directory")
    })
}

/// What AWS finds wrong at once (error) or only when it does the work (failure).
pub(super) fn check_target(
    directory: &Contents,
    sts: &StsState,
    behaviour: &Behaviour,
    key: &AssignmentKey,
) -> Result<Option<String>, AwsError> {
    let is_known = match key.entitlement() {
        Entitlement::PermissionSet(set) => directory.permission_sets.contains_key(set),
        // AWS's pages do not say what is looked at; its errors suggest that all three are.
        Entitlement::Role(role) => {
            sts.roles.contains_key(role)
                && directory.accounts.contains_key(key.account())
                && directory.users.contains_key(key.principal())
        }
    };
    if !is_known {
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

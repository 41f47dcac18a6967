//! Assignments that AWS keeps until they are removed: permission sets through IAM Identity Center, roles through Account
//! Access Manager. One port, because one reconciler makes both as the log says; which service an implementation speaks to is
//! told by the entitlements that it takes.
//!
//! Create and delete may be asynchronous and know no client token: only a status of `Succeeded` or an observation says what
//! exists. Create does not reject a duplicate, so who wants to know what stood there before looks first.

use crate::text::{printable, text};
use crate::{AwsError, ErrorKind, GroupId};
use domain::{AccountId, Entitlement, PermissionSetArn, PrincipalId, RoleArn, Target, Timestamp};
use std::collections::BTreeSet;

/// One possible assignment: a user holds a permission set or a role in an account.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AssignmentKey {
    account: AccountId,
    entitlement: Entitlement,
    principal: PrincipalId,
}

impl AssignmentKey {
    /// The assignment of `entitlement` in `account` to `principal`.
    pub fn new(principal: PrincipalId, account: AccountId, entitlement: impl Into<Entitlement>) -> Self {
        Self { account, entitlement: entitlement.into(), principal }
    }

    /// The assignment that gives `target` to `principal`.
    pub fn of_target(principal: PrincipalId, target: &Target) -> Self {
        Self::new(principal, target.account().clone(), target.entitlement().clone())
    }

    /// Who holds it.
    pub fn principal(&self) -> &PrincipalId {
        &self.principal
    }

    /// Where.
    pub fn account(&self) -> &AccountId {
        &self.account
    }

    /// What.
    pub fn entitlement(&self) -> &Entitlement {
        &self.entitlement
    }
}

impl std::fmt::Display for AssignmentKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} in {} for {}", self.entitlement, self.account, self.principal)
    }
}

/// The permission set: for an implementation that assigns nothing else.
pub fn permission_set_of(entitlement: &Entitlement) -> Result<&PermissionSetArn, AwsError> {
    match entitlement {
        Entitlement::PermissionSet(set) => Ok(set),
        Entitlement::Role(_) => Err(not_assigned_here("Identity Center assigns permission sets, not roles")),
    }
}

/// The role, which must be one of `account`: for an implementation that assigns nothing else.
pub fn role_of<'a>(account: &AccountId, entitlement: &'a Entitlement) -> Result<&'a RoleArn, AwsError> {
    match entitlement {
        Entitlement::Role(role) if role.account().as_ref() == Some(account) => Ok(role),
        Entitlement::Role(_) => Err(not_assigned_here("the role is in another account")),
        Entitlement::PermissionSet(_) => {
            Err(not_assigned_here("Account Access Manager gives roles, not permission sets"))
        }
    }
}

fn not_assigned_here(why: &str) -> AwsError {
    AwsError::new(ErrorKind::Invalid, "NotAssignedHere", why)
}

text!(
    /// AWS's id of an asynchronous create or delete; asks for its status.
    OperationId, "operation id", "must be 1 to 128 printable characters", |text| printable(text, 128)
);

/// The fence of one attempt to change something. AWS has no fencing token, but refuses requests signed long ago: a call that
/// is signed with `signed_at` and started before `start_before` cannot take effect for the first time long after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Attempt {
    /// The instant that the request is signed with: when the attempt was decided.
    pub signed_at: Timestamp,
    /// From this instant on the call must not be started any more.
    pub start_before: Timestamp,
}

impl Attempt {
    /// Refuses to start late; every implementation asks this directly before it calls.
    pub fn check(&self, now: Timestamp) -> Result<(), AwsError> {
        if now < self.start_before {
            Ok(())
        } else {
            Err(AwsError::new(
                ErrorKind::Unavailable,
                "TooLateToStart",
                "the attempt's deadline passed before the call began",
            ))
        }
    }
}

/// How an asynchronous operation stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OperationStatus {
    /// Not done yet.
    InProgress,
    /// Done.
    Succeeded,
    /// Not done, and will not be.
    Failed {
        /// AWS's words.
        reason: String,
    },
}

impl OperationStatus {
    /// Whether the status can still change.
    pub const fn is_final(&self) -> bool {
        match self {
            Self::InProgress => false,
            Self::Succeeded | Self::Failed { .. } => true,
        }
    }
}

/// What became of asking for a deletion.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Deletion {
    /// Under way.
    Started(OperationId),
    /// Nothing to delete was found, and nothing was done. AWS may be behind what was just made, so this proves nothing: look later.
    NotFound,
}

/// What AWS takes of one kind of assignments, from all callers together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Limits {
    /// Calls of any kind in a second.
    pub calls_per_second: usize,
    /// Creates and deletes under way at a time.
    pub outstanding_max: usize,
    /// Whether a second change in an account conflicts with one that is under way.
    pub one_per_account: bool,
}

impl Limits {
    /// Identity Center. Some of AWS's pages allow 15 outstanding changes, some 10. It keeps a role for each permission set in
    /// an account, and changes of one account get into each other's way.
    pub const IDENTITY_CENTER: Self =
        Self { calls_per_second: 20, outstanding_max: 10, one_per_account: true };

    /// Account Access Manager, as its quotas say. Roles stay as they are, so changes of one account do not meet.
    pub const ACCOUNT_ACCESS: Self =
        Self { calls_per_second: 20, outstanding_max: 15, one_per_account: false };
}

/// Who lets calls of AWS go. A call of a port is one call of AWS, and let go by whoever makes it; but a list of several pages takes
/// as many, and some deletions look first. Before each further call an implementation waits here, so that none goes uncounted.
#[async_trait::async_trait]
pub trait Turns: Send + Sync {
    /// Waits until one more call may be made.
    async fn next(&self);
}

/// Nobody counts calls: each may be made at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Uncounted;

#[async_trait::async_trait]
impl Turns for Uncounted {
    async fn next(&self) {}
}

/// The assignments of one IAM Identity Center instance, or of one Account Access Manager application. Every call is tried once;
/// who makes it decides about another.
#[async_trait::async_trait]
pub trait Assignments: Send + Sync + 'static {
    /// What AWS takes of this kind.
    fn limits(&self) -> Limits;

    /// Begins to create the assignment. Succeeds when it is there already.
    async fn create(&self, key: &AssignmentKey, attempt: Attempt) -> Result<OperationId, AwsError>;

    /// How a create stands.
    async fn creation_status(&self, operation: &OperationId) -> Result<OperationStatus, AwsError>;

    /// Begins to delete the assignment.
    async fn delete(
        &self,
        key: &AssignmentKey,
        attempt: Attempt,
        turns: &dyn Turns,
    ) -> Result<Deletion, AwsError>;

    /// How a delete stands.
    async fn deletion_status(&self, operation: &OperationId) -> Result<OperationStatus, AwsError>;

    /// The users who hold `entitlement` in `account` directly, now; groups are left out.
    async fn holders(
        &self,
        account: &AccountId,
        entitlement: &Entitlement,
        turns: &dyn Turns,
    ) -> Result<BTreeSet<PrincipalId>, AwsError>;

    /// The groups that hold `entitlement` in `account` now: their members stand there, whatever they hold themselves. None, where
    /// the service gives nothing to groups.
    async fn groups_holding(
        &self,
        _account: &AccountId,
        _entitlement: &Entitlement,
        _turns: &dyn Turns,
    ) -> Result<BTreeSet<GroupId>, AwsError> {
        Ok(BTreeSet::new())
    }

    /// What users hold in `account` directly, of everything that this service gives there; `None`: AWS has no such list, and
    /// entitlements are asked for one by one ([`holders`](Self::holders)).
    async fn held_in(
        &self,
        _account: &AccountId,
        _turns: &dyn Turns,
    ) -> Result<Option<BTreeSet<AssignmentKey>>, AwsError> {
        Ok(None)
    }

    /// Whether the assignment is there now: the same principal, exactly.
    async fn find(&self, key: &AssignmentKey, turns: &dyn Turns) -> Result<bool, AwsError> {
        Ok(self.holders(key.account(), key.entitlement(), turns).await?.contains(key.principal()))
    }
}

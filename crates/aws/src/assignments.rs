//! Account assignments of IAM Identity Center.
//!
//! Create and delete are asynchronous and know no client token: only a status of `Succeeded` or an observation says what
//! exists. Create does not reject a duplicate, so who wants to know what stood there before looks first.

use crate::AwsError;
use crate::text::{printable, text};
use domain::{AccountId, Entitlement, Invalid, PermissionSetArn, PrincipalId, Target, Timestamp};
use std::collections::BTreeSet;

/// One possible assignment: a user holds a permission set in an account.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AssignmentKey {
    account: AccountId,
    permission_set: PermissionSetArn,
    principal: PrincipalId,
}

impl AssignmentKey {
    /// The assignment of `permission_set` in `account` to `principal`.
    pub fn new(principal: PrincipalId, account: AccountId, permission_set: PermissionSetArn) -> Self {
        Self { account, permission_set, principal }
    }

    /// The assignment that gives `target` to `principal`; roles are not assigned.
    pub fn of_target(principal: PrincipalId, target: &Target) -> Result<Self, Invalid> {
        match target.entitlement() {
            Entitlement::PermissionSet(set) => {
                Ok(Self::new(principal, target.account().clone(), set.clone()))
            }
            Entitlement::Role(_) => Err(Invalid::new("target", "must be a permission set to be assigned")),
        }
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
    pub fn permission_set(&self) -> &PermissionSetArn {
        &self.permission_set
    }
}

impl std::fmt::Display for AssignmentKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} in {} for {}", self.permission_set, self.account, self.principal)
    }
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
                crate::ErrorKind::Unavailable,
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
    /// There was nothing to delete.
    AlreadyGone,
}

/// The account assignments of one IAM Identity Center instance.
#[async_trait::async_trait]
pub trait Assignments: Send + Sync + 'static {
    /// Begins to create the assignment. Succeeds when it is there already.
    async fn create(&self, key: &AssignmentKey, attempt: Attempt) -> Result<OperationId, AwsError>;

    /// How a create stands.
    async fn creation_status(&self, operation: &OperationId) -> Result<OperationStatus, AwsError>;

    /// Begins to delete the assignment.
    async fn delete(&self, key: &AssignmentKey, attempt: Attempt) -> Result<Deletion, AwsError>;

    /// How a delete stands.
    async fn deletion_status(&self, operation: &OperationId) -> Result<OperationStatus, AwsError>;

    /// The users who hold `permission_set` in `account` directly, now; groups are left out.
    async fn holders(
        &self,
        account: &AccountId,
        permission_set: &PermissionSetArn,
    ) -> Result<BTreeSet<PrincipalId>, AwsError>;

    /// Whether the assignment is there now: the same principal, exactly.
    async fn find(&self, key: &AssignmentKey) -> Result<bool, AwsError> {
        Ok(self.holders(key.account(), key.permission_set()).await?.contains(key.principal()))
    }
}

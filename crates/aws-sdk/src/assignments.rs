//! [`aws::Assignments`] on IAM Identity Center's `sso-admin`.

use crate::error::{Effect, incomplete, sorted};
use crate::pages;
use aws::{
    AssignmentKey, Assignments, Attempt, AwsError, Deletion, ErrorKind, GroupId, Limits, OperationId,
    OperationStatus, Turns, permission_set_of,
};
use aws_sdk_ssoadmin::config::Builder as ConfigBuilder;
use aws_sdk_ssoadmin::types::{
    AccountAssignment, AccountAssignmentOperationStatus, PrincipalType, StatusValues, TargetType,
};
use aws_smithy_async::time::StaticTimeSource;
use domain::ports::SharedClock;
use domain::{AccountId, Entitlement, PrincipalId};
use std::collections::BTreeSet;

/// The account assignments of one Identity Center instance.
#[derive(Clone)]
pub struct SdkAssignments {
    /// Tries every call once.
    pub(crate) client: aws_sdk_ssoadmin::Client,
    pub(crate) instance_arn: String,
    pub(crate) clock: SharedClock,
}

impl std::fmt::Debug for SdkAssignments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SdkAssignments").field("instance_arn", &self.instance_arn).finish_non_exhaustive()
    }
}

/// Signs with the attempt's time, so that AWS refuses the request when it arrives long after.
fn signed_by(attempt: Attempt) -> ConfigBuilder {
    ConfigBuilder::new().time_source(StaticTimeSource::new(attempt.signed_at.into()))
}

/// The id of an operation that has been begun.
fn begun(status: Option<AccountAssignmentOperationStatus>) -> Result<OperationId, AwsError> {
    let id = status
        .and_then(|status| status.request_id)
        .ok_or_else(|| incomplete(Effect::Changes, "an operation without id"))?;
    OperationId::new(id).map_err(|_| incomplete(Effect::Changes, "an operation with a malformed id"))
}

fn status_of(status: Option<AccountAssignmentOperationStatus>) -> Result<OperationStatus, AwsError> {
    let status = status.ok_or_else(|| incomplete(Effect::Reads, "an operation without status"))?;
    match status.status {
        Some(StatusValues::InProgress) => Ok(OperationStatus::InProgress),
        Some(StatusValues::Succeeded) => Ok(OperationStatus::Succeeded),
        Some(StatusValues::Failed) => {
            let reason = status.failure_reason.unwrap_or_else(|| "AWS gives no reason".to_owned());
            Ok(OperationStatus::Failed { reason: reason.chars().take(AwsError::MESSAGE_MAX).collect() })
        }
        _other => Err(incomplete(Effect::Reads, "an operation with an unknown status")),
    }
}

#[async_trait::async_trait]
impl Assignments for SdkAssignments {
    fn limits(&self) -> Limits {
        Limits::IDENTITY_CENTER
    }

    async fn create(&self, key: &AssignmentKey, attempt: Attempt) -> Result<OperationId, AwsError> {
        let call = self
            .client
            .create_account_assignment()
            .instance_arn(&self.instance_arn)
            .target_type(TargetType::AwsAccount)
            .target_id(key.account().as_str())
            .permission_set_arn(permission_set_of(key.entitlement())?.as_str())
            .principal_type(PrincipalType::User)
            .principal_id(key.principal().as_str())
            .customize()
            .config_override(signed_by(attempt));
        attempt.check(self.clock.now())?;
        let answer = call.send().await.map_err(|error| sorted(Effect::Changes, &error))?;
        begun(answer.account_assignment_creation_status)
    }

    async fn creation_status(&self, operation: &OperationId) -> Result<OperationStatus, AwsError> {
        let answer = self
            .client
            .describe_account_assignment_creation_status()
            .instance_arn(&self.instance_arn)
            .account_assignment_creation_request_id(operation.as_str())
            .send()
            .await
            .map_err(|error| sorted(Effect::Reads, &error))?;
        status_of(answer.account_assignment_creation_status)
    }

    async fn delete(
        &self,
        key: &AssignmentKey,
        attempt: Attempt,
        _turns: &dyn Turns,
    ) -> Result<Deletion, AwsError> {
        let call = self
            .client
            .delete_account_assignment()
            .instance_arn(&self.instance_arn)
            .target_type(TargetType::AwsAccount)
            .target_id(key.account().as_str())
            .permission_set_arn(permission_set_of(key.entitlement())?.as_str())
            .principal_type(PrincipalType::User)
            .principal_id(key.principal().as_str())
            .customize()
            .config_override(signed_by(attempt));
        attempt.check(self.clock.now())?;
        match call.send().await.map_err(|error| sorted(Effect::Changes, &error)) {
            Ok(answer) => begun(answer.account_assignment_deletion_status).map(Deletion::Started),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(Deletion::NotFound),
            Err(error) => Err(error),
        }
    }

    async fn deletion_status(&self, operation: &OperationId) -> Result<OperationStatus, AwsError> {
        let answer = self
            .client
            .describe_account_assignment_deletion_status()
            .instance_arn(&self.instance_arn)
            .account_assignment_deletion_request_id(operation.as_str())
            .send()
            .await
            .map_err(|error| sorted(Effect::Reads, &error))?;
        status_of(answer.account_assignment_deletion_status)
    }

    async fn holders(
        &self,
        account: &AccountId,
        entitlement: &Entitlement,
        turns: &dyn Turns,
    ) -> Result<BTreeSet<PrincipalId>, AwsError> {
        let users = self.held_by(&PrincipalType::User, account, entitlement, turns).await?;
        Ok(users.into_iter().map(PrincipalId::new).collect::<Result<_, _>>()?)
    }

    async fn groups_holding(
        &self,
        account: &AccountId,
        entitlement: &Entitlement,
        turns: &dyn Turns,
    ) -> Result<BTreeSet<GroupId>, AwsError> {
        let groups = self.held_by(&PrincipalType::Group, account, entitlement, turns).await?;
        Ok(groups.into_iter().map(GroupId::new).collect::<Result<_, _>>()?)
    }
}

impl SdkAssignments {
    /// The principals of one type that hold a permission set in an account.
    async fn held_by(
        &self,
        kind: &PrincipalType,
        account: &AccountId,
        entitlement: &Entitlement,
        turns: &dyn Turns,
    ) -> Result<Vec<String>, AwsError> {
        let permission_set = permission_set_of(entitlement)?;
        let assignments = pages::all(async |token| {
            if token.is_some() {
                turns.next().await;
            }
            let answer = self
                .client
                .list_account_assignments()
                .instance_arn(&self.instance_arn)
                .account_id(account.as_str())
                .permission_set_arn(permission_set.as_str())
                .set_next_token(token)
                .send()
                .await
                .map_err(|error| sorted(Effect::Reads, &error))?;
            Ok((answer.account_assignments.unwrap_or_default(), answer.next_token))
        })
        .await?;
        let of_this = |assignment: &AccountAssignment| {
            assignment.account_id.as_deref() == Some(account.as_str())
                && assignment.permission_set_arn.as_deref() == Some(permission_set.as_str())
                && assignment.principal_type.as_ref() == Some(kind)
        };
        let ids = assignments.into_iter().filter(of_this).map(|assignment| {
            assignment
                .principal_id
                .ok_or_else(|| incomplete(Effect::Reads, "an assignment without principal"))
        });
        ids.collect()
    }
}

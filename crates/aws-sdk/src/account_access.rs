//! [`aws::Assignments`] on Account Access Manager: a user of Identity Center may assume an ordinary role.
//!
//! Its entitlements carry no status. A create answers with the entitlement's id, which serves as the operation's: what is there
//! when asked for has been created, what is not there any more has been deleted, and a failure is never told. To delete one, its
//! id is looked for in a list; what is not listed may still be about to be, so nothing is concluded from that.

use crate::error::{Effect, incomplete, sorted};
use crate::pages;
use aws::{
    AssignmentKey, Assignments, Attempt, AwsError, Deletion, ErrorKind, Limits, OperationId, OperationStatus,
    Turns, role_of,
};
use aws_sdk_accountaccess::config::Builder as ConfigBuilder;
use aws_sdk_accountaccess::types::{
    Entitlement as Granted, EntitlementFilter, EntitlementSummary, IdentityCenterPrincipal,
    IdentityCenterPrincipalFilter, IdentitySourceDetails, Principal, PrincipalFilter,
    PrincipalRoleEntitlement, PrincipalRoleEntitlementFilter, Status,
};
use aws_smithy_async::time::StaticTimeSource;
use domain::ports::SharedClock;
use domain::{AccountId, Entitlement, PrincipalId, RoleArn};
use std::collections::BTreeSet;

/// AWS's longest page.
const PAGE_MAX: i32 = 100;

/// Which application of Account Access Manager entitlements are made in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Application {
    /// The only active one of our Identity Center instance.
    TheOnly,
    /// This one.
    Arn(String),
}

/// The entitlements of one application.
#[derive(Clone)]
pub struct SdkAccountAccess {
    /// Tries every call once.
    pub(crate) client: aws_sdk_accountaccess::Client,
    pub(crate) application_arn: String,
    pub(crate) clock: SharedClock,
}

impl std::fmt::Debug for SdkAccountAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SdkAccountAccess")
            .field("application_arn", &self.application_arn)
            .finish_non_exhaustive()
    }
}

/// Signs with the attempt's time, so that AWS refuses the request when it arrives long after.
fn signed_by(attempt: Attempt) -> ConfigBuilder {
    ConfigBuilder::new().time_source(StaticTimeSource::new(attempt.signed_at.into()))
}

/// An input that the SDK does not take.
fn malformed(error: &aws_sdk_accountaccess::error::BuildError) -> AwsError {
    AwsError::new(ErrorKind::Invalid, "BuildError", &error.to_string())
}

/// One entitlement of a user.
struct Listed {
    id: String,
    role: RoleArn,
    user: PrincipalId,
}

impl SdkAccountAccess {
    /// Who may assume roles of `account`, directly: every role, or `role` alone; all users, or `user` alone.
    async fn list(
        &self,
        account: &AccountId,
        role: Option<&RoleArn>,
        user: Option<&PrincipalId>,
        turns: &dyn Turns,
    ) -> Result<Vec<Listed>, AwsError> {
        let user_filter = user.map(|user| {
            PrincipalFilter::IdentityCenter(IdentityCenterPrincipalFilter::UserId(user.to_string()))
        });
        let by_role = PrincipalRoleEntitlementFilter::builder()
            .set_principal(user_filter)
            .set_role_arn(role.map(ToString::to_string))
            .account(account.as_str())
            .build();
        let filter = EntitlementFilter::builder().principal_role(by_role).build();
        let members = pages::all(async |token| {
            if token.is_some() {
                turns.next().await;
            }
            let answer = self
                .client
                .list_entitlements()
                .application_arn(&self.application_arn)
                .filter(filter.clone())
                .max_results(PAGE_MAX)
                .set_next_token(token)
                .send()
                .await
                .map_err(|error| of_application(sorted(Effect::Reads, &error)))?;
            Ok((answer.entitlements, answer.next_token))
        })
        .await?;
        let mut listed = Vec::new();
        for member in members {
            let summary =
                member.entitlement.ok_or_else(|| incomplete(Effect::Reads, "an empty entitlement"))?;
            let EntitlementSummary::PrincipalRole(granted) = summary else { continue };
            let holder = match granted.principal {
                Some(Principal::IdentityCenter(IdentityCenterPrincipal::UserId(id))) => PrincipalId::new(id)?,
                Some(_group_or_other) => continue,
                None => return Err(incomplete(Effect::Reads, "an entitlement without principal")),
            };
            let granted_role = RoleArn::new(granted.role_arn)?;
            let of_this =
                role.is_none_or(|role| *role == granted_role) && granted.account == account.as_str();
            if of_this && user.is_none_or(|user| *user == holder) {
                listed.push(Listed { id: member.entitlement_id, role: granted_role, user: holder });
            }
        }
        Ok(listed)
    }

    /// Whether there is an entitlement with this id.
    async fn is_there(&self, id: &OperationId) -> Result<bool, AwsError> {
        let call =
            self.client.get_entitlement().application_arn(&self.application_arn).entitlement_id(id.as_str());
        match call.send().await.map_err(|error| sorted(Effect::Reads, &error)) {
            Ok(_) => Ok(true),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// What is not found when entitlements are listed is the application. That says nothing about what the call was for.
fn of_application(error: AwsError) -> AwsError {
    if error.kind == ErrorKind::NotFound { AwsError { kind: ErrorKind::Unavailable, ..error } } else { error }
}

/// The applications of `instance` that are active.
pub(crate) async fn applications_of(
    client: &aws_sdk_accountaccess::Client,
    instance: &str,
) -> Result<Vec<String>, AwsError> {
    let all = pages::all(async |token| {
        let answer = client
            .list_applications()
            .set_next_token(token)
            .send()
            .await
            .map_err(|error| sorted(Effect::Reads, &error))?;
        Ok((answer.applications, answer.next_token))
    })
    .await?;
    let mut ours = Vec::new();
    for application in all {
        let arn = application.application_arn;
        let details = client
            .get_application()
            .application_arn(&arn)
            .send()
            .await
            .map_err(|error| sorted(Effect::Reads, &error))?;
        let is_ours = match &details.identity_source {
            Some(IdentitySourceDetails::IdentityCenter(source)) => source.instance_arn == instance,
            _other => false,
        };
        if is_ours && details.status == Status::Active {
            ours.push(arn);
        }
    }
    Ok(ours)
}

#[async_trait::async_trait]
impl Assignments for SdkAccountAccess {
    fn limits(&self) -> Limits {
        Limits::ACCOUNT_ACCESS
    }

    async fn create(&self, key: &AssignmentKey, attempt: Attempt) -> Result<OperationId, AwsError> {
        let role = role_of(key.account(), key.entitlement())?;
        let user = IdentityCenterPrincipal::UserId(key.principal().to_string());
        let granted = PrincipalRoleEntitlement::builder()
            .principal(Principal::IdentityCenter(user))
            .role_arn(role.as_str())
            .build()
            .map_err(|error| malformed(&error))?;
        let call = self
            .client
            .create_entitlement()
            .application_arn(&self.application_arn)
            .entitlement(Granted::PrincipalRole(granted))
            .customize()
            .config_override(signed_by(attempt));
        attempt.check(self.clock.now())?;
        let answer = call.send().await.map_err(|error| sorted(Effect::Changes, &error))?;
        OperationId::new(answer.entitlement_id)
            .map_err(|_| incomplete(Effect::Changes, "an entitlement without a well-formed id"))
    }

    async fn creation_status(&self, operation: &OperationId) -> Result<OperationStatus, AwsError> {
        Ok(if self.is_there(operation).await? {
            OperationStatus::Succeeded
        } else {
            OperationStatus::InProgress
        })
    }

    async fn delete(
        &self,
        key: &AssignmentKey,
        attempt: Attempt,
        turns: &dyn Turns,
    ) -> Result<Deletion, AwsError> {
        let role = role_of(key.account(), key.entitlement())?;
        attempt.check(self.clock.now())?;
        let mut begun = Deletion::NotFound;
        // AWS keeps one for a user and a role. Should it ever list more, all of them give the access that is to go.
        for entitlement in self.list(key.account(), Some(role), Some(key.principal()), turns).await? {
            let id = OperationId::new(entitlement.id)
                .map_err(|_| incomplete(Effect::Reads, "an entitlement with a malformed id"))?;
            turns.next().await;
            let call = self
                .client
                .delete_entitlement()
                .application_arn(&self.application_arn)
                .entitlement_id(id.as_str())
                .customize()
                .config_override(signed_by(attempt));
            attempt.check(self.clock.now())?;
            match call.send().await.map_err(|error| sorted(Effect::Changes, &error)) {
                Ok(_) => begun = Deletion::Started(id),
                // Deleted by another since it was listed.
                Err(error) if error.kind == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(begun)
    }

    async fn deletion_status(&self, operation: &OperationId) -> Result<OperationStatus, AwsError> {
        Ok(if self.is_there(operation).await? {
            OperationStatus::InProgress
        } else {
            OperationStatus::Succeeded
        })
    }

    async fn holders(
        &self,
        account: &AccountId,
        entitlement: &Entitlement,
        turns: &dyn Turns,
    ) -> Result<BTreeSet<PrincipalId>, AwsError> {
        let role = role_of(account, entitlement)?;
        Ok(self.list(account, Some(role), None, turns).await?.into_iter().map(|listed| listed.user).collect())
    }

    async fn held_in(
        &self,
        account: &AccountId,
        turns: &dyn Turns,
    ) -> Result<Option<BTreeSet<AssignmentKey>>, AwsError> {
        let listed = self.list(account, None, None, turns).await?.into_iter();
        Ok(Some(listed.map(|held| AssignmentKey::new(held.user, account.clone(), held.role)).collect()))
    }

    async fn find(&self, key: &AssignmentKey, turns: &dyn Turns) -> Result<bool, AwsError> {
        let role = role_of(key.account(), key.entitlement())?;
        Ok(!self.list(key.account(), Some(role), Some(key.principal()), turns).await?.is_empty())
    }
}

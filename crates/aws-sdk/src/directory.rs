//! [`aws::DirectorySource`] on Organizations, Identity Center and Identity Store.
//!
//! What is deleted while the reading goes on is left out; whatever else goes wrong fails the whole reading, so that nothing is
//! ever missing from a snapshot by accident.

use crate::error::{Effect, incomplete, sorted};
use crate::pages::{self, Pace};
use aws::{
    Account, AwsError, Contents, DirectorySource, ErrorKind, ExternalId, Group, GroupId, OrgUnit,
    PermissionSet, User, UserName,
};
use aws_sdk_identitystore::types::{MemberId, UserStatus};
use aws_sdk_organizations::types::{AccountState, AccountStatus};
use domain::{AccountId, OuId, OuPath, PermissionSetArn, PrincipalId, SignedDuration};
use std::collections::BTreeMap;

/// The session duration of a permission set that names none (CreatePermissionSet, IAM Identity Center API Reference).
const SESSION_DURATION_DEFAULT: SignedDuration = SignedDuration::from_hours(1);

/// Makes a reading call in its turn, and again in a later one while it is answered by what may pass; gives its answer.
macro_rules! read {
    ($pace:expr, $call:expr) => {{
        let call = $call;
        let mut tries = 0;
        loop {
            $pace.turn().await;
            let answer = Box::pin(call.clone().send()).await.map_err(|error| sorted(Effect::Reads, &error));
            tries += 1;
            let Some(pause) = pages::pause(&answer, tries) else { break answer? };
            tokio::time::sleep(pause).await;
        }
    }};
}

/// The organisation of one management account, and the identity store of one Identity Center instance.
#[derive(Debug)]
pub struct SdkDirectory {
    pub(crate) organizations: aws_sdk_organizations::Client,
    pub(crate) sso: aws_sdk_ssoadmin::Client,
    pub(crate) identity_store: aws_sdk_identitystore::Client,
    pub(crate) instance_arn: String,
    pub(crate) identity_store_id: String,
    pub(crate) pace: Pace,
    /// Of permission sets: Identity Center's limit is needed for assignments.
    pub(crate) sso_pace: Pace,
}

#[async_trait::async_trait]
impl DirectorySource for SdkDirectory {
    async fn fetch(&self) -> Result<Contents, AwsError> {
        let mut contents = Contents::default();
        self.read_organisation(&mut contents).await?;
        self.read_permission_sets(&mut contents).await?;
        self.read_users(&mut contents).await?;
        self.read_groups(&mut contents).await?;
        tracing::debug!(
            accounts = contents.accounts.len(),
            permission_sets = contents.permission_sets.len(),
            users = contents.users.len(),
            groups = contents.groups.len(),
            "directory read"
        );
        Ok(contents)
    }
}

/// What is gone by the time it is looked at is `None`.
fn unless_gone<T>(result: Result<T, AwsError>) -> Result<Option<T>, AwsError> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn required<T>(part: Option<T>, what: &str) -> Result<T, AwsError> {
    part.ok_or_else(|| incomplete(Effect::Reads, what))
}

impl SdkDirectory {
    /// Walks the tree from its roots: neither units nor accounts are listed with what is below them.
    async fn read_organisation(&self, contents: &mut Contents) -> Result<(), AwsError> {
        let management = self.management_account().await?;
        let mut open: Vec<OuPath> = Vec::new();
        for (id, name) in self.roots().await? {
            contents.units.insert(id.clone(), OrgUnit { name, parent: None });
            open.push(OuPath(vec![id]));
        }
        while let Some(path) = open.pop() {
            let Some(unit) = path.parent().cloned() else { continue };
            let below = unless_gone(self.units_of(&unit).await)?.unwrap_or_default();
            for (id, name) in below {
                contents.units.insert(id.clone(), OrgUnit { name, parent: Some(unit.clone()) });
                let mut inner = path.clone();
                inner.0.push(id);
                open.push(inner);
            }
            for account in unless_gone(self.accounts_of(&unit).await)?.unwrap_or_default() {
                let id = AccountId::new(required(account.id, "an account without id")?)?;
                let Some(tags) = unless_gone(self.tags_of(id.as_str()).await)? else { continue };
                let account = Account {
                    name: account.name.unwrap_or_else(|| id.to_string()),
                    ou_path: path.clone(),
                    tags,
                    active: is_active(account.state.as_ref(), account.status.as_ref()),
                    management: id == management,
                };
                contents.accounts.insert(id, account);
            }
        }
        Ok(())
    }

    async fn management_account(&self) -> Result<AccountId, AwsError> {
        let call = self.organizations.describe_organization();
        let answer = read!(self.pace, call);
        let id = answer.organization.and_then(|organisation| organisation.master_account_id);
        Ok(AccountId::new(required(id, "an organisation without management account")?)?)
    }

    async fn roots(&self) -> Result<Vec<(OuId, String)>, AwsError> {
        let roots = pages::all(async |token| {
            let call = self.organizations.list_roots().set_next_token(token);
            let answer = read!(self.pace, call);
            Ok((answer.roots.unwrap_or_default(), answer.next_token))
        })
        .await?;
        roots.into_iter().map(|root| unit(root.id, root.name)).collect()
    }

    async fn units_of(&self, parent: &OuId) -> Result<Vec<(OuId, String)>, AwsError> {
        let units = pages::all(async |token| {
            let call = self
                .organizations
                .list_organizational_units_for_parent()
                .parent_id(parent.as_str())
                .set_next_token(token);
            let answer = read!(self.pace, call);
            Ok((answer.organizational_units.unwrap_or_default(), answer.next_token))
        })
        .await?;
        units.into_iter().map(|child| unit(child.id, child.name)).collect()
    }

    async fn accounts_of(
        &self,
        parent: &OuId,
    ) -> Result<Vec<aws_sdk_organizations::types::Account>, AwsError> {
        pages::all(async |token| {
            let call = self
                .organizations
                .list_accounts_for_parent()
                .parent_id(parent.as_str())
                .set_next_token(token);
            let answer = read!(self.pace, call);
            Ok((answer.accounts.unwrap_or_default(), answer.next_token))
        })
        .await
    }

    async fn tags_of(&self, resource: &str) -> Result<BTreeMap<String, String>, AwsError> {
        let tags = pages::all(async |token| {
            let call =
                self.organizations.list_tags_for_resource().resource_id(resource).set_next_token(token);
            let answer = read!(self.pace, call);
            Ok((answer.tags.unwrap_or_default(), answer.next_token))
        })
        .await?;
        Ok(tags.into_iter().map(|tag| (tag.key, tag.value)).collect())
    }

    async fn read_permission_sets(&self, contents: &mut Contents) -> Result<(), AwsError> {
        let arns = pages::all(async |token| {
            let call = self.sso.list_permission_sets().instance_arn(&self.instance_arn).set_next_token(token);
            let answer = read!(self.sso_pace, call);
            Ok((answer.permission_sets.unwrap_or_default(), answer.next_token))
        })
        .await?;
        for arn in arns {
            let arn = PermissionSetArn::new(arn)?;
            if let Some(set) = unless_gone(self.permission_set(&arn).await)? {
                contents.permission_sets.insert(arn, set);
            }
        }
        Ok(())
    }

    async fn permission_set(&self, arn: &PermissionSetArn) -> Result<PermissionSet, AwsError> {
        let call = self
            .sso
            .describe_permission_set()
            .instance_arn(&self.instance_arn)
            .permission_set_arn(arn.as_str());
        let answer = read!(self.sso_pace, call);
        let set = required(answer.permission_set, "a permission set without description")?;
        let session_duration = match set.session_duration.as_deref() {
            None | Some("") => SESSION_DURATION_DEFAULT,
            Some(text) => required(text.parse().ok(), "a permission set with a malformed session duration")?,
        };
        Ok(PermissionSet { name: required(set.name, "a permission set without name")?, session_duration })
    }

    async fn read_users(&self, contents: &mut Contents) -> Result<(), AwsError> {
        let users = pages::all(async |token| {
            let call = self
                .identity_store
                .list_users()
                .identity_store_id(&self.identity_store_id)
                .set_next_token(token);
            let answer = read!(self.pace, call);
            Ok((answer.users, answer.next_token))
        })
        .await?;
        for user in users {
            let id = PrincipalId::new(user.user_id)?;
            let name = user.user_name.unwrap_or_else(|| id.to_string());
            let external_ids = user.external_ids.unwrap_or_default().into_iter();
            let user = User {
                user_name: UserName::new(&name),
                display_name: user.display_name.unwrap_or(name),
                external_ids: external_ids.map(|id| ExternalId { issuer: id.issuer, id: id.id }).collect(),
                enabled: user.user_status != Some(UserStatus::Disabled),
            };
            contents.users.insert(id, user);
        }
        Ok(())
    }

    async fn read_groups(&self, contents: &mut Contents) -> Result<(), AwsError> {
        let groups = pages::all(async |token| {
            let call = self
                .identity_store
                .list_groups()
                .identity_store_id(&self.identity_store_id)
                .set_next_token(token);
            let answer = read!(self.pace, call);
            Ok((answer.groups, answer.next_token))
        })
        .await?;
        for group in groups {
            let id = GroupId::new(group.group_id)?;
            let Some(members) = unless_gone(self.members_of(&id).await)? else { continue };
            for member in members {
                contents.memberships.entry(member).or_default().insert(id.clone());
            }
            let display_name = group.display_name.unwrap_or_else(|| id.to_string());
            contents.groups.insert(id, Group { display_name });
        }
        Ok(())
    }

    async fn members_of(&self, group: &GroupId) -> Result<Vec<PrincipalId>, AwsError> {
        let memberships = pages::all(async |token| {
            let call = self
                .identity_store
                .list_group_memberships()
                .identity_store_id(&self.identity_store_id)
                .group_id(group.as_str())
                .set_next_token(token);
            let answer = read!(self.pace, call);
            Ok((answer.group_memberships, answer.next_token))
        })
        .await?;
        let mut members = Vec::with_capacity(memberships.len());
        for membership in memberships {
            if let Some(MemberId::UserId(id)) = membership.member_id {
                members.push(PrincipalId::new(id)?);
            }
        }
        Ok(members)
    }
}

fn unit(id: Option<String>, name: Option<String>) -> Result<(OuId, String), AwsError> {
    let id = OuId::new(required(id, "a unit without id")?)?;
    let name = name.unwrap_or_else(|| id.to_string());
    Ok((id, name))
}

/// Organizations renames the status to a state; either may be there.
fn is_active(state: Option<&AccountState>, status: Option<&AccountStatus>) -> bool {
    match state {
        Some(state) => *state == AccountState::Active,
        None => status == Some(&AccountStatus::Active),
    }
}

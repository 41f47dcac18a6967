//! The adapters pass the conformance suite against moto, as far as moto goes.

use crate::support::{WallClock, config};
use aws::conformance::{Capabilities, Fixture, run};
use aws::{Assignments, AwsError, DirectorySource, ErrorKind, GroupId, Sts};
use aws_sdk::{Adapters, AwsConfig, connect};
use aws_sdk_identitystore::types::{MemberId, Name};
use aws_sdk_organizations::types::Tag;
use domain::ports::Clock;
use domain::{AccountId, OuId, PermissionSetArn, PrincipalId, RoleArn, SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use test_servers::moto::{Moto, instance_arn};

struct OnMoto {
    adapters: Adapters,
    organizations: aws_sdk_organizations::Client,
    sso: aws_sdk_ssoadmin::Client,
    identity_store: aws_sdk_identitystore::Client,
    identity_store_id: String,
    root: String,
}

fn failed(error: impl Debug) -> AwsError {
    AwsError::new(ErrorKind::Invalid, "Fixture", &format!("{error:?}"))
}

impl OnMoto {
    async fn new(moto: &Moto) -> Self {
        let keys = aws_credential_types::Credentials::new("AKIAEXAMPLE", "x", None, None, "test");
        let sdk = aws_config::defaults(aws_config::BehaviorVersion::latest())
            .region(aws_config::Region::new("us-east-1"))
            .endpoint_url(moto.endpoint())
            .credentials_provider(keys)
            .load()
            .await;
        let organizations = aws_sdk_organizations::Client::new(&sdk);
        organizations.create_organization().send().await.unwrap();
        let roots = organizations.list_roots().send().await.unwrap().roots.unwrap();
        let sso = aws_sdk_ssoadmin::Client::new(&sdk);
        let instances = sso.list_instances().send().await.unwrap().instances.unwrap();
        let instance = instances.first().unwrap();
        let identity_store_id = instance.identity_store_id.clone().unwrap();
        let config = AwsConfig {
            instance_arn: Some(instance_arn(instance.instance_arn().unwrap())),
            identity_store_id: Some(identity_store_id.clone()),
            ..config(moto.endpoint())
        };
        let adapters = connect(config, Arc::new(WallClock)).await.unwrap();
        Self {
            adapters,
            organizations,
            sso,
            identity_store: aws_sdk_identitystore::Client::new(&sdk),
            identity_store_id,
            root: roots.first().unwrap().id.clone().unwrap(),
        }
    }
}

#[async_trait::async_trait]
impl Fixture for OnMoto {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            asynchronous_statuses: false,
            rejects_unknown_targets: false,
            knows_roles: false,
            rejects_unknown_operations: true,
            idempotent_create: false,
            external_ids: false,
        }
    }

    fn sts(&self) -> &dyn Sts {
        self.adapters.sts.as_ref()
    }

    fn assignments(&self) -> &dyn Assignments {
        self.adapters.assignments.as_ref()
    }

    fn directory(&self) -> &dyn DirectorySource {
        self.adapters.directory.as_ref()
    }

    fn now(&self) -> Timestamp {
        WallClock.now()
    }

    async fn wait(&self, duration: SignedDuration) {
        tokio::time::sleep(duration.unsigned_abs()).await;
    }

    async fn create_role(&self, name: &str, _session_max: SignedDuration) -> Result<RoleArn, AwsError> {
        // moto lets any role be assumed.
        Ok(RoleArn::new(format!("arn:aws:iam::123456789012:role/{name}"))?)
    }

    async fn create_unit(&self, parent: Option<&OuId>, name: &str) -> Result<OuId, AwsError> {
        let parent = parent.map_or(self.root.as_str(), OuId::as_str);
        let call = self.organizations.create_organizational_unit().parent_id(parent).name(name);
        let unit = call.send().await.map_err(failed)?.organizational_unit;
        Ok(OuId::new(unit.and_then(|unit| unit.id).ok_or_else(|| failed("no unit"))?)?)
    }

    async fn create_account(
        &self,
        unit: &OuId,
        name: &str,
        tags: &BTreeMap<String, String>,
    ) -> Result<AccountId, AwsError> {
        let mut call =
            self.organizations.create_account().account_name(name).email(format!("{name}@example.com"));
        for (key, value) in tags {
            call = call.tags(Tag::builder().key(key).value(value).build().map_err(failed)?);
        }
        let status = call.send().await.map_err(failed)?.create_account_status;
        let id =
            AccountId::new(status.and_then(|status| status.account_id).ok_or_else(|| failed("no account"))?)?;
        self.move_account(&id, &OuId::new(&self.root)?, unit).await?;
        Ok(id)
    }

    async fn move_account(&self, account: &AccountId, from: &OuId, to: &OuId) -> Result<(), AwsError> {
        let call = self.organizations.move_account().account_id(account.as_str());
        let call = call.source_parent_id(from.as_str()).destination_parent_id(to.as_str());
        call.send().await.map(drop).map_err(failed)
    }

    async fn create_permission_set(
        &self,
        name: &str,
        session_duration: SignedDuration,
    ) -> Result<PermissionSetArn, AwsError> {
        let call = self.sso.create_permission_set().instance_arn(&self.adapters.instance_arn).name(name);
        let call = call.session_duration(session_duration.to_string());
        let set = call.send().await.map_err(failed)?.permission_set;
        Ok(PermissionSetArn::new(
            set.and_then(|set| set.permission_set_arn).ok_or_else(|| failed("no set"))?,
        )?)
    }

    async fn create_user(
        &self,
        user_name: &str,
        _external_id: Option<(&str, &str)>,
    ) -> Result<PrincipalId, AwsError> {
        let name = Name::builder().given_name(user_name).family_name("Tester").build();
        let call = self.identity_store.create_user().identity_store_id(&self.identity_store_id);
        let call = call.user_name(user_name).display_name(user_name).name(name);
        Ok(PrincipalId::new(call.send().await.map_err(failed)?.user_id)?)
    }

    async fn create_group(&self, display_name: &str) -> Result<GroupId, AwsError> {
        let call = self.identity_store.create_group().identity_store_id(&self.identity_store_id);
        Ok(GroupId::new(call.display_name(display_name).send().await.map_err(failed)?.group_id)?)
    }

    async fn delete_group(&self, group: &GroupId) -> Result<(), AwsError> {
        let call = self.identity_store.delete_group().identity_store_id(&self.identity_store_id);
        call.group_id(group.as_str()).send().await.map(drop).map_err(failed)
    }

    async fn add_member(&self, group: &GroupId, user: &PrincipalId) -> Result<(), AwsError> {
        let call = self.identity_store.create_group_membership().identity_store_id(&self.identity_store_id);
        let call = call.group_id(group.as_str()).member_id(MemberId::UserId(user.to_string()));
        call.send().await.map(drop).map_err(failed)
    }
}

#[tokio::test]
async fn the_adapters_conform_on_moto() {
    let moto = Moto::start().await.unwrap();
    let passed = run(&OnMoto::new(&moto).await).await.unwrap();
    assert_eq!(passed.len(), 19, "{passed:?}");
}

#[tokio::test]
async fn the_instance_is_found_when_there_is_one() {
    let moto = Moto::start().await.unwrap();
    let adapters = connect(config(moto.endpoint()), Arc::new(WallClock)).await.unwrap();
    assert!(adapters.instance_arn.starts_with("arn:aws:sso:::instance/ssoins-"), "{}", adapters.instance_arn);
}

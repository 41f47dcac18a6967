//! Service control policies that deny live sessions, on moto: made, changed, and gone again.

use crate::support::{WallClock, config};
use aws::session_denials::{IN_USE, policy_name};
use aws::{Attempt, AwsError, DeniedSessions, ErrorKind, SessionDenials};
use aws_sdk::{AwsConfig, SdkSessionDenials, connect};
use aws_sdk_organizations::Client;
use aws_sdk_organizations::types::PolicyType::ServiceControlPolicy;
use domain::ports::Clock;
use domain::{AccountId, RoleArn, SignedDuration};
use std::collections::BTreeSet;
use std::sync::Arc;
use test_servers::moto::{Moto, instance_arn};

const THEIRS: &str = r#"{"Version":"2012-10-17","Statement":[{"Sid":"Theirs","Effect":"Deny","Action":"ec2:*","Resource":"*"}]}"#;

struct World {
    _moto: Moto,
    organizations: Client,
    account: AccountId,
    denials: Arc<SdkSessionDenials>,
}

impl World {
    async fn new() -> Self {
        let moto = Moto::start().await.unwrap();
        let keys = aws_credential_types::Credentials::new("AKIAEXAMPLE", "x", None, None, "test");
        let sdk = aws_config::defaults(aws_config::BehaviorVersion::latest())
            .region(aws_config::Region::new("us-east-1"))
            .endpoint_url(moto.endpoint())
            .credentials_provider(keys)
            .load()
            .await;
        let organizations = Client::new(&sdk);
        organizations.create_organization().send().await.unwrap();
        let roots = organizations.list_roots().send().await.unwrap().roots.unwrap();
        let root = roots.first().unwrap().id().unwrap();
        organizations
            .enable_policy_type()
            .root_id(root)
            .policy_type(ServiceControlPolicy)
            .send()
            .await
            .unwrap();
        let created =
            organizations.create_account().account_name("web").email("web@example.com").send().await.unwrap();
        let account = created.create_account_status.unwrap().account_id.unwrap();
        let config = AwsConfig {
            instance_arn: Some(instance_arn("arn:aws:sso:::instance/ssoins-1111111111111111")),
            identity_store_id: Some("d-1111111111".to_owned()),
            session_denials_role: Some(RoleArn::new("arn:aws:iam::123456789012:role/denials").unwrap()),
            ..config(moto.endpoint())
        };
        let adapters = connect(config, Arc::new(WallClock)).await.unwrap();
        Self {
            _moto: moto,
            organizations,
            account: AccountId::new(account).unwrap(),
            denials: adapters.session_denials.unwrap(),
        }
    }

    async fn try_to_deny(&self, sessions: &BTreeSet<DeniedSessions>) -> Result<(), AwsError> {
        let now = WallClock.now();
        let start_before = now.checked_add(SignedDuration::from_secs(10)).unwrap();
        self.denials.deny(&self.account, sessions, Attempt { signed_at: now, start_before }).await
    }

    async fn deny(&self, sessions: &BTreeSet<DeniedSessions>) {
        self.try_to_deny(sessions).await.unwrap();
        assert!(self.denials.denies_exactly(&self.account, sessions).await.unwrap());
    }

    /// The policy as somebody else sees it: its id, and what it says.
    async fn seen(&self) -> Option<(String, String)> {
        let answer = self
            .organizations
            .list_policies_for_target()
            .target_id(self.account.as_str())
            .filter(ServiceControlPolicy)
            .send()
            .await
            .unwrap();
        let name = policy_name(&self.account);
        let found = answer.policies.unwrap().into_iter().find(|policy| policy.name() == Some(&name))?;
        let id = found.id.unwrap();
        let policy =
            self.organizations.describe_policy().policy_id(&id).send().await.unwrap().policy.unwrap();
        Some((id, policy.content.unwrap()))
    }
}

fn tagged(n: u8) -> DeniedSessions {
    DeniedSessions::OfRequest(format!("00000000-0000-4000-8000-0000000000{n:02x}").parse().unwrap())
}

#[tokio::test]
async fn a_policy_comes_changes_and_goes() {
    let world = World::new().await;
    assert!(world.denials.denies_exactly(&world.account, &BTreeSet::new()).await.unwrap());
    let one = BTreeSet::from([tagged(1)]);
    world.deny(&one).await;
    let (id, document) = world.seen().await.unwrap();
    assert!(document.contains("aws:PrincipalTag/daypass-request"), "{document}");
    world.deny(&BTreeSet::from([tagged(1), tagged(2)])).await;
    assert!(!world.denials.denies_exactly(&world.account, &one).await.unwrap());
    assert_eq!(world.seen().await.unwrap().0, id, "the same policy, changed");
    world.deny(&BTreeSet::new()).await;
    assert_eq!(world.seen().await, None);
}

#[tokio::test]
async fn what_others_wrote_into_it_stays() {
    let world = World::new().await;
    world.deny(&BTreeSet::from([tagged(1)])).await;
    let (id, _) = world.seen().await.unwrap();
    world.organizations.update_policy().policy_id(&id).content(THEIRS).send().await.unwrap();
    assert!(!world.denials.denies_exactly(&world.account, &BTreeSet::from([tagged(1)])).await.unwrap());
    world.deny(&BTreeSet::from([tagged(1)])).await;
    let (_, document) = world.seen().await.unwrap();
    assert!(document.contains("Theirs") && document.contains("DaypassRequests"), "{document}");
    world.deny(&BTreeSet::new()).await;
    let (_, document) = world.seen().await.unwrap();
    assert!(document.contains("Theirs") && !document.contains("Daypass"), "{document}");
}

#[tokio::test]
async fn a_policy_that_was_made_and_not_attached_is_found_again() {
    let world = World::new().await;
    let name = policy_name(&world.account);
    let made = world.organizations.create_policy().name(&name).description("x").content(THEIRS);
    made.r#type(ServiceControlPolicy).send().await.unwrap();
    world.deny(&BTreeSet::from([tagged(1)])).await;
    let (_, document) = world.seen().await.unwrap();
    assert!(document.contains("Theirs") && document.contains("DaypassRequests"), "{document}");
}

#[tokio::test]
async fn a_policy_that_was_detached_and_not_deleted_goes() {
    let world = World::new().await;
    world.deny(&BTreeSet::from([tagged(1)])).await;
    let (id, _) = world.seen().await.unwrap();
    let detach = world.organizations.detach_policy().policy_id(&id);
    detach.target_id(world.account.as_str()).send().await.unwrap();
    world.deny(&BTreeSet::new()).await;
    let left = world.organizations.describe_policy().policy_id(&id).send().await;
    assert!(left.is_err(), "{left:?}");
}

#[tokio::test]
async fn a_policy_of_others_that_they_have_detached_stays_detached() {
    let world = World::new().await;
    let name = policy_name(&world.account);
    let made = world.organizations.create_policy().name(&name).description("x").content(THEIRS);
    made.r#type(ServiceControlPolicy).send().await.unwrap();
    world.deny(&BTreeSet::new()).await;
    assert_eq!(world.seen().await, None);
}

#[tokio::test]
async fn the_policy_of_an_account_that_left_goes_and_nothing_more_is_denied_there() {
    let world = World::new().await;
    let one = BTreeSet::from([tagged(1)]);
    world.deny(&one).await;
    let (id, _) = world.seen().await.unwrap();
    let remove = world.organizations.remove_account_from_organization();
    remove.account_id(world.account.as_str()).send().await.unwrap();
    assert_eq!(world.try_to_deny(&one).await.unwrap_err().kind, ErrorKind::NotFound);
    let looked = world.denials.denies_exactly(&world.account, &BTreeSet::new()).await;
    assert_eq!(looked.unwrap_err().kind, ErrorKind::NotFound);
    for _ in 0..2 {
        world.try_to_deny(&BTreeSet::new()).await.unwrap();
        let left = world.organizations.describe_policy().policy_id(&id).send().await;
        assert!(left.is_err(), "{left:?}");
    }
}

#[tokio::test]
async fn a_policy_that_others_attached_elsewhere_is_detached_and_its_places_are_named() {
    let world = World::new().await;
    world.deny(&BTreeSet::from([tagged(1)])).await;
    let (id, _) = world.seen().await.unwrap();
    let roots = world.organizations.list_roots().send().await.unwrap().roots.unwrap();
    let root = roots.first().unwrap().id().unwrap();
    world.organizations.attach_policy().policy_id(&id).target_id(root).send().await.unwrap();
    for _ in 0..2 {
        let error = world.try_to_deny(&BTreeSet::new()).await.unwrap_err();
        assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Invalid, IN_USE));
        assert!(error.message.contains(root) && error.message.contains(&id), "{error}");
        assert!(world.denials.denies_exactly(&world.account, &BTreeSet::new()).await.unwrap());
    }
    world.organizations.describe_policy().policy_id(&id).send().await.unwrap();
}

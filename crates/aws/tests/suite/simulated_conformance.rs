//! The simulated AWS passes the suite that every AWS must pass.

use crate::support::TokioClock;
use aws::conformance::{AssignmentsFixture, Capabilities, Fixture, run, run_assignments};
use aws::simulated::{Behaviour, SimulatedAccountAccess, SimulatedAws, SimulatedRole, sample};
use aws::{
    Account, AssignmentKey, Assignments, AwsError, DirectorySource, ErrorKind, ExternalId, Group, GroupId,
    OrgUnit, PermissionSet, Sts, User, UserName,
};
use domain::ports::Clock;
use domain::{
    AccountId, Entitlement, OuId, OuPath, PermissionSetArn, PrincipalId, RoleArn, SignedDuration, Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

struct Simulated {
    clock: Arc<TokioClock>,
    aws: Arc<SimulatedAws>,
    counter: AtomicU64,
}

impl Simulated {
    fn new(behaviour: Behaviour) -> Self {
        let clock = Arc::new(TokioClock::new());
        let aws = SimulatedAws::with_sample_organisation(clock.clone(), behaviour, "https://idp.example");
        let aws = Arc::new(aws);
        Self { clock, aws, counter: AtomicU64::new(1) }
    }

    fn number(&self) -> u64 {
        self.counter.fetch_add(1, Ordering::Relaxed)
    }
}

fn missing(what: &str) -> AwsError {
    AwsError::new(ErrorKind::NotFound, "Missing", what)
}

#[async_trait::async_trait]
impl Fixture for Simulated {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            asynchronous_statuses: true,
            rejects_unknown_targets: true,
            knows_roles: true,
            rejects_unknown_operations: true,
            idempotent_create: true,
            external_ids: true,
        }
    }

    fn sts(&self) -> &dyn Sts {
        self.aws.as_ref()
    }

    fn assignments(&self) -> &dyn Assignments {
        self.aws.as_ref()
    }

    fn directory(&self) -> &dyn DirectorySource {
        self.aws.as_ref()
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn wait(&self, duration: SignedDuration) {
        tokio::time::sleep(duration.unsigned_abs()).await;
    }

    async fn create_role(&self, name: &str, session_max: SignedDuration) -> Result<RoleArn, AwsError> {
        let role = sample::role(sample::WEB_DEV, name)?;
        self.aws.add_role(role.clone(), SimulatedRole { session_max, external_id: None });
        Ok(role)
    }

    async fn create_unit(&self, parent: Option<&OuId>, name: &str) -> Result<OuId, AwsError> {
        let id = OuId::new(format!("ou-test-{:08}", self.number()))?;
        let parent = parent.cloned().map_or_else(|| OuId::new(sample::ROOT), Ok)?;
        let unit = OrgUnit { name: name.to_owned(), parent: Some(parent) };
        self.aws.change_directory(|contents| {
            contents.units.insert(id.clone(), unit);
        });
        Ok(id)
    }

    async fn create_account(
        &self,
        unit: &OuId,
        name: &str,
        tags: &BTreeMap<String, String>,
    ) -> Result<AccountId, AwsError> {
        let id = AccountId::new(format!("{:012}", 700_000_000_000 + self.number()))?;
        self.aws.change_directory(|contents| {
            let mut path = Vec::new();
            let mut next = Some(unit.clone());
            while let Some(unit) = next {
                next = contents.units.get(&unit).and_then(|unit| unit.parent.clone());
                path.insert(0, unit);
            }
            let account = Account {
                name: name.to_owned(),
                ou_path: OuPath(path),
                tags: tags.clone(),
                active: true,
                management: false,
            };
            contents.accounts.insert(id.clone(), account);
        });
        Ok(id)
    }

    async fn move_account(&self, account: &AccountId, from: &OuId, to: &OuId) -> Result<(), AwsError> {
        let mut moved = Err(missing("account"));
        self.aws.change_directory(|contents| {
            if let Some(account) = contents.accounts.get_mut(account)
                && account.ou_path.parent() == Some(from)
            {
                account.ou_path.0.pop();
                account.ou_path.0.push(to.clone());
                moved = Ok(());
            }
        });
        moved
    }

    async fn create_permission_set(
        &self,
        name: &str,
        session_duration: SignedDuration,
    ) -> Result<PermissionSetArn, AwsError> {
        let number = self.number();
        let arn = PermissionSetArn::new(format!(
            "arn:aws:sso:::permissionSet/ssoins-1111111111111111/ps-{number:016}"
        ))?;
        let set = PermissionSet { name: name.to_owned(), session_duration };
        self.aws.change_directory(|contents| {
            contents.permission_sets.insert(arn.clone(), set);
        });
        Ok(arn)
    }

    async fn create_user(
        &self,
        user_name: &str,
        external_id: Option<(&str, &str)>,
    ) -> Result<PrincipalId, AwsError> {
        let id = PrincipalId::new(format!("10000000-0000-4000-8000-{:012x}", self.number()))?;
        let external_ids =
            external_id.map(|(issuer, id)| ExternalId { issuer: issuer.to_owned(), id: id.to_owned() });
        let user = User {
            user_name: UserName::new(user_name),
            display_name: user_name.to_owned(),
            external_ids: external_ids.into_iter().collect(),
            enabled: true,
        };
        self.aws.change_directory(|contents| {
            contents.users.insert(id.clone(), user);
        });
        Ok(id)
    }

    async fn create_group(&self, display_name: &str) -> Result<GroupId, AwsError> {
        let id = GroupId::new(format!("group-{}", self.number()))?;
        self.aws.change_directory(|contents| {
            contents.groups.insert(id.clone(), Group { display_name: display_name.to_owned() });
        });
        Ok(id)
    }

    async fn delete_group(&self, group: &GroupId) -> Result<(), AwsError> {
        self.aws.change_directory(|contents| {
            contents.groups.remove(group);
        });
        Ok(())
    }

    async fn add_member(&self, group: &GroupId, user: &PrincipalId) -> Result<(), AwsError> {
        self.aws.change_directory(|contents| {
            contents.memberships.entry(user.clone()).or_insert_with(BTreeSet::new).insert(group.clone());
        });
        Ok(())
    }
}

/// The other service of the same AWS.
struct Roles {
    whole: Simulated,
    port: SimulatedAccountAccess,
}

impl Roles {
    fn new(behaviour: Behaviour) -> Self {
        let whole = Simulated::new(behaviour);
        let port = SimulatedAccountAccess::new(whole.aws.clone());
        Self { whole, port }
    }
}

#[async_trait::async_trait]
impl AssignmentsFixture for Roles {
    fn capabilities(&self) -> Capabilities {
        // There are no operations, only entitlements that are there or not.
        Capabilities { rejects_unknown_operations: false, ..self.whole.capabilities() }
    }

    fn assignments(&self) -> &dyn Assignments {
        &self.port
    }

    fn now(&self) -> Timestamp {
        self.whole.now()
    }

    async fn wait(&self, duration: SignedDuration) {
        self.whole.wait(duration).await;
    }

    async fn new_key(&self, case: &str) -> Result<AssignmentKey, AwsError> {
        let unit = OuId::new(sample::ROOT)?;
        let account = self.whole.create_account(&unit, case, &BTreeMap::new()).await?;
        let user = self.whole.create_user(case, None).await?;
        let role = RoleArn::new(format!("arn:aws:iam::{account}:role/daypass/{case}"))?;
        let simulated = SimulatedRole { session_max: SignedDuration::from_hours(1), external_id: None };
        self.whole.aws.add_role(role.clone(), simulated);
        Ok(AssignmentKey::new(user, account, role))
    }

    fn unknown_entitlement(&self, key: &AssignmentKey) -> Result<Entitlement, AwsError> {
        Ok(RoleArn::new(format!("arn:aws:iam::{}:role/Nobodys", key.account()))?.into())
    }

    fn foreign_entitlement(&self, _key: &AssignmentKey) -> Result<Entitlement, AwsError> {
        Ok(PermissionSetArn::new(sample::READ_ONLY)?.into())
    }
}

#[tokio::test(start_paused = true)]
async fn the_simulated_account_access_manager_conforms() {
    let passed = run_assignments(&Roles::new(Behaviour::default())).await.unwrap();
    assert_eq!(passed.len(), 11, "{passed:?}");
}

#[tokio::test(start_paused = true)]
async fn the_simulated_aws_conforms() {
    let passed = run(&Simulated::new(Behaviour::default())).await.unwrap();
    assert_eq!(passed.len(), 26, "{passed:?}");
}

#[tokio::test(start_paused = true)]
async fn the_simulated_aws_conforms_while_slow() {
    let behaviour = Behaviour {
        latency: std::time::Duration::from_millis(300),
        operation_time: SignedDuration::from_secs(20),
        ..Behaviour::default()
    };
    run(&Simulated::new(behaviour)).await.unwrap();
}

//! The adapter of Account Access Manager against a double of it. Real AWS was not run.

mod double;

use crate::support::{Counted, WallClock, config};
use aws::conformance::{AssignmentsFixture, Capabilities, run_assignments};
use aws::{AssignmentKey, Assignments, Attempt, AwsError, Deletion, ErrorKind, OperationStatus, Uncounted};
use aws_sdk::{Application, AwsConfig, ConnectError, SdkAccountAccess, connect};
use domain::ports::Clock;
use domain::{AccountId, Entitlement, PermissionSetArn, PrincipalId, RoleArn, SignedDuration, Timestamp};
use double::{APPLICATION, Double, Fault};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use wiremock::MockServer;

const INSTANCE: &str = "arn:aws:sso:::instance/ssoins-1111111111111111";
const ROLE: &str = "arn:aws:iam::111111111111:role/daypass/ReadOnly";
const ADA: &str = "00000000-0000-4000-8000-0000000000a1";
const BOB: &str = "00000000-0000-4000-8000-0000000000b2";

struct Bench {
    double: Double,
    server: MockServer,
    port: Arc<SdkAccountAccess>,
    made: AtomicU64,
}

fn with_application(endpoint: &str, application: Application) -> AwsConfig {
    AwsConfig {
        instance_arn: Some(INSTANCE.to_owned()),
        identity_store_id: Some("d-1111111111".to_owned()),
        account_access: Some(application),
        call_timeout: Duration::from_secs(1),
        ..config(endpoint)
    }
}

async fn bench() -> Bench {
    let double = Double::default();
    let server = double.serve(INSTANCE).await;
    double.with(|state| {
        state.users.extend([ADA.to_owned(), BOB.to_owned()]);
        state.roles.insert(ROLE.to_owned());
    });
    let adapters = connect(with_application(&server.uri(), Application::TheOnly), Arc::new(WallClock)).await;
    Bench { double, server, port: adapters.unwrap().account_access.unwrap(), made: AtomicU64::new(0) }
}

fn key(user: &str) -> AssignmentKey {
    AssignmentKey::new(
        PrincipalId::new(user).unwrap(),
        AccountId::new("111111111111").unwrap(),
        RoleArn::new(ROLE).unwrap(),
    )
}

fn attempt() -> Attempt {
    let now = WallClock.now();
    Attempt { signed_at: now, start_before: now + SignedDuration::from_mins(1) }
}

impl Bench {
    fn fail_next(&self, fault: Fault) {
        self.double.with(|state| state.faults.push_back(fault));
    }

    /// Creates, and sees it through.
    async fn create(&self, key: &AssignmentKey) {
        let operation = self.port.create(key, attempt()).await.unwrap();
        while self.port.creation_status(&operation).await.unwrap() == OperationStatus::InProgress {}
    }

    /// The methods and paths of the calls since the application was found.
    async fn calls(&self) -> Vec<String> {
        let requests = self.server.received_requests().await.unwrap();
        let entitlements = requests.iter().filter(|request| request.url.path().starts_with("/entitlements"));
        entitlements.map(|request| format!("{} {}", request.method, request.url.path())).collect()
    }
}

#[async_trait::async_trait]
impl AssignmentsFixture for Bench {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            asynchronous_statuses: true,
            rejects_unknown_targets: true,
            rejects_unknown_operations: false,
            idempotent_create: true,
            knows_roles: false,
            external_ids: false,
        }
    }

    fn assignments(&self) -> &dyn Assignments {
        self.port.as_ref()
    }

    fn now(&self) -> Timestamp {
        WallClock.now()
    }

    async fn wait(&self, _duration: SignedDuration) {
        tokio::task::yield_now().await;
    }

    async fn new_key(&self, case: &str) -> Result<AssignmentKey, AwsError> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let account = AccountId::new(format!("{:012}", 700_000_000_000 + number))?;
        let role = RoleArn::new(format!("arn:aws:iam::{account}:role/daypass/{case}"))?;
        let user = PrincipalId::new(format!("10000000-0000-4000-8000-{number:012x}"))?;
        self.double.with(|state| {
            state.roles.insert(role.to_string());
            state.users.insert(user.to_string());
        });
        Ok(AssignmentKey::new(user, account, role))
    }

    fn unknown_entitlement(&self, key: &AssignmentKey) -> Result<Entitlement, AwsError> {
        Ok(RoleArn::new(format!("arn:aws:iam::{}:role/Nobodys", key.account()))?.into())
    }

    fn foreign_entitlement(&self, _key: &AssignmentKey) -> Result<Entitlement, AwsError> {
        let set = "arn:aws:sso:::permissionSet/ssoins-1111111111111111/ps-1111111111111111";
        Ok(PermissionSetArn::new(set)?.into())
    }
}

#[tokio::test]
async fn the_adapter_of_account_access_manager_conforms() {
    let passed = run_assignments(&bench().await).await.unwrap();
    assert_eq!(passed.len(), 11, "{passed:?}");
}

#[tokio::test]
async fn a_change_of_an_entitlement_is_tried_once_whatever_aws_answers() {
    for (status, code, kind) in [
        (429, "ThrottlingException", ErrorKind::Throttled),
        (402, "ServiceQuotaExceededException", ErrorKind::QuotaReached),
        (409, "ConflictException", ErrorKind::Conflict),
        (404, "ResourceNotFoundException", ErrorKind::NotFound),
        (403, "AccessDeniedException", ErrorKind::Denied),
        (400, "ValidationException", ErrorKind::Invalid),
        (403, "InvalidSignatureException", ErrorKind::Unavailable),
        (500, "InternalServerException", ErrorKind::Unknown),
    ] {
        let bench = bench().await;
        bench.fail_next(Fault::Refused(status, code));
        let error = bench.port.create(&key(ADA), attempt()).await.unwrap_err();
        assert_eq!((error.kind, error.code.as_str()), (kind, code));
        assert_eq!(bench.calls().await, ["POST /entitlements"]);
    }
}

#[tokio::test]
async fn a_look_at_entitlements_is_tried_once_whatever_aws_answers() {
    for (status, code) in [(429, "ThrottlingException"), (500, "InternalServerException")] {
        let bench = bench().await;
        bench.fail_next(Fault::Refused(status, code));
        assert_eq!(bench.port.find(&key(ADA), &Uncounted).await.unwrap_err().code, code);
        assert_eq!(bench.calls().await, ["POST /entitlements-list"]);
    }
}

#[tokio::test]
async fn every_call_but_the_first_waits_for_its_turn() {
    let bench = bench().await;
    bench.create(&key(ADA)).await;
    let before = bench.calls().await.len();
    let turns = Counted::default();
    assert!(bench.port.find(&key(ADA), &turns).await.unwrap());
    let looked = bench.calls().await.len();
    assert_eq!(looked - before, turns.turns() + 1, "a page each");
    assert!(turns.turns() > 0, "of which there are several");
    let turns = Counted::default();
    assert!(matches!(bench.port.delete(&key(ADA), attempt(), &turns).await.unwrap(), Deletion::Started(_)));
    assert_eq!(bench.calls().await.len() - looked, turns.turns() + 1, "pages, and what is deleted");
}

#[tokio::test]
async fn a_lost_answer_leaves_the_outcome_unknown_and_a_look_tells() {
    let bench = bench().await;
    bench.fail_next(Fault::AnswerLost);
    let error = bench.port.create(&key(ADA), attempt()).await.unwrap_err();
    assert_eq!((error.outcome_unknown(), error.code.as_str()), (true, "Timeout"));
    let mut looks = 0;
    while !bench.port.find(&key(ADA), &Uncounted).await.unwrap() {
        looks += 1;
        assert!(looks < 10);
    }
    assert_eq!(bench.calls().await.iter().filter(|call| *call == "POST /entitlements").count(), 1);
}

#[tokio::test]
async fn changes_of_entitlements_are_signed_with_their_attempts_time_for_their_service() {
    let bench = bench().await;
    bench.create(&key(ADA)).await;
    let signed_at = WallClock.now() - SignedDuration::from_mins(3);
    let early = Attempt { signed_at, ..attempt() };
    bench.port.create(&key(BOB), early).await.unwrap();
    assert!(matches!(bench.port.delete(&key(ADA), early, &Uncounted).await.unwrap(), Deletion::Started(_)));
    let date = signed_at.strftime("%Y%m%dT%H%M%SZ").to_string();
    let requests = bench.server.received_requests().await.unwrap();
    let signed: Vec<(String, String)> = requests
        .iter()
        .filter(|request| request.headers.get("x-amz-date").unwrap() == date.as_str())
        .map(|request| {
            let authorization = request.headers.get("authorization").unwrap().to_str().unwrap();
            let scope = authorization.split(['/', ',']).skip(2).take(3).collect::<Vec<_>>().join("/");
            (request.method.to_string(), scope)
        })
        .collect();
    let scope = "us-east-1/account-access/aws4_request".to_owned();
    assert_eq!(signed, [("POST".to_owned(), scope.clone()), ("DELETE".to_owned(), scope)]);
}

#[tokio::test]
async fn a_stale_attempt_changes_no_entitlement() {
    let bench = bench().await;
    bench.create(&key(ADA)).await;
    let stale = Attempt { signed_at: WallClock.now() - SignedDuration::from_mins(6), ..attempt() };
    let error = bench.port.create(&key(BOB), stale).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Unavailable, "InvalidSignatureException"));
    let error = bench.port.delete(&key(ADA), stale, &Uncounted).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(
        bench.port.find(&key(ADA), &Uncounted).await.unwrap()
            && !bench.port.find(&key(BOB), &Uncounted).await.unwrap()
    );
}

#[tokio::test]
async fn what_is_not_listed_is_not_said_to_be_gone_and_nothing_is_deleted() {
    let bench = bench().await;
    bench.port.create(&key(ADA), attempt()).await.unwrap();
    assert_eq!(bench.port.delete(&key(ADA), attempt(), &Uncounted).await.unwrap(), Deletion::NotFound);
    assert!(bench.calls().await.iter().all(|call| !call.starts_with("DELETE")));
}

#[tokio::test]
async fn another_users_entitlement_and_a_groups_are_left_alone() {
    let bench = bench().await;
    bench.double.standing(ROLE, "groupId", BOB);
    bench.double.standing(ROLE, "userId", BOB);
    bench.create(&key(ADA)).await;
    let (account, entitlement) = (key(ADA).account().clone(), key(ADA).entitlement().clone());
    let holders = bench.port.holders(&account, &entitlement, &Uncounted).await.unwrap();
    assert_eq!(holders.len(), 2, "Ada and Bob, and no group: {holders:?}");
    assert!(matches!(
        bench.port.delete(&key(ADA), attempt(), &Uncounted).await.unwrap(),
        Deletion::Started(_)
    ));
    while bench.port.find(&key(ADA), &Uncounted).await.unwrap() {}
    assert!(bench.port.find(&key(BOB), &Uncounted).await.unwrap());
}

#[tokio::test]
async fn all_roles_of_an_account_that_users_hold_are_listed_and_no_other_accounts() {
    let bench = bench().await;
    let second = ROLE.replace("ReadOnly", "Deployer");
    bench.double.standing(&second, "userId", BOB);
    bench.double.standing(&second, "groupId", BOB);
    bench.double.standing(&ROLE.replace("111111111111", "222222222222"), "userId", BOB);
    bench.create(&key(ADA)).await;
    let held = bench.port.held_in(key(ADA).account(), &Uncounted).await.unwrap().unwrap();
    let bobs = AssignmentKey::new(
        key(BOB).principal().clone(),
        key(BOB).account().clone(),
        RoleArn::new(&second).unwrap(),
    );
    assert_eq!(held, [key(ADA), bobs].into());
    bench.double.with(|state| state.applications.clear());
    let error = bench.port.held_in(key(ADA).account(), &Uncounted).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "no proof of absence");
}

#[tokio::test]
async fn an_application_that_is_not_there_is_no_proof_of_absence() {
    let bench = bench().await;
    bench.create(&key(ADA)).await;
    bench.double.with(|state| state.applications.clear());
    for error in [
        bench.port.find(&key(ADA), &Uncounted).await.unwrap_err(),
        bench.port.delete(&key(ADA), attempt(), &Uncounted).await.unwrap_err(),
    ] {
        assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Unavailable, "ResourceNotFoundException"));
    }
}

#[tokio::test]
async fn only_an_active_application_of_our_instance_is_found() {
    let other = |name: &str| APPLICATION.replace("app-1111111111111111", name);
    let double = Double::default();
    let server = double.serve("arn:aws:sso:::instance/ssoins-2222222222222222").await;
    double.with(|state| {
        state.applications.insert(other("app-failed"), (INSTANCE.to_owned(), "CREATE_FAILED"));
    });
    let the_only = with_application(&server.uri(), Application::TheOnly);
    let error = connect(the_only.clone(), Arc::new(WallClock)).await.unwrap_err();
    assert!(matches!(error, ConnectError::NoApplication { .. }), "{error}");
    double.with(|state| {
        state.applications.insert(other("app-a"), (INSTANCE.to_owned(), "ACTIVE"));
    });
    let adapters = connect(the_only.clone(), Arc::new(WallClock)).await.unwrap();
    assert!(format!("{:?}", adapters.account_access).contains("app-a"));
    double.with(|state| {
        state.applications.insert(other("app-b"), (INSTANCE.to_owned(), "ACTIVE"));
    });
    let error = connect(the_only, Arc::new(WallClock)).await.unwrap_err();
    assert!(matches!(error, ConnectError::SeveralApplications { arns } if arns.len() == 2));
    let named = with_application(&server.uri(), Application::Arn(other("app-b")));
    let adapters = connect(named, Arc::new(WallClock)).await.unwrap();
    assert!(format!("{:?}", adapters.account_access).contains("app-b"));
}

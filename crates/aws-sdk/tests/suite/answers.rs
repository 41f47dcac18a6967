//! The adapters against answers that moto never gives: refusals, faults, silence, empty pages. And what they send.

use crate::support::{Counted, WallClock, config};
use aws::session_denials::{IN_USE, policy_name};
use aws::{
    AssignmentKey, Assignments, AssumeRole, Attempt, AwsError, Deletion, DirectorySource, ErrorKind,
    OperationId, OperationStatus, SessionDenials, SessionName, Sts, Uncounted,
};
use aws_sdk::{Adapters, AwsConfig, ConnectError, connect};
use domain::ports::Clock;
use domain::{AccountId, PermissionSetArn, PrincipalId, RoleArn, SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use wiremock::matchers::{any, body_partial_json, body_string_contains, header, method};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

const SET: &str = "arn:aws:sso:::permissionSet/ssoins-1111111111111111/ps-1111111111111111";

fn key() -> AssignmentKey {
    AssignmentKey::new(
        PrincipalId::new("00000000-0000-4000-8000-0000000000a1").unwrap(),
        AccountId::new("111111111111").unwrap(),
        PermissionSetArn::new(SET).unwrap(),
    )
}

fn attempt() -> Attempt {
    let now = WallClock.now();
    Attempt { signed_at: now, start_before: now + SignedDuration::from_mins(1) }
}

fn with_instance(endpoint: &str) -> AwsConfig {
    AwsConfig {
        instance_arn: Some("arn:aws:sso:::instance/ssoins-1111111111111111".to_owned()),
        identity_store_id: Some("d-1111111111".to_owned()),
        ..config(endpoint)
    }
}

async fn adapters(server: &MockServer) -> Adapters {
    connect(with_instance(&server.uri()), Arc::new(WallClock)).await.unwrap()
}

/// The header that names the operation in AWS's JSON protocol.
fn target(operation: &str) -> String {
    let service = match operation {
        "ListUsers" | "ListGroups" => "AWSIdentityStore",
        "DescribeOrganization"
        | "ListRoots"
        | "ListPoliciesForTarget"
        | "ListTargetsForPolicy"
        | "DescribePolicy"
        | "DetachPolicy"
        | "DeletePolicy" => "AWSOrganizationsV20161128",
        _sso => "SWBExternalService",
    };
    format!("{service}.{operation}")
}

async fn answers(server: &MockServer, operation: &str, status: u16, body: Value) {
    Mock::given(method("POST"))
        .and(header("x-amz-target", target(operation).as_str()))
        .respond_with(ResponseTemplate::new(status).set_body_json(body))
        .mount(server)
        .await;
}

async fn refuses(server: &MockServer, operation: &str, status: u16, code: &str) {
    answers(server, operation, status, json!({"__type": code, "message": "because"})).await;
}

async fn create(server: &MockServer) -> Result<OperationId, AwsError> {
    adapters(server).await.assignments.create(&key(), attempt()).await
}

#[tokio::test]
async fn a_change_is_tried_once_whatever_aws_answers() {
    for (status, code, kind) in [
        (400, "ThrottlingException", ErrorKind::Throttled),
        (400, "ServiceQuotaExceededException", ErrorKind::QuotaReached),
        (400, "LimitExceededException", ErrorKind::QuotaReached),
        (400, "ConflictException", ErrorKind::Conflict),
        (400, "ResourceNotFoundException", ErrorKind::NotFound),
        (400, "AccessDeniedException", ErrorKind::Denied),
        (400, "ValidationException", ErrorKind::Invalid),
        (403, "InvalidSignatureException", ErrorKind::Unavailable),
        (500, "InternalServerException", ErrorKind::Unknown),
        (503, "ServiceUnavailable", ErrorKind::Unknown),
    ] {
        let server = MockServer::start().await;
        refuses(&server, "CreateAccountAssignment", status, code).await;
        let error = create(&server).await.unwrap_err();
        assert_eq!((error.kind, error.code.as_str()), (kind, code));
        assert_eq!(server.received_requests().await.unwrap().len(), 1, "{code}");
    }
}

#[tokio::test]
async fn a_look_is_one_request_whatever_aws_answers() {
    let operation = OperationId::new("r-1").unwrap();
    for (status, code, kind) in [
        (400, "ThrottlingException", ErrorKind::Throttled),
        (500, "InternalServerException", ErrorKind::Unavailable),
        (503, "ServiceUnavailable", ErrorKind::Unavailable),
    ] {
        let server = MockServer::start().await;
        let refusal = json!({"__type": code, "message": "because"});
        let refusal = ResponseTemplate::new(status).set_body_json(refusal);
        Mock::given(method("POST")).respond_with(refusal).mount(&server).await;
        let port = adapters(&server).await.assignments;
        let (key, turns) = (key(), Counted::default());
        let errors = [
            port.find(&key, &turns).await.unwrap_err(),
            port.groups_holding(key.account(), key.entitlement(), &turns).await.unwrap_err(),
            port.creation_status(&operation).await.unwrap_err(),
            port.deletion_status(&operation).await.unwrap_err(),
        ];
        assert!(errors.iter().all(|error| error.kind == kind), "{errors:?}");
        assert_eq!(server.received_requests().await.unwrap().len(), errors.len(), "{code}");
        assert_eq!(turns.turns(), 0);
    }
}

#[tokio::test]
async fn what_is_throttled_of_the_directory_is_asked_for_again_and_permission_sets_have_a_pace_of_their_own()
{
    let server = MockServer::start().await;
    let sets: Vec<String> = (1..=4).map(|nth| SET.replace("ps-1111", &format!("ps-{nth}111"))).collect();
    for (operation, body) in [
        ("DescribeOrganization", json!({"Organization": {"MasterAccountId": "999999999999"}})),
        ("ListRoots", json!({"Roots": []})),
        ("ListPermissionSets", json!({"PermissionSets": sets})),
        ("DescribePermissionSet", json!({"PermissionSet": {"Name": "ReadOnly"}})),
        ("ListUsers", json!({"Users": []})),
        ("ListGroups", json!({"Groups": []})),
    ] {
        answers(&server, operation, 200, body).await;
    }
    let throttled = json!({"__type": "ThrottlingException", "message": "because"});
    Mock::given(header("x-amz-target", target("ListPermissionSets").as_str()))
        .respond_with(ResponseTemplate::new(400).set_body_json(throttled))
        .up_to_n_times(1)
        .with_priority(1)
        .mount(&server)
        .await;
    let config = AwsConfig { permission_set_calls_per_second: 2, ..with_instance(&server.uri()) };
    let directory = connect(config, Arc::new(WallClock)).await.unwrap().directory;
    let began = tokio::time::Instant::now();
    let contents = directory.fetch().await.unwrap();
    assert_eq!(contents.permission_sets.len(), 4);
    assert_eq!(server.received_requests().await.unwrap().len(), 4 + 2 + 4);
    assert!(began.elapsed() >= Duration::from_millis(2_500), "six calls of Identity Center, two a second");
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_leaves_the_outcome_unknown() {
    for body in [json!("nonsense"), json!({})] {
        let server = MockServer::start().await;
        answers(&server, "CreateAccountAssignment", 200, body).await;
        assert!(create(&server).await.unwrap_err().outcome_unknown());
    }
}

#[tokio::test]
async fn silence_leaves_the_outcome_of_a_change_unknown() {
    let server = MockServer::start().await;
    let silence = ResponseTemplate::new(200).set_delay(Duration::from_mins(5));
    Mock::given(method("POST")).respond_with(silence).mount(&server).await;
    let config = AwsConfig { call_timeout: Duration::from_millis(200), ..with_instance(&server.uri()) };
    let adapters = connect(config, Arc::new(WallClock)).await.unwrap();
    let error = adapters.assignments.create(&key(), attempt()).await.unwrap_err();
    assert_eq!((error.outcome_unknown(), error.code.as_str()), (true, "Timeout"));
    let error = adapters.assignments.find(&key(), &Uncounted).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
}

#[tokio::test]
async fn a_connection_that_closes_without_an_answer_leaves_the_outcome_unknown() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        use tokio::io::AsyncReadExt as _;
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut first = [0; 1];
        connection.read_exact(&mut first).await.unwrap();
    });
    let adapters = connect(with_instance(&endpoint), Arc::new(WallClock)).await.unwrap();
    let error = adapters.assignments.create(&key(), attempt()).await.unwrap_err();
    assert!(error.outcome_unknown(), "{error}");
    serving.await.unwrap();
}

#[tokio::test]
async fn a_refused_connection_surely_had_no_effect() {
    let port = test_servers::process::free_port().unwrap();
    let config = with_instance(&format!("http://127.0.0.1:{port}"));
    let adapters = connect(config, Arc::new(WallClock)).await.unwrap();
    let error = adapters.assignments.create(&key(), attempt()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
}

#[tokio::test]
async fn a_change_is_signed_with_its_attempts_time_even_after_aws_told_another() {
    let server = MockServer::start().await;
    let ok = json!({"AccountAssignmentCreationStatus": {"RequestId": "r-1", "Status": "IN_PROGRESS"}});
    Mock::given(method("POST"))
        .respond_with(
            ResponseTemplate::new(200)
                .insert_header("date", "Sat, 01 Jan 2050 00:00:00 GMT")
                .set_body_json(ok),
        )
        .mount(&server)
        .await;
    let adapters = adapters(&server).await;
    let signed_at: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
    let attempt = Attempt { signed_at, ..attempt() };
    for _ in 0..2 {
        let operation = adapters.assignments.create(&key(), attempt).await.unwrap();
        assert_eq!(operation.as_str(), "r-1");
    }
    for request in server.received_requests().await.unwrap() {
        assert_eq!(request.headers.get("x-amz-date").unwrap(), "20260301T120000Z");
    }
}

#[tokio::test]
async fn a_late_attempt_sends_nothing() {
    let server = MockServer::start().await;
    let now = WallClock.now();
    let late = Attempt { signed_at: now, start_before: now };
    let adapters = adapters(&server).await;
    let error = adapters.assignments.create(&key(), late).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert_eq!(adapters.assignments.delete(&key(), late, &Uncounted).await.unwrap_err(), error);
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn deleting_what_aws_does_not_find_says_so() {
    let server = MockServer::start().await;
    refuses(&server, "DeleteAccountAssignment", 400, "ResourceNotFoundException").await;
    let deletion = adapters(&server).await.assignments.delete(&key(), attempt(), &Uncounted).await.unwrap();
    assert_eq!(deletion, Deletion::NotFound);
}

/// A gateway whose routes are being loaded, say.
#[tokio::test]
async fn a_404_that_is_not_of_aws_says_nothing_of_what_was_asked_about() {
    let server = MockServer::start().await;
    let page = ResponseTemplate::new(404).set_body_string("default backend - 404");
    Mock::given(any()).respond_with(page).mount(&server).await;
    let adapters = adapters(&server).await;
    let deletion = adapters.assignments.delete(&key(), attempt(), &Uncounted).await;
    assert_eq!(deletion.unwrap_err().kind, ErrorKind::Unknown);
    let creation = adapters.assignments.create(&key(), attempt()).await;
    assert_eq!(creation.unwrap_err().kind, ErrorKind::Unknown);
    let found = adapters.assignments.find(&key(), &Uncounted).await;
    assert_eq!(found.unwrap_err().kind, ErrorKind::Unavailable);
}

#[tokio::test]
async fn every_status_is_told_and_an_unknown_one_is_an_error() {
    let operation = OperationId::new("r-1").unwrap();
    for (status, expected) in [
        (json!({"Status": "IN_PROGRESS"}), Some(OperationStatus::InProgress)),
        (json!({"Status": "SUCCEEDED"}), Some(OperationStatus::Succeeded)),
        (
            json!({"Status": "FAILED", "FailureReason": "no such user"}),
            Some(OperationStatus::Failed { reason: "no such user".to_owned() }),
        ),
        (json!({"Status": "PAUSED"}), None),
        (json!({}), None),
    ] {
        let server = MockServer::start().await;
        let body = json!({"AccountAssignmentDeletionStatus": status});
        answers(&server, "DescribeAccountAssignmentDeletionStatus", 200, body).await;
        let seen = adapters(&server).await.assignments.deletion_status(&operation).await;
        assert_eq!(seen.as_ref().ok(), expected.as_ref(), "{seen:?}");
    }
}

#[tokio::test]
async fn an_empty_page_with_a_token_is_not_the_end_of_the_holders() {
    let server = MockServer::start().await;
    let holder = |principal: &str, kind: &str| json!({"AccountId": "111111111111", "PermissionSetArn": SET, "PrincipalType": kind, "PrincipalId": principal});
    let last = json!({"AccountAssignments": [
        holder("00000000-0000-4000-8000-0000000000b2", "GROUP"),
        holder("00000000-0000-4000-8000-0000000000a1", "USER"),
    ]});
    Mock::given(body_partial_json(json!({"NextToken": "more"})))
        .respond_with(ResponseTemplate::new(200).set_body_json(last))
        .with_priority(1)
        .mount(&server)
        .await;
    answers(&server, "ListAccountAssignments", 200, json!({"AccountAssignments": [], "NextToken": "more"}))
        .await;
    let assignments = adapters(&server).await.assignments;
    let turns = Counted::default();
    assert!(assignments.find(&key(), &turns).await.unwrap());
    assert_eq!(turns.turns(), 1, "the further page");
    let holders = assignments.holders(key().account(), key().entitlement(), &Uncounted).await.unwrap();
    assert_eq!(holders.len(), 1);
}

#[tokio::test]
async fn a_list_without_end_is_an_error_and_not_an_absence() {
    let server = MockServer::start().await;
    answers(&server, "ListAccountAssignments", 200, json!({"AccountAssignments": [], "NextToken": "same"}))
        .await;
    let error = adapters(&server).await.assignments.find(&key(), &Uncounted).await.unwrap_err();
    assert_eq!(error.code, "EndlessList");
}

/// That there were calls of a service, reading and changing ones, and each was signed with this key.
async fn assert_all_signed_by(server: &MockServer, service: &str, key: &str) {
    let header = |request: &Request, name: &str| {
        request.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let requests = server.received_requests().await.unwrap();
    let calls = requests.iter().filter(|request| header(request, "x-amz-target").starts_with(service));
    let signed = calls.map(|request| (header(request, "x-amz-target"), header(request, "authorization")));
    let signed: Vec<_> = signed.collect();
    for operation in ["ListPoliciesForTarget", "DescribePolicy", "DetachPolicy", "DeletePolicy"] {
        assert!(signed.iter().any(|(target, _)| target.ends_with(operation)), "{operation} was not called");
    }
    for (target, authorization) in signed {
        assert!(authorization.contains(&format!("Credential={key}/")), "{target} is signed by another");
    }
}

/// A policy that cannot be deleted is left to whoever attached it elsewhere: not before AWS has said that they have, or never will.
#[tokio::test]
async fn where_a_policy_is_attached_is_asked_again_if_it_was_not_told() {
    for (code, kind, told) in [
        // Throttling is one, too; but the SDK tries that again for seconds.
        ("ExpiredTokenException", ErrorKind::Unavailable, "ExpiredTokenException"),
        ("AccessDeniedException", ErrorKind::Invalid, IN_USE),
    ] {
        let server = MockServer::start().await;
        let xml = r#"<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
            <AccessKeyId>ASIA1</AccessKeyId><SecretAccessKey>canary-a</SecretAccessKey><SessionToken>canary-b</SessionToken>
            <Expiration>2999-03-01T12:15:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"#;
        Mock::given(method("POST"))
            .and(body_string_contains("Action=AssumeRole"))
            .respond_with(ResponseTemplate::new(200).set_body_raw(xml, "text/xml"))
            .mount(&server)
            .await;
        let account = AccountId::new("111111111111").unwrap();
        let policies = json!({"Policies": [{"Id": "p-11111111", "Name": policy_name(&account)}]});
        answers(&server, "ListPoliciesForTarget", 200, policies).await;
        let document = json!({"Version": "2012-10-17", "Statement": [{"Sid": "DaypassRequests"}]});
        answers(&server, "DescribePolicy", 200, json!({"Policy": {"Content": document.to_string()}})).await;
        answers(&server, "DetachPolicy", 200, json!({})).await;
        refuses(&server, "DeletePolicy", 400, IN_USE).await;
        refuses(&server, "ListTargetsForPolicy", 400, code).await;
        let role = RoleArn::new("arn:aws:iam::123456789012:role/denials").unwrap();
        let config = AwsConfig { session_denials_role: Some(role), ..with_instance(&server.uri()) };
        let denials = connect(config, Arc::new(WallClock)).await.unwrap().session_denials.unwrap();
        let error = denials.deny(&account, &BTreeSet::new(), attempt()).await.unwrap_err();
        assert_eq!((error.kind, error.code.as_str()), (kind, told), "{error}");
        assert_all_signed_by(&server, "AWSOrganizations", "ASIA1").await;
    }
}

#[tokio::test]
async fn assume_role_sends_everything_that_was_asked() {
    let server = MockServer::start().await;
    let xml = r#"<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
        <AccessKeyId>ASIA1</AccessKeyId><SecretAccessKey>canary-a</SecretAccessKey><SessionToken>canary-b</SessionToken>
        <Expiration>2026-03-01T12:15:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"#;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(200).set_body_raw(xml, "text/xml"))
        .mount(&server)
        .await;
    let role = RoleArn::new("arn:aws:iam::111111111111:role/Admin").unwrap();
    let call = AssumeRole::new(role, SessionName::new("ada-1").unwrap(), SignedDuration::from_mins(15))
        .unwrap()
        .with_policy(aws::SessionPolicy::new("{}").unwrap())
        .with_managed_policies(["arn:aws:iam::aws:policy/ReadOnlyAccess".parse().unwrap()].into())
        .unwrap()
        .with_source_identity(aws::SourceIdentity::new("ada@example.com").unwrap())
        .with_external_id(aws::RoleExternalId::new("daypass:1").unwrap())
        .with_tag("request", "r1", true)
        .unwrap();
    let credentials = adapters(&server).await.sts.assume_role(&call).await.unwrap();
    assert_eq!(credentials.secret_access_key.expose(), "canary-a");
    assert_eq!(credentials.expires_at, "2026-03-01T12:15:00Z".parse().unwrap());
    let requests = server.received_requests().await.unwrap();
    let body = String::from_utf8(requests.first().unwrap().body.clone()).unwrap();
    for part in [
        "Action=AssumeRole",
        "RoleSessionName=ada-1",
        "DurationSeconds=900",
        "Policy=%7B%7D",
        "PolicyArns.member.1.arn=arn%3Aaws%3Aiam%3A%3Aaws%3Apolicy%2FReadOnlyAccess",
        "SourceIdentity=ada%40example.com",
        "ExternalId=daypass%3A1",
        "Tags.member.1.Key=request&Tags.member.1.Value=r1",
        "TransitiveTagKeys.member.1=request",
    ] {
        assert!(body.contains(part), "{part} is not in {body}");
    }
}

#[tokio::test]
async fn several_instances_are_not_guessed_between() {
    let server = MockServer::start().await;
    let instance =
        |id: &str| json!({"InstanceArn": format!("arn:aws:sso:::instance/{id}"), "IdentityStoreId": "d-1"});
    let both = json!({"Instances": [instance("ssoins-1"), instance("ssoins-2")]});
    answers(&server, "ListInstances", 200, both).await;
    let error = connect(config(&server.uri()), Arc::new(WallClock)).await.unwrap_err();
    assert!(matches!(error, ConnectError::SeveralInstances { arns } if arns.len() == 2));
    let wanted = Some("arn:aws:sso:::instance/ssoins-2".to_owned());
    let config = AwsConfig { instance_arn: wanted.clone(), ..config(&server.uri()) };
    assert_eq!(Some(connect(config, Arc::new(WallClock)).await.unwrap().instance_arn), wanted);
}

#[tokio::test]
async fn an_instance_of_another_partition_is_refused() {
    let config = AwsConfig { region: "cn-north-1".to_owned(), ..with_instance("http://127.0.0.1:9") };
    let error = connect(config, Arc::new(WallClock)).await.unwrap_err();
    assert!(matches!(error, ConnectError::AnotherPartition { .. }), "{error}");
}

#[tokio::test]
async fn no_secret_is_in_a_debug_form() {
    let config = with_instance("http://127.0.0.1:9");
    let shown = format!("{config:?} {:?}", connect(config.clone(), Arc::new(WallClock)).await.unwrap());
    assert!(!shown.contains("canary"), "{shown}");
}

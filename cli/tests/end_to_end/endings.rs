//! The other ways that requests go: used through credentials and revoked, rejected, expired, withdrawn, waiting.

use crate::deployment::Deployment;
use crate::job::{Told, ask, create, until_status};
use crate::world::{World, now, until};
use api::activation::v1::IssueCredentialsRequest;
use api::approval::v1::{ApproveRequest, RejectRequest};
use api::request::v1::WithdrawRequestRequest;
use api::types::v1::{AccessPhase, CloseReason, ClosurePhase, EndReason, RequestStatus, RevokedAs};
use domain::SignedDuration;
use serde_json::Value;
use tonic::Code;

/// Ada asks for a role on the command line, Bob agrees there, the AWS CLI uses it; Bob ends it.
pub(crate) async fn credentials(world: &World, deployment: &Deployment, told: &mut Told) {
    let account = &world.organisation.accounts.payments_prod;
    let asking = [
        "request",
        "--account",
        "payments-prod",
        "--entitlement",
        "Deployer",
        "--for",
        "30m",
        "--because",
        "roll back release 42",
        "--ticket",
        "OPS-42",
        "--output",
        "json",
    ];
    let asked = json(&world.daypass(deployment, "ada", &asking).await.unwrap());
    let id = text(&asked, "/request/requestId").to_owned();
    assert_eq!(text(&asked, "/request/status"), "REQUEST_STATUS_REQUESTED");
    until("the request reaching bob's list", deployment, async || {
        let pending = world.daypass(deployment, "bob", &["pending", "--output", "json"]).await.unwrap();
        pending.contains(&id).then_some(())
    })
    .await;
    world.daypass(deployment, "bob", &["approve", &id, "--comment", "go"]).await.unwrap();
    until_status(world, deployment, &id, |request| request.access_phase() == AccessPhase::Active).await;

    let profile = ["credentials", &id, "--print-profile", "--profile", "lent"];
    let profile = world.daypass(deployment, "ada", &profile).await.unwrap();
    let command = profile.lines().find_map(|line| line.strip_prefix("credential_process = ")).unwrap();
    world.aws.add_credential_process("lent", command).unwrap();
    let caller = world.aws.caller_identity("lent").await.unwrap();
    let session = session_name(world, deployment, &id).await;
    assert_eq!(caller.account, *account);
    assert_eq!(caller.arn, format!("arn:aws:sts::{account}:assumed-role/Deployer/{session}"));

    // Neither Bob, who agreed, nor Mallory, who may not even know, gets any.
    assert_eq!(issue(world, deployment, "bob", &id).await, Code::PermissionDenied);
    assert_eq!(issue(world, deployment, "mallory", &id).await, Code::NotFound);

    world.daypass(deployment, "bob", &["revoke", &id, "--comment", "enough"]).await.unwrap();
    let over = until_status(world, deployment, &id, |request| request.status() == RequestStatus::Ended).await;
    assert_eq!((over.end_reason(), over.revoked_as()), (EndReason::Revoked, RevokedAs::Approver));
    // What was handed out lives on for a while, and that is told.
    assert_eq!(over.closure_phase(), ClosurePhase::Closing);
    assert!(over.credentials_bound_at.is_some());
    assert_eq!(issue(world, deployment, "ada", &id).await, Code::FailedPrecondition);
    let shown = world.daypass(deployment, "ada", &["show", &id]).await.unwrap();
    assert!(shown.contains("roll back release 42") && shown.contains("credentials issued"), "{shown}");
    told.add(
        &id,
        &[
            "request.requested.v1",
            "request.approved.v1",
            "request.activated.v1",
            "request.credentials_issued.v1",
            "request.revoked.v1",
        ],
    );
}

/// The name of the one session that was handed out, as history has it.
async fn session_name(world: &World, deployment: &Deployment, id: &str) -> String {
    let replay = ["audit", "replay", id, "--type", "request.credentials_issued.v1", "--output", "json"];
    let issued = json(&world.daypass(deployment, "eve", &replay).await.unwrap());
    assert_eq!(issued.as_array().unwrap().len(), 1, "{issued}");
    text(&issued, "/0/payload/session_name").to_owned()
}

async fn issue(world: &World, deployment: &Deployment, name: &str, id: &str) -> Code {
    let message = IssueCredentialsRequest {
        idempotency_key: format!("{}", now()),
        request_id: id.to_owned(),
        duration: None,
    };
    let answer = world.activations(deployment, name).issue_credentials(message).await;
    answer.map_or_else(|status| status.code(), |_| Code::Ok)
}

/// Bob says no; Ada could not have said yes herself.
pub(crate) async fn rejected(world: &World, deployment: &Deployment, told: &mut Told) {
    let organisation = &world.organisation;
    let asked = ask(
        &organisation.accounts.shop_prod,
        &organisation.permission_sets.read_only,
        SignedDuration::from_mins(5),
    );
    let id = create(world, deployment, asked).await.request_id;
    let own =
        ApproveRequest { idempotency_key: "own".to_owned(), request_id: id.clone(), comment: String::new() };
    let by_bob = RejectRequest {
        idempotency_key: "no".to_owned(),
        request_id: id.clone(),
        comment: "not during the sale".to_owned(),
    };
    // The approval service may be a moment behind.
    let refused = until("ada's own word being refused", deployment, async || {
        let answer = world.approvals(deployment, "ada").approve(own.clone()).await;
        Some(answer.unwrap_err()).filter(|status| status.code() != Code::NotFound)
    })
    .await;
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    let answer = world.approvals(deployment, "bob").reject(by_bob).await.unwrap();
    let rejected = answer.into_inner().request.unwrap();
    assert_eq!(rejected.status(), RequestStatus::Rejected);
    assert_eq!(rejected.end_reason(), EndReason::RejectedByApprover);
    told.add(&id, &["request.requested.v1", "request.rejected.v1"]);
}

/// Nobody decides before the asked window is over.
pub(crate) async fn expired(world: &World, deployment: &Deployment, told: &mut Told) {
    let organisation = &world.organisation;
    let mut asked = ask(
        &organisation.accounts.shop_dev,
        &organisation.permission_sets.read_only,
        SignedDuration::from_secs(2),
    );
    let start = now() + SignedDuration::from_secs(10);
    asked.window.as_mut().unwrap().start = Some(views::wire::time(start));
    let id = create(world, deployment, asked).await.request_id;
    let over =
        until_status(world, deployment, &id, |request| request.status() != RequestStatus::Requested).await;
    assert_eq!(over.status(), RequestStatus::Expired);
    assert_eq!(over.end_reason(), EndReason::WindowPassed);
    told.add(&id, &["request.requested.v1", "request.expired.v1"]);
}

/// A rule that asks nobody: approved by itself, for later; Ada takes it back.
pub(crate) async fn withdrawn(world: &World, deployment: &Deployment, told: &mut Told) {
    let organisation = &world.organisation;
    let mut asked = ask(
        &organisation.accounts.playground,
        &organisation.permission_sets.administrator,
        SignedDuration::from_mins(30),
    );
    asked.window.as_mut().unwrap().start = Some(views::wire::time(now() + SignedDuration::from_hours(1)));
    let id = create(world, deployment, asked).await.request_id;
    until_status(world, deployment, &id, |request| request.status() == RequestStatus::Approved).await;
    let message = WithdrawRequestRequest { idempotency_key: "back".to_owned(), request_id: id.clone() };
    world.requests(deployment, "ada").withdraw_request(message).await.unwrap();
    let over =
        until_status(world, deployment, &id, |request| request.closure_phase() == ClosurePhase::Closed).await;
    assert_eq!(over.end_reason(), EndReason::Withdrawn);
    assert_eq!(over.close_reason(), CloseReason::NothingCreated);
    told.add(
        &id,
        &["request.requested.v1", "request.approved.v1", "request.withdrawn.v1", "request.closed.v1"],
    );
}

/// One that nobody has decided yet.
pub(crate) async fn waiting(world: &World, deployment: &Deployment, told: &mut Told) {
    let organisation = &world.organisation;
    let asked = ask(
        &organisation.accounts.shop_dev,
        &organisation.permission_sets.read_only,
        SignedDuration::from_mins(5),
    );
    let request = create(world, deployment, asked).await;
    assert_eq!(request.status(), RequestStatus::Requested);
    told.add(&request.request_id, &["request.requested.v1"]);
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no {pointer} in {value}"))
}

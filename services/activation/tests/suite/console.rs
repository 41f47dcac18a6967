//! The console: as for credentials, recorded before the link leaves, bound to the window, leading nowhere else.

use crate::house::{HOUR, House, Process, call, instant, permission_set, reason, role};
use activation::{ActivationService, Ports};
use api::activation::v1::{self as wire, activation_service_server::ActivationService as Rpcs};
use aws::simulated::{Fault, Operation};
use aws::{AwsError, ErrorKind, Federation, FederationEndpoint, Secret, SessionCredentials};
use domain::{Partition, RequestId};
use lifecycle::event::{ClosedHow, RequestEvent};
use std::sync::Arc;
use tonic::Code;

const HOME: &str = "https%3A%2F%2Fconsole.aws.amazon.com%2F";

async fn open_on(
    service: &ActivationService,
    name: &str,
    id: RequestId,
    key: &str,
    destination: &str,
) -> Result<wire::OpenConsoleResponse, tonic::Status> {
    let asked = wire::OpenConsoleRequest {
        idempotency_key: key.to_owned(),
        request_id: id.to_string(),
        destination: destination.to_owned(),
    };
    Ok(Rpcs::open_console(service, call(name, asked)).await?.into_inner())
}

async fn open(
    process: &Process,
    name: &str,
    id: RequestId,
    key: &str,
) -> Result<wire::OpenConsoleResponse, tonic::Status> {
    open_on(&process.service, name, id, key, "").await
}

/// AWS Sign-In, as it answers on a bad day.
struct Broken(ErrorKind);

#[async_trait::async_trait]
impl Federation for Broken {
    fn endpoint(&self) -> FederationEndpoint {
        FederationEndpoint::of_region("us-east-1", Partition::Aws).unwrap()
    }

    async fn sign_in_token(&self, _: &SessionCredentials) -> Result<Secret, AwsError> {
        Err(AwsError::new(self.0, "FederationRefused", "no"))
    }
}

fn with_federation(house: &House, process: &Process, federation: Option<Broken>) -> ActivationService {
    let ports = Ports::new(house.aws.clone(), house.aws.clone());
    let ports = match federation {
        Some(broken) => ports.with_federation(Arc::new(broken)),
        None => ports,
    };
    ActivationService::new(process.views.clone(), ports, house.settings.clone())
}

#[tokio::test(start_paused = true)]
async fn a_link_is_recorded_before_it_leaves_and_no_secret_is() {
    let house = House::new().await;
    let process = house.start().await;
    let id = house.grant(&role(), 60, 2 * HOUR).await;
    house.at(30).await;
    assert_eq!(reason(&open(&process, "ada", id, "early").await.unwrap_err()), "WINDOW_NOT_BEGUN");
    house.at(65).await;
    let opened = open(&process, "ada", id, "one").await.unwrap();
    assert!(opened.sign_in_url.starts_with("https://signin.aws.invalid/federation?Action=login&"));
    assert!(opened.sign_in_url.contains(&format!("Destination={HOME}&SigninToken=")));
    assert_eq!(opened.link_expires_at.unwrap().seconds, instant(65 + 900).as_second());
    assert_eq!(opened.session_expires_at.unwrap().seconds, instant(65 + HOUR).as_second(), "the rule's hour");

    let session = house.aws.sessions().pop().unwrap();
    assert_eq!(session.call.session_name().as_str(), format!("daypass-{}", opened.issue_id));
    assert!(house.aws.session_may(&session.access_key_id, "s3:GetObject", instant(70)).unwrap());
    assert!(!house.aws.session_may(&session.access_key_id, "sts:AssumeRole", instant(70)).unwrap());
    let recorded = house.events().into_iter().find_map(|event| {
        let journal::Fact::Request(RequestEvent::ConsoleOpened(opened)) = event.fact else { return None };
        Some(opened)
    });
    let recorded = recorded.unwrap();
    assert_eq!(recorded.access_key_id, session.access_key_id);
    assert_eq!(recorded.expires_at, session.expires_at);
    let token = opened.sign_in_url.split("SigninToken=").nth(1).unwrap().as_bytes();
    for event in house.log.recorded() {
        assert!(event.envelope.body.windows(token.len()).all(|bytes| bytes != token));
    }
    assert!(!format!("{opened:?}").contains("SigninToken"), "{opened:?}");
}

#[tokio::test(start_paused = true)]
async fn a_retry_is_refused_and_another_key_opens_anew() {
    let house = House::new().await;
    let process = house.start().await;
    let id = house.grant(&role(), 0, HOUR).await;
    house.at(5).await;
    open(&process, "ada", id, "one").await.unwrap();
    assert_eq!(reason(&open(&process, "ada", id, "one").await.unwrap_err()), "ISSUED_ALREADY");
    let page = "https://console.aws.amazon.com/s3/";
    let other = open_on(&process.service, "ada", id, "one", page).await.unwrap_err();
    assert_eq!(reason(&other), "KEY_REUSED");
    let shown = open_on(&process.service, "ada", id, "two", page).await.unwrap();
    assert!(shown.sign_in_url.contains(&format!("Destination={HOME}s3%2F&")), "{}", shown.sign_in_url);
    assert_eq!(house.request(id).await.issues.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn only_the_requester_of_a_role_opens_a_console() {
    let house = House::new().await;
    let process = house.start().await;
    let id = house.grant(&role(), 0, HOUR).await;
    let assigned = house.grant(&permission_set(), 0, HOUR).await;
    house.at(30).await;
    for (name, code) in [("bob", Code::PermissionDenied), ("mallory", Code::NotFound)] {
        assert_eq!(open(&process, name, id, "k").await.unwrap_err().code(), code, "{name}");
    }
    assert_eq!(reason(&open(&process, "ada", assigned, "k").await.unwrap_err()), "NO_CREDENTIALS");
    assert!(house.aws.sessions().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_link_leads_to_the_console_and_nowhere_else() {
    let house = House::new().await;
    let process = house.start().await;
    let id = house.grant(&role(), 0, HOUR).await;
    house.at(5).await;
    for bad in [
        "https://evil.example/",
        "https://console.aws.amazon.com.evil.example/",
        "https://console.aws.amazon.com@evil.example/",
        "https://console.amazonaws.cn/",
        "http://console.aws.amazon.com/",
        "//evil.example",
    ] {
        let refused = open_on(&process.service, "ada", id, bad, bad).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{bad}");
        assert!(refused.message().starts_with("destination: "), "{refused}");
    }
    assert!(house.aws.sessions().is_empty(), "nothing was asked of STS");
}

#[tokio::test(start_paused = true)]
async fn what_aws_says_is_told_and_nothing_is_recorded() {
    let house = House::new().await;
    let process = house.start().await;
    let id = house.grant(&role(), 0, HOUR).await;
    house.at(5).await;
    house.aws.fail_next(Operation::AssumeRole, Fault::Refused(ErrorKind::Denied));
    assert_eq!(reason(&open(&process, "ada", id, "sts").await.unwrap_err()), "ROLE_NOT_ASSUMABLE");
    for (kind, code, word) in [
        (ErrorKind::Invalid, Code::FailedPrecondition, "CONSOLE_REFUSED"),
        (ErrorKind::Unavailable, Code::Unavailable, "AWS_UNAVAILABLE"),
    ] {
        let service = with_federation(&house, &process, Some(Broken(kind)));
        let refused = open_on(&service, "ada", id, word, "").await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (code, word));
    }
    let without = with_federation(&house, &process, None);
    assert_eq!(reason(&open_on(&without, "ada", id, "k", "").await.unwrap_err()), "NO_CONSOLE");
    assert!(house.request(id).await.issues.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_early_end_tells_how_long_a_console_lives_and_waits_for_it() {
    let house = House::new().await;
    let process = house.start().await;
    let id = house.grant(&role(), 0, 3 * HOUR).await;
    house.at(100).await;
    let opened = open(&process, "ada", id, "one").await.unwrap();
    house.at(200).await;
    let revoked = process.revoke("ada", id).await.unwrap().request.unwrap();
    assert_eq!(revoked.credentials_bound_at, opened.session_expires_at);
    house.at(100 + HOUR - 10).await;
    assert!(house.closed(id).await.is_none(), "the console may be open");
    house.at(100 + HOUR + 10).await;
    assert_eq!(house.closed(id).await, Some(ClosedHow::CredentialsExpired));
}

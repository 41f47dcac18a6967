//! Asking, deciding, using.

use crate::fake::Fake;
use crate::{TOKEN, daypass, run};
use api::activation::v1::{
    IssueCredentialsRequest, IssueCredentialsResponse, OpenConsoleRequest, OpenConsoleResponse,
};
use api::approval::v1::{ApproveRequest, ApproveResponse, GetPolicyRequest, GetPolicyResponse, PolicyRecord};
use api::approval::v1::{ProposePolicyRequest, ProposePolicyResponse};
use api::request::v1::{
    CreateRequestRequest, CreateRequestResponse, Entitlement, ListEntitlementsRequest,
    ListEntitlementsResponse, ListRequestsRequest, ListRequestsResponse, RequestScope,
};
use api::types::v1::{Request, Target};
use serde_json::json;
use std::path::Path;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

pub(crate) const ID: &str = "7f3a9c00-1111-8222-8333-444455556666";
pub(crate) const OTHER: &str = "7f3a9cff-1111-8222-8333-444455556666";
const ROLE: &str = "arn:aws:iam::111122223333:role/Deployer";

const ASK: [&str; 9] = [
    "request",
    "--account",
    "111122223333",
    "--entitlement",
    ROLE,
    "--for",
    "1h30m",
    "--because",
    "release 42",
];

pub(crate) fn request(id: &str) -> Request {
    Request { request_id: id.to_owned(), ..Request::default() }
}

fn created(message: &CreateRequestRequest) -> CreateRequestResponse {
    let ask = message.ask.clone().unwrap();
    let request = Request { target: ask.target, justification: ask.justification, ..request(ID) };
    CreateRequestResponse { request: Some(request), position: "0123456789ab.7".to_owned() }
}

fn lists_two(fake: &Fake) {
    fake.on("list_requests", |message: &ListRequestsRequest, _| {
        let scope = message.filter.as_ref().unwrap().scope();
        if scope == RequestScope::All {
            return Err(Status::permission_denied("for administrators and auditors"));
        }
        let ids = if scope == RequestScope::Own { vec![ID] } else { vec![ID, OTHER] };
        Ok(ListRequestsResponse {
            requests: ids.into_iter().map(request).collect(),
            next_page_token: String::new(),
        })
    });
}

#[tokio::test]
async fn a_request_arrives_as_it_was_typed() {
    let fake = Fake::start().await;
    fake.on("create_request", |message: &CreateRequestRequest, _| Ok(created(message)));
    let ran = daypass(&fake, &[&ASK[..], &["--ticket", "OPS-1", "--output", "json"]].concat()).await;
    assert_eq!(ran.code, 0, "{ran}");
    let sent = fake.messages::<CreateRequestRequest>("create_request").remove(0);
    let ask = sent.ask.unwrap();
    assert_eq!(ask.target.unwrap().entitlement_arn, ROLE);
    assert_eq!(ask.window.unwrap().duration.unwrap().seconds, 5400);
    assert_eq!((ask.justification.as_str(), ask.ticket.as_str()), ("release 42", "OPS-1"));
    let shown = ran.json();
    assert_eq!(shown["request"]["requestId"], ID);
    assert_eq!(shown["position"], "0123456789ab.7");
    assert_eq!(shown["idempotencyKey"], sent.idempotency_key);
    fake.each_call(|call| {
        assert_eq!(call.authorization.as_deref(), Some(format!("Bearer {TOKEN}").as_str()));
        assert!(call.timeout.is_some(), "{} had no deadline", call.method);
    });
}

#[tokio::test]
async fn a_request_is_sent_again_under_the_same_key() {
    let fake = Fake::start().await;
    fake.on("create_request", |message: &CreateRequestRequest, count| {
        if count < 3 { Err(Status::unavailable("starting")) } else { Ok(created(message)) }
    });
    let ran = daypass(&fake, &ASK).await;
    assert_eq!(ran.code, 0, "{ran}");
    let sent = fake.messages::<CreateRequestRequest>("create_request");
    assert_eq!(sent.len(), 3);
    assert!(sent.iter().all(|message| *message == sent[0]), "every attempt is the same command");
}

#[tokio::test]
async fn attempts_are_bounded_and_the_key_is_told() {
    let fake = Fake::start().await;
    fake.on("create_request", |_: &CreateRequestRequest, _| {
        Err::<CreateRequestResponse, _>(Status::unavailable("down"))
    });
    let ran = daypass(&fake, &ASK).await;
    assert_eq!(ran.code, 5, "{ran}");
    let sent = fake.messages::<CreateRequestRequest>("create_request");
    assert_eq!(sent.len(), 4);
    assert!(ran.err.contains(&format!("--key {}", sent[0].idempotency_key)), "{ran}");
}

#[tokio::test]
async fn a_refusal_is_not_sent_again() {
    let fake = Fake::start().await;
    fake.on("create_request", |_: &CreateRequestRequest, _| {
        let details = ErrorDetails::with_error_info("NO_RULE", "daypass", []);
        let status = Status::with_error_details(Code::PermissionDenied, "no rule allows this", details);
        Err::<CreateRequestResponse, _>(status)
    });
    let ran = daypass(&fake, &ASK).await;
    assert_eq!(ran.code, 1, "{ran}");
    assert!(ran.err.contains("no rule allows this [NO_RULE]"), "{ran}");
    assert_eq!(fake.messages::<CreateRequestRequest>("create_request").len(), 1);
}

#[tokio::test]
async fn names_of_accounts_and_entitlements_are_looked_up() {
    let fake = Fake::start().await;
    fake.on("create_request", |message: &CreateRequestRequest, _| Ok(created(message)));
    fake.on("list_entitlements", |_: &ListEntitlementsRequest, _| {
        let offer = |arn: &str, name: &str| Entitlement {
            target: Some(Target { account_id: "111122223333".to_owned(), entitlement_arn: arn.to_owned() }),
            account_name: "payments".to_owned(),
            entitlement_name: name.to_owned(),
            ..Entitlement::default()
        };
        let reader = |n: u8| offer(&format!("arn:aws:iam::111122223333:role/team{n}/Reader"), "Reader");
        let entitlements = vec![offer(ROLE, "Deployer"), reader(1), reader(2)];
        Ok(ListEntitlementsResponse { entitlements, ..ListEntitlementsResponse::default() })
    });
    let ask = |name: &'static str| {
        ["request", "--account", "payments", "--entitlement", name, "--for", "1h", "--because", "x"]
    };
    let ran = daypass(&fake, &ask("Deployer")).await;
    assert_eq!(ran.code, 0, "{ran}");
    let sent = fake.messages::<CreateRequestRequest>("create_request").remove(0);
    assert_eq!(sent.ask.unwrap().target.unwrap().entitlement_arn, ROLE);
    let ran = daypass(&fake, &ask("Reader")).await;
    assert_eq!(ran.code, 1, "{ran}");
    assert!(ran.err.contains("team1/Reader") && ran.err.contains("team2/Reader"), "{ran}");
    let ran = daypass(&fake, &ask("Nothing")).await;
    assert_eq!(ran.code, 1, "{ran}");
    assert_eq!(fake.messages::<CreateRequestRequest>("create_request").len(), 1);
}

#[tokio::test]
async fn the_beginning_of_an_id_is_enough_where_it_is_the_only_one() {
    let fake = Fake::start().await;
    lists_two(&fake);
    fake.on("approve", |message: &ApproveRequest, _| {
        Ok(ApproveResponse { request: Some(request(&message.request_id)), position: String::new() })
    });
    let ran = daypass(&fake, &["approve", "7F3A9C00", "--comment", "fine"]).await;
    assert_eq!(ran.code, 0, "{ran}");
    let sent = fake.messages::<ApproveRequest>("approve").remove(0);
    assert_eq!((sent.request_id.as_str(), sent.comment.as_str()), (ID, "fine"));
    let ran = daypass(&fake, &["approve", "7f3a9c"]).await;
    assert_eq!(ran.code, 1, "{ran}");
    assert!(ran.err.contains(ID) && ran.err.contains(OTHER), "{ran}");
    let ran = daypass(&fake, &["approve", "000000"]).await;
    assert_eq!(ran.code, 1, "{ran}");
    assert_eq!(fake.messages::<ApproveRequest>("approve").len(), 1);
}

fn issued() -> IssueCredentialsResponse {
    let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    IssueCredentialsResponse {
        access_key_id: "ASIAEXAMPLE".to_owned(),
        secret_access_key: "secret".to_owned(),
        session_token: "session".to_owned(),
        expires_at: at(1_795_230_000),
        usable_until: at(1_795_226_400),
        ..IssueCredentialsResponse::default()
    }
}

#[tokio::test]
async fn credentials_are_what_the_aws_cli_reads() {
    let fake = Fake::start().await;
    fake.on("issue_credentials", |_: &IssueCredentialsRequest, _| Ok(issued()));
    let ran = daypass(&fake, &["credentials", ID]).await;
    assert_eq!(ran.code, 0, "{ran}");
    let expected = json!({"Version": 1, "AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": "secret",
                          "SessionToken": "session", "Expiration": "2026-11-21T02:00:00Z"});
    assert_eq!(ran.json(), expected);
    assert_eq!(ran.err, "");
}

#[tokio::test]
async fn credentials_whose_answer_was_lost_are_issued_anew() {
    let fake = Fake::start().await;
    fake.on("issue_credentials", |_: &IssueCredentialsRequest, count| match count {
        1 => Err(Status::unavailable("the answer was lost")),
        2 => {
            let details = ErrorDetails::with_error_info("ISSUED_ALREADY", "daypass", []);
            Err(Status::with_error_details(Code::FailedPrecondition, "issued already", details))
        }
        _ => Ok(issued()),
    });
    let ran = daypass(&fake, &["credentials", ID]).await;
    assert_eq!(ran.code, 0, "{ran}");
    let sent = fake.messages::<IssueCredentialsRequest>("issue_credentials");
    assert_eq!(sent[0].idempotency_key, sent[1].idempotency_key);
    assert_ne!(sent[1].idempotency_key, sent[2].idempotency_key);
}

#[tokio::test]
async fn refused_credentials_leave_standard_output_empty() {
    let fake = Fake::start().await;
    fake.on("issue_credentials", |_: &IssueCredentialsRequest, _| {
        Err::<IssueCredentialsResponse, _>(Status::failed_precondition("the window is over"))
    });
    let ran = daypass(&fake, &["credentials", ID]).await;
    assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{ran}");
    assert!(ran.err.contains("the window is over"), "{ran}");
}

#[tokio::test]
async fn a_console_link_is_all_that_standard_output_holds() {
    let fake = Fake::start().await;
    let opened = OpenConsoleResponse {
        sign_in_url: "https://signin.aws.amazon.com/federation?Action=login&SigninToken=t".to_owned(),
        link_expires_at: Some(prost_types::Timestamp { seconds: 1_795_226_400, nanos: 0 }),
        session_expires_at: Some(prost_types::Timestamp { seconds: 1_795_230_000, nanos: 0 }),
        ..OpenConsoleResponse::default()
    };
    let answer = opened.clone();
    fake.on("open_console", move |_: &OpenConsoleRequest, _| Ok(answer.clone()));
    let page = "https://console.aws.amazon.com/s3/";
    let ran = daypass(&fake, &["console", ID, "--destination", page]).await;
    assert_eq!((ran.code, ran.out.trim_end()), (0, opened.sign_in_url.as_str()), "{ran}");
    assert!(ran.err.contains("2026-11-21T02:00:00Z") && ran.err.contains("2026-11-21T03:00:00Z"), "{ran}");
    assert!(!ran.err.contains("SigninToken"), "{ran}");
    let sent = fake.messages::<OpenConsoleRequest>("open_console");
    assert_eq!((sent[0].request_id.as_str(), sent[0].destination.as_str()), (ID, page));
    let ran = daypass(&fake, &["console", ID, "--output", "json"]).await;
    assert_eq!(ran.json()["signInUrl"], opened.sign_in_url);
}

#[tokio::test]
async fn a_console_link_whose_answer_was_lost_is_had_anew() {
    let fake = Fake::start().await;
    fake.on("open_console", |_: &OpenConsoleRequest, count| match count {
        1 => {
            let details = ErrorDetails::with_error_info("ISSUED_ALREADY", "daypass", []);
            Err(Status::with_error_details(Code::FailedPrecondition, "issued already", details))
        }
        _ => Ok(OpenConsoleResponse {
            sign_in_url: "https://x.example/\u{1b}[2J".to_owned(),
            ..Default::default()
        }),
    });
    let ran = daypass(&fake, &["console", ID]).await;
    assert_eq!((ran.code, ran.out.as_str()), (1, ""), "what could drive a terminal is not printed: {ran}");
    let sent = fake.messages::<OpenConsoleRequest>("open_console");
    assert_ne!(sent[0].idempotency_key, sent[1].idempotency_key);
}

#[tokio::test]
async fn a_profile_names_the_request_and_the_token_file_never_the_token() {
    let fake = Fake::start().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("my token"), TOKEN).unwrap();
    let arguments =
        ["credentials", ID, "--print-profile", "--profile", "payments", "--token-file", "my token"];
    let ran = run(None, &fake.address, folder.path(), &arguments).await;
    assert_eq!(ran.code, 0, "{ran}");
    let mut lines = ran.out.lines();
    assert_eq!(lines.next(), Some("[profile payments]"));
    let line = lines.next().unwrap();
    assert!(line.starts_with("credential_process = /"), "{line}");
    assert!(line.contains(&format!("credentials {ID} --server {} --token-file \"/", fake.address)), "{line}");
}

#[tokio::test]
async fn people_of_dev_are_signed_in_by_name() {
    let fake = Fake::start().await;
    lists_two(&fake);
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("data/dev/tokens")).unwrap();
    std::fs::write(folder.path().join("data/dev/tokens/ada"), format!("{TOKEN}\n")).unwrap();
    let ran = run(None, &fake.address, folder.path(), &["list", "--as", "ada"]).await;
    assert_eq!(ran.code, 0, "{ran}");
    fake.each_call(|call| {
        assert_eq!(call.authorization.as_deref(), Some(format!("Bearer {TOKEN}").as_str()));
    });
    let ran = run(None, &fake.address, folder.path(), &["list", "--as", "bob"]).await;
    assert_eq!(ran.code, 4, "{ran}");
}

#[tokio::test]
async fn a_policy_file_is_proposed_on_the_policy_in_force() {
    let fake = Fake::start().await;
    fake.on("get_policy", |_: &GetPolicyRequest, _| {
        let record = PolicyRecord { policy_event_id: OTHER.to_owned(), ..PolicyRecord::default() };
        Ok(GetPolicyResponse { record: Some(record) })
    });
    fake.on("propose_policy", |_: &ProposePolicyRequest, _| {
        let record = PolicyRecord { proposal_event_id: ID.to_owned(), ..PolicyRecord::default() };
        let warnings = vec!["rule a matches nobody".to_owned()];
        Ok(ProposePolicyResponse { record: Some(record), position: String::new(), warnings })
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.toml");
    let text = "[[rules]]\nid = \"a\"\nduration_max = \"1h\"\nprovider = \"sts\"\nplan = \"none\"\n\
                requesters = { groups = [\"corp:all\"] }\ntargets = { all_accounts = true, roles = [\"Reader\"] }\n";
    std::fs::write(&file, text).unwrap();
    let ran = daypass(&fake, &["policy", "propose", file.to_str().unwrap()]).await;
    assert_eq!(ran.code, 0, "{ran}");
    assert!(ran.out.contains(ID) && ran.err.contains("rule a matches nobody"), "{ran}");
    let sent = fake.messages::<ProposePolicyRequest>("propose_policy").remove(0);
    assert_eq!(sent.base_event_id, OTHER);
    assert_eq!(sent.policy.unwrap().rules[0].id, "a");
    assert_eq!(sent.source_digest.len(), 32);

    std::fs::write(&file, format!("{text}surprise = 1\nother = 2\n")).unwrap();
    let ran =
        run(Some(TOKEN), &fake.address, Path::new("."), &["policy", "propose", file.to_str().unwrap()]).await;
    assert_eq!(ran.code, 1, "{ran}");
    assert!(ran.err.contains("surprise") && ran.err.contains("other"), "all problems at once: {ran}");
    assert_eq!(fake.messages::<ProposePolicyRequest>("propose_policy").len(), 1);
}

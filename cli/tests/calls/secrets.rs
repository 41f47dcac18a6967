//! Canary secrets, searched for in everything that is written, told or logged, while the main job is done and goes wrong.

use crate::callers::Kind;
use crate::house::House;
use crate::messages;
use api::activation::v1 as activation;
use api::approval::v1 as approval;
use api::audit::v1 as audit;
use api::request::v1 as request;
use api::types::v1 as wire;
use aws::simulated::{Fault, Operation, sample};
use base64::Engine as _;
use event_log::memory::{AppendFault, Faults};
use event_log::{Envelope, StreamName};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tonic::Status;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt as _;

const JUSTIFICATION: &str = "CANARY-justification-5b1f";
const COMMENT: &str = "CANARY-comment-90ce";
/// The beginning of everyone's token.
const TOKEN: &str = "CANARY-token";

const CREATE: &str = "/daypass.request.v1.RequestService/CreateRequest";
const WITHDRAW: &str = "/daypass.request.v1.RequestService/WithdrawRequest";
const APPROVE: &str = "/daypass.approval.v1.ApprovalService/Approve";
const REJECT: &str = "/daypass.approval.v1.ApprovalService/Reject";
const ISSUE: &str = "/daypass.activation.v1.ActivationService/IssueCredentials";
const CONSOLE: &str = "/daypass.activation.v1.ActivationService/OpenConsole";
const REVOKE: &str = "/daypass.activation.v1.ActivationService/RevokeAccess";
const EXPORT: &str = "/daypass.audit.v1.AuditService/Export";

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Keeps every event and every span of this thread, down to the last trace.
fn keep_everything() -> (Kept, tracing::subscriber::DefaultGuard) {
    let kept = Kept::default();
    let writer = kept.clone();
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_span_events(FmtSpan::FULL)
        .with_writer(move || writer.clone());
    let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(lines));
    (kept, guard)
}

/// A log that cannot be written.
struct Down;

impl Faults for Down {
    fn append(&mut self, _: &StreamName, _: &Envelope) -> AppendFault {
        AppendFault::Unavailable
    }
}

fn telling(ask: wire::Ask) -> wire::Ask {
    wire::Ask { justification: JUSTIFICATION.to_owned(), ..ask }
}

impl House {
    async fn raise(&self, kind: Kind, ask: wire::Ask) -> Result<request::CreateRequestResponse, Status> {
        let message = request::CreateRequestRequest { idempotency_key: self.key(), ask: Some(ask) };
        self.tried(CREATE, kind, &message).await
    }

    async fn agree(&self, kind: Kind, id: &str) -> Result<approval::ApproveResponse, Status> {
        let message = approval::ApproveRequest {
            idempotency_key: self.key(),
            request_id: id.to_owned(),
            comment: COMMENT.to_owned(),
        };
        self.tried(APPROVE, kind, &message).await
    }

    async fn decline(&self, kind: Kind, id: &str) -> Result<approval::RejectResponse, Status> {
        let message = approval::RejectRequest {
            idempotency_key: self.key(),
            request_id: id.to_owned(),
            comment: COMMENT.to_owned(),
        };
        self.tried(REJECT, kind, &message).await
    }

    async fn issue(&self, id: &str, key: &str) -> Result<activation::IssueCredentialsResponse, Status> {
        let message = activation::IssueCredentialsRequest {
            idempotency_key: key.to_owned(),
            request_id: id.to_owned(),
            duration: None,
        };
        self.tried(ISSUE, Kind::Requester, &message).await
    }

    async fn console(&self, id: &str, key: &str) -> Result<activation::OpenConsoleResponse, Status> {
        let message = activation::OpenConsoleRequest {
            idempotency_key: key.to_owned(),
            request_id: id.to_owned(),
            destination: String::new(),
        };
        self.tried(CONSOLE, Kind::Requester, &message).await
    }

    async fn stop(&self, kind: Kind, id: &str) -> Result<activation::RevokeAccessResponse, Status> {
        let message = activation::RevokeAccessRequest {
            idempotency_key: self.key(),
            request_id: id.to_owned(),
            comment: COMMENT.to_owned(),
        };
        self.tried(REVOKE, kind, &message).await
    }

    async fn raised(&self, ask: wire::Ask) -> String {
        let raised = self.raise(Kind::Requester, telling(ask)).await.unwrap();
        let id = raised.request.unwrap().request_id;
        self.seen(&id, &raised.position).await;
        id
    }
}

/// What was handed out.
struct HandedOut {
    credentials: Vec<activation::IssueCredentialsResponse>,
    links: Vec<activation::OpenConsoleResponse>,
}

/// All there is to see and to be refused. Answers with every refusal, and what was handed out.
async fn the_main_job_and_what_goes_wrong(house: &House) -> (Vec<Status>, HandedOut) {
    let requester = Kind::Requester;
    let mut refused = Vec::new();

    // Asked, agreed, used, ended.
    let assigned = house.raised(messages::read_only(sample::WEB_PROD)).await;
    house.agree(Kind::Approver, &assigned).await.unwrap();
    let role = house.raised(messages::role(sample::WEB_PROD)).await;
    house.agree(Kind::Approver, &role).await.unwrap();
    tokio::time::sleep(Duration::from_mins(1)).await;
    let mut issued =
        vec![house.issue(&role, "first").await.unwrap(), house.issue(&role, "second").await.unwrap()];
    let links = vec![house.console(&role, "console").await.unwrap()];
    house.stop(requester, &role).await.unwrap();
    let rejected = house.raised(messages::read_only(sample::PAYMENTS_PROD)).await;
    house.decline(Kind::Approver, &rejected).await.unwrap();

    // Not known, not allowed, not in time, not twice, not at all.
    let nowhere = telling(messages::read_only("123456789012"));
    refused.push(house.raise(requester, nowhere).await.unwrap_err());
    refused.push(house.raise(Kind::Approver, telling(messages::role(sample::WEB_PROD))).await.unwrap_err());
    refused.push(house.raise(Kind::Nobody, telling(messages::role(sample::WEB_PROD))).await.unwrap_err());
    let long = wire::Ask { justification: JUSTIFICATION.repeat(500), ..messages::role(sample::WEB_PROD) };
    refused.push(house.raise(requester, long).await.unwrap_err());
    let hidden = format!("{JUSTIFICATION}\u{202e}");
    let hidden = wire::Ask { justification: hidden, ..messages::role(sample::WEB_PROD) };
    refused.push(house.raise(requester, hidden).await.unwrap_err());
    refused.push(house.agree(requester, &assigned).await.unwrap_err());
    refused.push(house.agree(Kind::OtherApprover, &assigned).await.unwrap_err());
    refused.push(house.decline(Kind::Approver, &rejected).await.unwrap_err());
    refused.push(house.issue(&role, "first").await.unwrap_err());
    refused.push(house.console(&role, "console").await.unwrap_err());
    refused.push(house.stop(Kind::OtherApprover, &assigned).await.unwrap_err());
    let withdraw = request::WithdrawRequestRequest { idempotency_key: house.key(), request_id: role.clone() };
    let withdrawn: Result<request::WithdrawRequestResponse, _> =
        house.tried(WITHDRAW, requester, &withdraw).await;
    refused.push(withdrawn.unwrap_err());

    // STS says no, the log is down, AWS fails.
    let other = house.active(telling(messages::role(sample::PAYMENTS_PROD))).await;
    house.aws.fail_next(Operation::AssumeRole, Fault::Refused(aws::ErrorKind::Denied));
    refused.push(house.issue(&other, "refused").await.unwrap_err());
    house.log.set_faults(Box::new(Down));
    refused.push(house.raise(requester, telling(messages::role(sample::WEB_PROD))).await.unwrap_err());
    refused.push(house.issue(&other, "unrecorded").await.unwrap_err());
    refused.push(house.console(&other, "unrecorded console").await.unwrap_err());
    refused.push(house.stop(requester, &other).await.unwrap_err());
    house.log.clear_faults();
    issued.push(house.issue(&other, "third").await.unwrap());
    house.aws.throttle_next(Operation::Delete, 3);
    tokio::time::sleep(Duration::from_hours(2)).await;
    assert!(house.aws.assignments().is_empty(), "the windows are over");
    (refused, HandedOut { credentials: issued, links })
}

/// The file that an auditor takes away.
async fn exported(house: &House) -> Vec<u8> {
    use prost::Message as _;
    use tonic::codegen::http::uri::PathAndQuery;
    let mut grpc = tonic::client::Grpc::new(house.guarded.clone());
    grpc.ready().await.unwrap();
    let message = audit::ExportRequest { format: audit::ExportFormat::Csv.into(), ..Default::default() };
    let mut call = tonic::Request::new(message.encode_to_vec());
    let token = format!("Bearer {}", Kind::Auditor.token().unwrap());
    call.metadata_mut().insert("authorization", token.parse().unwrap());
    let path = PathAndQuery::from_static(EXPORT);
    let mut parts = grpc.server_streaming(call, path, crate::raw::Bytes).await.unwrap().into_inner();
    let mut file = Vec::new();
    while let Some(part) = parts.message().await.unwrap() {
        file.extend(audit::ExportResponse::decode(part.as_slice()).unwrap().data);
    }
    file
}

fn contains(bytes: &[u8], canary: &str) -> bool {
    let encoded = base64::engine::general_purpose::STANDARD_NO_PAD.encode(canary);
    // A text in the middle of encoded bytes may begin anywhere in a group of three; one of three is enough of a trap here.
    [canary, encoded.as_str()]
        .iter()
        .any(|text| bytes.windows(text.len()).any(|part| part == text.as_bytes()))
}

/// Attacks by name: canary secrets searched in logs, events, traces, errors.
#[tokio::test(start_paused = true)]
async fn canary_secrets_in_logs_events_traces_and_errors() {
    let (kept, _guard) = keep_everything();
    let house = House::new().await;
    let (refused, HandedOut { credentials: issued, links }) = the_main_job_and_what_goes_wrong(&house).await;
    let file = exported(&house).await;
    let mut canaries = vec![JUSTIFICATION.to_owned(), COMMENT.to_owned(), TOKEN.to_owned()];
    for credentials in &issued {
        assert!(credentials.secret_access_key.len() > 8 && credentials.session_token.len() > 8);
        canaries.push(credentials.secret_access_key.clone());
        canaries.push(credentials.session_token.clone());
    }
    for link in &links {
        let token = link.sign_in_url.split("SigninToken=").nth(1).unwrap();
        assert!(token.len() > 8);
        canaries.push(token.to_owned());
    }
    let logged = kept.text();
    let recorded = house.log.recorded();
    assert!(refused.len() > 10 && recorded.len() > 20 && file.len() > 5_000);
    for line in
        ["INFO activation::core: recorded", "call refused at the gate", "planted fault", "tried again later"]
    {
        assert!(logged.contains(line), "what is logged is kept: {logged}");
    }
    for canary in &canaries {
        if let Some(line) = logged.lines().find(|line| contains(line.as_bytes(), canary)) {
            panic!("{canary} is logged: {line}");
        }
        for event in &recorded {
            let body = &event.envelope.body;
            assert!(!contains(body, canary), "{canary} is recorded in {}", event.stream);
            let decoded = format!("{:?}", journal::decode(body));
            assert!(!contains(decoded.as_bytes(), canary), "{canary} is shown: {decoded}");
        }
        for status in &refused {
            let told = format!("{status:?} {status} {:?}", status.metadata());
            let silent = !contains(told.as_bytes(), canary) && !contains(status.details(), canary);
            assert!(silent, "{canary} is repeated: {told}");
        }
        assert!(!contains(&file, canary), "{canary} is exported");
        let shown = format!("{issued:?} {links:?} {:?}", telling(messages::role(sample::WEB_PROD)));
        assert!(!contains(shown.as_bytes(), canary), "{canary} is shown: {shown}");
        // The trap closes.
        tracing::trace!("{canary}");
        assert!(contains(kept.text().as_bytes(), canary));
    }
}

//! Attacks by name: canary secrets searched in logs and traces. What goes over the network is in no log line, however much is logged.
#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(clippy::disallowed_methods, reason = "tests spawn what they talk to")]

use api::request::v1::CreateRequestRequest;
use api::request::v1::request_service_client::RequestServiceClient;
use api::types::v1::Ask;
use domain::{Actor, ActorKind, Person, SignedDuration};
use identity::{AuthError, Caller};
use service_runtime::clock::SystemClock;
use service_runtime::config::{Limits, RolesConfig, ServerConfig};
use service_runtime::{Authenticate, Bound, Gate, Readiness, Roles, Server};
use std::io;
use std::sync::{Arc, Mutex};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Endpoint;
use tonic::{Code, Request};
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt as _;

const GOOD: &str = "CANARY-good-token";
const BAD: &str = "CANARY-bad-token";
const JUSTIFICATION: &str = "CANARY-justification";

/// Knows one token.
struct One;

#[async_trait::async_trait]
impl Authenticate for One {
    async fn authenticate(&self, bearer: &str) -> Result<Caller, AuthError> {
        if bearer != GOOD {
            return Err(AuthError::BadSignature);
        }
        let person = Person::new("https://idp.example", "ada").unwrap();
        Ok(Caller {
            actor: Actor { person, kind: ActorKind::Human, client_id: None, auth_time: None, acr: None },
            groups: None,
            directory_id: None,
            expires_at: domain::ports::Clock::now(&SystemClock) + SignedDuration::from_hours(1),
        })
    }
}

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

fn call(token: &str) -> Request<CreateRequestRequest> {
    let mut request = Request::new(CreateRequestRequest {
        idempotency_key: "k".to_owned(),
        ask: Some(Ask { justification: JUSTIFICATION.to_owned(), ..Ask::default() }),
    });
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

/// Client and server run on this thread, so that everything of either is kept: of gRPC, HTTP/2 and the gate, every trace.
#[tokio::test]
async fn tokens_and_messages_are_in_no_log_line() {
    let kept = Kept::default();
    let writer = kept.clone();
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_span_events(FmtSpan::FULL)
        .with_writer(move || writer.clone());
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(lines));
    let config = ServerConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        health_listen: None,
        tls: None,
        web: None,
        reflection: false,
        limits: Limits::default(),
    };
    let bound = Bound::new(config).unwrap();
    let endpoint = Endpoint::from_shared(format!("http://{}", bound.address())).unwrap();
    let roles = Roles::new(&RolesConfig::default()).unwrap();
    let gate = Gate::new(Arc::new(One), roles, Arc::new(SystemClock));
    let readiness = Readiness::new([]).await;
    let shutdown = CancellationToken::new();
    let server = Server { routes: Routes::default(), gate, readiness };
    let ended = tokio::spawn(bound.serve(server, shutdown.clone()));
    let mut client = RequestServiceClient::new(endpoint.connect().await.unwrap());
    let refused = client.create_request(call(BAD)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let passed = client.create_request(call(GOOD)).await.unwrap_err();
    assert_eq!(passed.code(), Code::Unimplemented, "past the gate, there is no service in this house");
    shutdown.cancel();
    ended.await.unwrap().unwrap();
    let logged = kept.text();
    assert!(logged.contains("TRACE") && logged.contains("call refused at the gate"), "all of it is kept");
    for canary in [GOOD, BAD, JUSTIFICATION] {
        let line = logged.lines().find(|line| line.contains(canary));
        assert_eq!(line, None, "{canary}");
        for told in [format!("{refused:?} {refused}"), format!("{passed:?} {passed}")] {
            assert!(!told.contains(canary), "{told}");
        }
    }
}

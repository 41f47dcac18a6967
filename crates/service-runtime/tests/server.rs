//! The server as the network meets it: who gets in, what is refused, what is survived.
#![expect(clippy::unwrap_used, reason = "tests")]

use api::activation::v1::activation_service_client::ActivationServiceClient;
use api::activation::v1::{GetAssignmentRequest, IssueCredentialsRequest};
use api::request::v1::request_service_client::RequestServiceClient;
use api::request::v1::request_service_server::{RequestService, RequestServiceServer};
use api::request::v1::{
    CreateRequestRequest, CreateRequestResponse, GetRequestRequest, GetRequestResponse, RequestFilter,
    RequestScope, WatchRequestsRequest, WatchRequestsResponse,
};
use api::types::v1::{Ask, AskedWindow, Target};
use domain::{Actor, ActorKind, Person};
use identity::{AuthError, Caller};
use service_runtime::clock::SystemClock;
use service_runtime::config::{Limits, RolesConfig, ServerConfig, WebConfig};
use service_runtime::roles::Held;
use service_runtime::server::ServeError;
use service_runtime::{
    Authenticate, Bound, Gate, Guarded, InProcess, Readiness, Roles, Server, call, status,
};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_stream::StreamExt as _;
use tokio_util::sync::CancellationToken;
use tonic::codegen::BoxStream;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt as _;

const ID: &str = "0193b5a0-0000-7000-8000-000000000000";

/// Knows `human`, `workload` and `brief` (a token with a second to live); everything else has expired.
struct Tokens;

#[async_trait::async_trait]
impl Authenticate for Tokens {
    async fn authenticate(&self, bearer: &str) -> Result<Caller, AuthError> {
        let (kind, life) = match bearer {
            "human" => (ActorKind::Human, 3600),
            "workload" => (ActorKind::Workload, 3600),
            "brief" => (ActorKind::Human, 1),
            "keys-down" => {
                return Err(AuthError::KeysUnavailable { retry_after: domain::SignedDuration::from_secs(3) });
            }
            _ => return Err(AuthError::Expired),
        };
        Ok(Caller {
            actor: Actor {
                person: Person::new("https://idp.example", bearer).unwrap(),
                kind,
                client_id: None,
                auth_time: None,
                acr: None,
            },
            groups: None,
            directory_id: None,
            expires_at: domain::ports::Clock::now(&SystemClock) + domain::SignedDuration::from_secs(life),
        })
    }
}

/// Answers; counts what reaches it.
#[derive(Clone, Default)]
struct Requests {
    served: Arc<AtomicUsize>,
    entered: Arc<Notify>,
    /// `get_request` answers when told to.
    go_on: Arc<Notify>,
}

#[tonic::async_trait]
impl RequestService for Requests {
    async fn create_request(
        &self,
        request: Request<CreateRequestRequest>,
    ) -> Result<Response<CreateRequestResponse>, Status> {
        self.served.fetch_add(1, Ordering::SeqCst);
        let position = call(&request)?.caller.actor.person.subject.to_string();
        Ok(Response::new(CreateRequestResponse { request: None, position }))
    }

    async fn get_request(
        &self,
        _request: Request<GetRequestRequest>,
    ) -> Result<Response<GetRequestResponse>, Status> {
        self.served.fetch_add(1, Ordering::SeqCst);
        self.entered.notify_one();
        self.go_on.notified().await;
        Ok(Response::new(GetRequestResponse::default()))
    }

    async fn watch_requests(
        &self,
        request: Request<WatchRequestsRequest>,
    ) -> Result<Response<BoxStream<WatchRequestsResponse>>, Status> {
        if request.into_inner().wait_for_position == "flood" {
            let served = Arc::clone(&self.served);
            let flood = tokio_stream::iter(std::iter::repeat_with(move || {
                served.fetch_add(1, Ordering::SeqCst);
                Ok(WatchRequestsResponse { position: "x".repeat(16 * 1024), ..Default::default() })
            }));
            return Ok(Response::new(Box::pin(flood)));
        }
        let first = tokio_stream::once(Ok(WatchRequestsResponse { caught_up: true, ..Default::default() }));
        Ok(Response::new(Box::pin(first.chain(tokio_stream::pending()))))
    }
}

struct Running {
    address: SocketAddr,
    requests: Requests,
    readiness: Readiness,
    shutdown: CancellationToken,
    ended: JoinHandle<Result<(), ServeError>>,
}

fn gate() -> Gate {
    Gate::new(Arc::new(Tokens), Roles::new(&RolesConfig::default()).unwrap(), Arc::new(SystemClock))
}

async fn run(change: impl FnOnce(&mut ServerConfig)) -> Running {
    let mut config = ServerConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        tls: None,
        web: Some(WebConfig { origins: vec!["https://portal.example".to_owned()] }),
        reflection: false,
        limits: Limits::default(),
    };
    change(&mut config);
    let requests = Requests::default();
    let readiness = Readiness::new(["daypass.request.v1.RequestService"]).await;
    let server = Server {
        routes: Routes::new(RequestServiceServer::new(requests.clone())),
        gate: gate(),
        readiness: readiness.clone(),
    };
    let bound = Bound::new(config).unwrap();
    let address = bound.address();
    let shutdown = CancellationToken::new();
    let ended = tokio::spawn(bound.serve(server, shutdown.clone()));
    Running { address, requests, readiness, shutdown, ended }
}

impl Running {
    async fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap()
    }

    async fn create(&self, request: Request<CreateRequestRequest>) -> Result<String, Status> {
        let mut client = RequestServiceClient::new(self.channel().await);
        client.create_request(request).await.map(|answer| answer.into_inner().position)
    }

    fn served(&self) -> usize {
        self.requests.served.load(Ordering::SeqCst)
    }
}

fn well_formed() -> CreateRequestRequest {
    CreateRequestRequest {
        idempotency_key: "k".to_owned(),
        ask: Some(Ask {
            target: Some(Target {
                account_id: "111111111111".to_owned(),
                entitlement_arn: "arn:aws:iam::111111111111:role/Admin".to_owned(),
            }),
            window: Some(AskedWindow {
                start: None,
                duration: Some(prost_types::Duration { seconds: 60, nanos: 0 }),
            }),
            justification: "why".to_owned(),
            ..Ask::default()
        }),
    }
}

fn with<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

#[tokio::test]
async fn nobody_and_expired_tokens_are_refused_and_the_rest_get_in() {
    let server = run(|_| ()).await;
    let refused = |status: Status| (status.code(), status::reason(&status).unwrap());
    let nobody = server.create(Request::new(well_formed())).await.unwrap_err();
    assert_eq!(refused(nobody), (Code::Unauthenticated, "TOKEN_MISSING".to_owned()));
    let expired = server.create(with("old", well_formed())).await.unwrap_err();
    assert_eq!(refused(expired), (Code::Unauthenticated, "TOKEN_EXPIRED".to_owned()));
    let keys_down = server.create(with("keys-down", well_formed())).await.unwrap_err();
    assert_eq!(keys_down.get_details_retry_info().unwrap().retry_delay, Some(Duration::from_secs(3)));
    assert_eq!(refused(keys_down), (Code::Unavailable, "ISSUER_KEYS_UNAVAILABLE".to_owned()));
    assert_eq!(server.served(), 0);
    assert_eq!(server.create(with("human", well_formed())).await.unwrap(), "human");
}

#[tokio::test]
async fn one_call_has_one_token() {
    let server = run(|_| ()).await;
    let mut request = with("human", well_formed());
    request.metadata_mut().append("authorization", "Bearer workload".parse().unwrap());
    let status = server.create(request).await.unwrap_err();
    assert_eq!(status::reason(&status).as_deref(), Some("TOKEN_AMBIGUOUS"));
    let mut request = Request::new(well_formed());
    request.metadata_mut().insert("authorization", "Basic aHVtYW46".parse().unwrap());
    assert_eq!(server.create(request).await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(server.served(), 0);
}

#[tokio::test]
async fn a_method_for_others_is_denied_before_its_service_sees_it() {
    let server = run(|_| ()).await;
    // Not served here at all; the table is asked first.
    let mut client = ActivationServiceClient::new(server.channel().await);
    let denied = client.get_assignment(with("human", GetAssignmentRequest::default())).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    assert_eq!(denied.get_details_error_info().unwrap().reason, "ACCESS_DENIED");
    let elsewhere =
        client.issue_credentials(with("human", IssueCredentialsRequest::default())).await.unwrap_err();
    assert_eq!(elsewhere.code(), Code::Unimplemented);
}

#[tokio::test]
async fn an_unknown_method_is_unimplemented_with_and_without_a_token() {
    let server = run(|_| ()).await;
    for token in [None, Some("human")] {
        let mut client = tonic::client::Grpc::new(server.channel().await);
        client.ready().await.unwrap();
        let codec = api::codec::ValidatingCodec::<GetRequestRequest, GetRequestResponse>::default();
        let path = http::uri::PathAndQuery::from_static("/daypass.request.v1.RequestService/Nothing");
        let message = GetRequestRequest::default();
        let request =
            token.map_or_else(|| Request::new(message.clone()), |token| with(token, message.clone()));
        let status = client.unary(request, path, codec).await.unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented);
    }
}

#[tokio::test]
async fn a_planned_method_is_unimplemented_for_those_who_may_call_it() {
    let server = run(|_| ()).await;
    let mut client = RequestServiceClient::new(server.channel().await);
    let ask = well_formed().ask;
    let message = api::request::v1::ExplainRequestRequest { ask, wait_for_position: String::new() };
    assert_eq!(
        client.explain_request(with("human", message.clone())).await.unwrap_err().code(),
        Code::Unimplemented
    );
    assert_eq!(
        client.explain_request(Request::new(message)).await.unwrap_err().code(),
        Code::Unauthenticated
    );
}

#[tokio::test]
async fn a_wrong_message_names_all_its_wrong_fields() {
    let server = run(|_| ()).await;
    let status = server.create(with("human", CreateRequestRequest::default())).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let fields: Vec<_> = status
        .get_details_bad_request()
        .unwrap()
        .field_violations
        .into_iter()
        .map(|violation| violation.field)
        .collect();
    assert_eq!(fields, ["idempotency_key", "ask"]);
    assert_eq!(server.served(), 0);
}

#[tokio::test]
async fn health_needs_no_token_and_follows_readiness() {
    let server = run(|_| ()).await;
    let mut health = HealthClient::new(server.channel().await);
    let mut check = async |service: &str| {
        let request = HealthCheckRequest { service: service.to_owned() };
        health.check(request).await.map(|answer| answer.into_inner().status().as_str_name())
    };
    for service in ["", "daypass.request.v1.RequestService"] {
        assert_eq!(check(service).await.unwrap(), "NOT_SERVING");
    }
    server.readiness.set(true).await;
    for service in ["", "daypass.request.v1.RequestService"] {
        assert_eq!(check(service).await.unwrap(), "SERVING");
    }
    assert_eq!(check("daypass.audit.v1.AuditService").await.unwrap_err().code(), Code::NotFound);
}

async fn services_by_reflection(server: &Running) -> Result<Vec<String>, Status> {
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    let mut client = ServerReflectionClient::new(server.channel().await);
    let ask = tonic_reflection::pb::v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers = client.server_reflection_info(tokio_stream::once(ask)).await?.into_inner();
    match answers.message().await?.and_then(|answer| answer.message_response) {
        Some(MessageResponse::ListServicesResponse(list)) => {
            Ok(list.service.into_iter().map(|service| service.name).collect())
        }
        other => Err(Status::internal(format!("{other:?}"))),
    }
}

#[tokio::test]
async fn reflection_is_closed_unless_configured() {
    let closed = run(|_| ()).await;
    assert_eq!(services_by_reflection(&closed).await.unwrap_err().code(), Code::Unimplemented);
    let open = run(|config| config.reflection = true).await;
    let services = services_by_reflection(&open).await.unwrap();
    for expected in ["daypass.request.v1.RequestService", "grpc.health.v1.Health"] {
        assert!(services.iter().any(|service| service == expected), "{services:?}");
    }
}

#[tokio::test]
async fn deadline_already_past_does_no_work() {
    let server = run(|_| ()).await;
    for timeout in ["0n", "0S"] {
        // Not by tonic's client, which would give up by itself and may not even ask.
        let answer = reqwest::Client::new()
            .post(format!("http://{}/daypass.request.v1.RequestService/CreateRequest", server.address))
            .header("content-type", "application/grpc-web+proto")
            .header("authorization", "Bearer human")
            .header("grpc-timeout", timeout)
            .body(framed(&well_formed()))
            .send()
            .await
            .unwrap();
        assert_eq!(grpc_status(answer).await.as_deref(), Some("4"), "{timeout}");
    }
    assert_eq!(server.served(), 0);
}

/// A gRPC-Web body with one message.
fn framed(message: &impl prost::Message) -> Vec<u8> {
    let message = message.encode_to_vec();
    let mut body = vec![0];
    body.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    body.extend_from_slice(&message);
    body
}

/// The status of a gRPC-Web answer: a header, or in the body's last frame.
async fn grpc_status(answer: reqwest::Response) -> Option<String> {
    let header = answer.headers().get("grpc-status").map(|value| value.to_str().unwrap().to_owned());
    let body = String::from_utf8_lossy(&answer.bytes().await.unwrap()).into_owned();
    let digits = |rest: &str| rest.trim().chars().take_while(char::is_ascii_digit).collect();
    header.or_else(|| body.split("grpc-status:").nth(1).map(digits))
}

#[tokio::test]
async fn no_call_takes_longer_than_the_server_allows() {
    let server = run(|config| config.limits.call_duration_max = Duration::from_millis(50)).await;
    let mut client = RequestServiceClient::new(server.channel().await);
    let message = GetRequestRequest { request_id: ID.to_owned(), ..Default::default() };
    let status = client.get_request(with("human", message)).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(server.served(), 1);
}

#[tokio::test]
async fn a_watch_ends_when_the_token_does() {
    let server = run(|_| ()).await;
    let mut client = RequestServiceClient::new(server.channel().await);
    let filter = RequestFilter { scope: RequestScope::Own.into(), ..Default::default() };
    let message = WatchRequestsRequest { filter: Some(filter), ..Default::default() };
    let mut watch = client.watch_requests(with("brief", message)).await.unwrap().into_inner();
    assert!(watch.message().await.unwrap().unwrap().caught_up);
    let status = watch.message().await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(status::reason(&status).as_deref(), Some("TOKEN_EXPIRED"));
}

#[tokio::test]
async fn huge_metadata_is_refused_and_survived() {
    let server = run(|_| ()).await;
    let mut request = with("human", well_formed());
    for index in 0..8 {
        let key: tonic::metadata::MetadataKey<_> = format!("x-{index}").parse().unwrap();
        request.metadata_mut().insert(key, "x".repeat(16 * 1024).parse().unwrap());
    }
    server.create(request).await.unwrap_err();
    assert_eq!(server.served(), 0);
    server.create(with("human", well_formed())).await.unwrap();
}

#[tokio::test]
async fn an_oversized_message_is_refused_and_survived() {
    let server = run(|_| ()).await;
    let mut message = well_formed();
    message.idempotency_key = "x".repeat(5 * 1024 * 1024);
    let status = server.create(with("human", message)).await.unwrap_err();
    assert!(matches!(status.code(), Code::OutOfRange | Code::ResourceExhausted), "{status:?}");
    assert_eq!(server.served(), 0);
    server.create(with("human", well_formed())).await.unwrap();
}

#[tokio::test]
async fn rapid_reset_is_survived() {
    let server = run(|_| ()).await;
    let channel = server.channel().await;
    let message = GetRequestRequest { request_id: ID.to_owned(), ..Default::default() };
    for _ in 0..2_000 {
        let mut client = RequestServiceClient::new(channel.clone());
        let call = client.get_request(with("human", message.clone()));
        // Sent, and dropped at the next chance: a stream that is reset. The connection may be closed on us for it.
        tokio::select! {
            biased;
            _ = call => {}
            () = tokio::task::yield_now() => {}
        }
    }
    server.create(with("human", well_formed())).await.unwrap();
}

#[tokio::test]
async fn a_slow_reader_holds_up_its_own_stream_and_nothing_else() {
    let server = run(|_| ()).await;
    let mut client = RequestServiceClient::new(server.channel().await);
    let filter = RequestFilter { scope: RequestScope::Own.into(), ..Default::default() };
    let message = WatchRequestsRequest { filter: Some(filter), wait_for_position: "flood".to_owned() };
    let mut watch = client.watch_requests(with("human", message)).await.unwrap().into_inner();
    watch.message().await.unwrap();
    for _ in 0..20 {
        server.create(with("human", well_formed())).await.unwrap();
    }
    // Flow control stopped the flood: what is made and not read stays within a few windows, however long this goes on.
    assert!(server.served() < 1_000, "{} messages of 16 KiB were made for nobody", server.served());
    assert!(watch.message().await.unwrap().is_some());
}

#[tokio::test]
async fn a_message_that_is_not_protobuf_is_the_callers_fault() {
    let server = run(|_| ()).await;
    let answer = reqwest::Client::new()
        .post(format!("http://{}/daypass.request.v1.RequestService/CreateRequest", server.address))
        .header("content-type", "application/grpc-web+proto")
        .header("authorization", "Bearer human")
        .body(vec![0, 0, 0, 0, 2, 0xff, 0xff])
        .send()
        .await
        .unwrap();
    assert_eq!(grpc_status(answer).await.as_deref(), Some("3"));
}

#[tokio::test]
async fn browsers_call_from_configured_origins_only() {
    let server = run(|_| ()).await;
    let url = format!("http://{}/daypass.request.v1.RequestService/CreateRequest", server.address);
    let preflight = async |origin: &str| {
        let answer = reqwest::Client::new()
            .request(reqwest::Method::OPTIONS, &url)
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type,x-grpc-web")
            .send()
            .await
            .unwrap();
        answer.headers().get("access-control-allow-origin").map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(preflight("https://portal.example").await.as_deref(), Some("https://portal.example"));
    assert_eq!(preflight("https://portal.example.evil.example").await, None);
    assert_eq!(preflight("null").await, None);
    assert_eq!(server.served(), 0);
}

#[tokio::test]
async fn grpc_web_is_served_and_refused_like_grpc() {
    let server = run(|_| ()).await;
    let post = async |token: &str| {
        let answer = reqwest::Client::new()
            .post(format!("http://{}/daypass.request.v1.RequestService/CreateRequest", server.address))
            .header("content-type", "application/grpc-web+proto")
            .header("origin", "https://portal.example")
            .header("authorization", format!("Bearer {token}"))
            .body(framed(&well_formed()))
            .send()
            .await
            .unwrap();
        let exposed = answer.headers().get("access-control-expose-headers").is_some();
        (exposed, grpc_status(answer).await)
    };
    assert_eq!(post("human").await, (true, Some("0".to_owned())));
    assert_eq!(post("old").await, (true, Some("16".to_owned())));
}

#[tokio::test]
async fn a_connection_has_no_more_calls_at_a_time_than_its_limit() {
    let server = run(|config| config.limits.calls_per_connection_max = 1).await;
    let client = RequestServiceClient::new(server.channel().await);
    let message = GetRequestRequest { request_id: ID.to_owned(), ..Default::default() };
    let (mut first, again) = (client.clone(), message.clone());
    let held = tokio::spawn(async move { first.get_request(with("human", again)).await });
    server.requests.entered.notified().await;
    let refused = client.clone().get_request(with("human", message.clone())).await.unwrap_err();
    assert!(matches!(refused.code(), Code::ResourceExhausted | Code::Unavailable), "{refused:?}");
    assert_eq!(server.requests.served.load(Ordering::SeqCst), 1);
    server.requests.go_on.notify_one();
    held.await.unwrap().unwrap();
    server.requests.go_on.notify_one();
    client.clone().get_request(with("human", message)).await.unwrap();
}

#[tokio::test]
async fn calls_that_are_being_served_finish_before_the_end() {
    let server = run(|_| ()).await;
    server.readiness.set(true).await;
    let mut client = RequestServiceClient::new(server.channel().await);
    let message = GetRequestRequest { request_id: ID.to_owned(), ..Default::default() };
    let answer = tokio::spawn(async move { client.get_request(with("human", message)).await });
    server.requests.entered.notified().await;
    server.shutdown.cancel();
    server.requests.go_on.notify_one();
    answer.await.unwrap().unwrap();
    server.ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_drain_has_an_end() {
    let server = run(|config| config.limits.drain_duration_max = Duration::from_millis(50)).await;
    let mut client = RequestServiceClient::new(server.channel().await);
    let message = GetRequestRequest { request_id: ID.to_owned(), ..Default::default() };
    let answer = tokio::spawn(async move { client.get_request(with("human", message)).await });
    server.requests.entered.notified().await;
    server.shutdown.cancel();
    assert!(matches!(server.ended.await.unwrap(), Err(ServeError::DrainTimedOut(_))));
    answer.abort();
}

#[tokio::test]
async fn services_of_one_process_pass_the_same_gate() {
    let requests = Requests::default();
    let routes = Routes::new(RequestServiceServer::new(requests.clone()));
    let guarded = Guarded::new(routes, &gate(), Duration::from_secs(5));
    // Without a socket, and without being a service: tokens, as over the network.
    let mut client = RequestServiceClient::new(guarded.clone());
    assert_eq!(
        client.create_request(Request::new(well_formed())).await.unwrap_err().code(),
        Code::Unauthenticated
    );
    assert_eq!(
        client.create_request(with("human", well_formed())).await.unwrap().into_inner().position,
        "human"
    );
    // As a service: known without a token, and still not everything is for services.
    let connection = InProcess::new(guarded, "approval").unwrap().connection();
    let mut client = RequestServiceClient::new(connection.clone());
    assert_eq!(
        client.create_request(Request::new(well_formed())).await.unwrap().into_inner().position,
        "approval"
    );
    let mut client = ActivationServiceClient::new(connection);
    assert_eq!(
        client.get_assignment(Request::new(GetAssignmentRequest::default())).await.unwrap_err().code(),
        Code::PermissionDenied
    );
}

#[tokio::test]
async fn who_claims_over_the_network_to_be_inside_is_nobody() {
    let server = run(|_| ()).await;
    // Extensions of the client's request stay with the client.
    let mut request = Request::new(well_formed());
    let caller = Tokens.authenticate("human").await.unwrap();
    let call = service_runtime::Call { caller, roles: Held::default(), trace_parent: None };
    request.extensions_mut().insert(call.clone());
    assert_eq!(server.create(request).await.unwrap_err().code(), Code::Unauthenticated);
    // Neither does it help to put one there in the same process.
    let guarded = Guarded::new(
        Routes::new(RequestServiceServer::new(Requests::default())),
        &gate(),
        Duration::from_secs(5),
    );
    let mut request = Request::new(well_formed());
    request.extensions_mut().insert(call);
    let status = RequestServiceClient::new(guarded).create_request(request).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
}

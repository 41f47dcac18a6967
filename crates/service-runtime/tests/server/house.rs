//! A server on a free port, whose one service answers what the tests need; tokens that the gate knows.

use api::request::v1::request_service_client::RequestServiceClient;
use api::request::v1::request_service_server::{RequestService, RequestServiceServer};
use api::request::v1::{
    CreateRequestRequest, CreateRequestResponse, GetRequestRequest, GetRequestResponse, WatchRequestsRequest,
    WatchRequestsResponse,
};
use api::types::v1::{Ask, AskedWindow, Target};
use domain::{Actor, ActorKind, Person};
use identity::{AuthError, Caller};
use service_runtime::clock::SystemClock;
use service_runtime::config::{Limits, RolesConfig, ServerConfig, WebConfig};
use service_runtime::server::ServeError;
use service_runtime::{Authenticate, Bound, Gate, Readiness, Roles, Server, call};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_stream::StreamExt as _;
use tokio_util::sync::CancellationToken;
use tonic::codegen::BoxStream;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};

pub(crate) const ID: &str = "0193b5a0-0000-7000-8000-000000000000";

/// Knows `human`, `workload` and `brief` (a token with a second to live); everything else has expired.
pub(crate) struct Tokens;

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
pub(crate) struct Requests {
    pub(crate) served: Arc<AtomicUsize>,
    pub(crate) entered: Arc<Notify>,
    /// `get_request` answers when told to.
    pub(crate) go_on: Arc<Notify>,
    /// By when the last `get_request` had to be answered.
    pub(crate) deadline: Arc<Mutex<Option<Instant>>>,
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
        *self.deadline.lock().unwrap() = service_runtime::deadline::current();
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

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) health_address: Option<SocketAddr>,
    pub(crate) requests: Requests,
    pub(crate) readiness: Readiness,
    pub(crate) shutdown: CancellationToken,
    pub(crate) ended: JoinHandle<Result<(), ServeError>>,
}

pub(crate) fn gate() -> Gate {
    Gate::new(Arc::new(Tokens), Roles::new(&RolesConfig::default()).unwrap(), Arc::new(SystemClock))
}

pub(crate) async fn run(change: impl FnOnce(&mut ServerConfig)) -> Running {
    let requests = Requests::default();
    let routes = Routes::new(RequestServiceServer::new(requests.clone()));
    run_behind(gate(), requests, routes, change).await
}

/// The same behind another gate, or with other routes.
pub(crate) async fn run_behind(
    gate: Gate,
    requests: Requests,
    routes: Routes,
    change: impl FnOnce(&mut ServerConfig),
) -> Running {
    let mut config = ServerConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        health_listen: None,
        tls: None,
        web: Some(WebConfig { origins: vec!["https://portal.example".to_owned()] }),
        reflection: false,
        limits: Limits::default(),
    };
    change(&mut config);
    let readiness = Readiness::new(["daypass.request.v1.RequestService"]).await;
    let server = Server { routes, gate, readiness: readiness.clone() };
    let bound = Bound::new(config).unwrap();
    let (address, health_address) = (bound.address(), bound.health_address());
    let shutdown = CancellationToken::new();
    let ended = tokio::spawn(bound.serve(server, shutdown.clone()));
    Running { address, health_address, requests, readiness, shutdown, ended }
}

impl Running {
    pub(crate) async fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap()
    }

    pub(crate) async fn create(&self, request: Request<CreateRequestRequest>) -> Result<String, Status> {
        let mut client = RequestServiceClient::new(self.channel().await);
        client.create_request(request).await.map(|answer| answer.into_inner().position)
    }

    pub(crate) fn served(&self) -> usize {
        self.requests.served.load(Ordering::SeqCst)
    }
}

pub(crate) fn well_formed() -> CreateRequestRequest {
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

pub(crate) fn with<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

/// A gRPC-Web body with one message.
pub(crate) fn framed(message: &impl prost::Message) -> Vec<u8> {
    let message = message.encode_to_vec();
    let mut body = vec![0];
    body.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    body.extend_from_slice(&message);
    body
}

/// The status of a gRPC-Web answer: a header, or in the body's last frame.
pub(crate) async fn grpc_status(answer: reqwest::Response) -> Option<String> {
    let header = answer.headers().get("grpc-status").map(|value| value.to_str().unwrap().to_owned());
    let body = String::from_utf8_lossy(&answer.bytes().await.unwrap()).into_owned();
    let digits = |rest: &str| rest.trim().chars().take_while(char::is_ascii_digit).collect();
    header.or_else(|| body.split("grpc-status:").nth(1).map(digits))
}

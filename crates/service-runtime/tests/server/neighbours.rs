//! Calls from one server to the replicas of another.

use crate::house::{ID, Requests, Running, gate, run, run_behind, well_formed, with};
use api::request::v1::request_service_client::RequestServiceClient;
use api::request::v1::request_service_server::{RequestService, RequestServiceServer};
use api::request::v1::{
    CreateRequestRequest, CreateRequestResponse, GetRequestRequest, GetRequestResponse, WatchRequestsRequest,
    WatchRequestsResponse,
};
use serde_json::json;
use service_runtime::config::{Addresses, ClientCredentials, NeighbourConfig, Secret, SecretRef};
use service_runtime::outgoing::{self, Connection, Ourselves};
use service_runtime::token_source::TokenSource;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::codegen::{Body as HttpBody, BoxStream, Bytes, StdError};
use tonic::service::Routes;
use tonic::{Code, Request, Response, Status};
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

fn neighbour(servers: &[&Running]) -> NeighbourConfig {
    let urls = servers.iter().map(|server| format!("http://127.0.0.1:{}", server.address.port())).collect();
    NeighbourConfig { address: Addresses::Several(urls), ca_file: None, spiffe_id: None }
}

fn connect(servers: &[&Running]) -> Connection {
    outgoing::connect(&neighbour(servers), Ourselves::default()).unwrap()
}

/// One of two replicas goes: at most a call is lost, and the other is called from then on; it comes back, and has its share again.
#[tokio::test]
async fn calls_are_spread_over_the_replicas_that_are_there() {
    let (one, other) = (run(|_| {}).await, run(|_| {}).await);
    let mut client = RequestServiceClient::new(connect(&[&one, &other]));
    for _ in 0..10 {
        client.create_request(with("human", well_formed())).await.unwrap();
    }
    assert_eq!((one.served(), other.served()), (5, 5));

    one.shutdown.cancel();
    one.ended.await.unwrap().unwrap();
    let mut lost = 0;
    for _ in 0..10 {
        lost += usize::from(client.create_request(with("human", well_formed())).await.is_err());
    }
    assert!(lost <= 1, "{lost} calls went to a replica that is gone");
    assert_eq!(other.served(), 15 - lost);
}

/// Its end came sooner than told, or its key was replaced: one call is lost, and none after it.
#[tokio::test]
async fn a_call_after_one_that_was_not_believed_carries_another_token() {
    let issuer = MockServer::start().await;
    let token = |text: &str| {
        ResponseTemplate::new(200)
            .set_body_json(json!({"access_token": text, "token_type": "Bearer", "expires_in": 600}))
    };
    Mock::given(method("POST")).respond_with(token("stale")).up_to_n_times(1).mount(&issuer).await;
    Mock::given(method("POST")).respond_with(token("human")).expect(1).mount(&issuer).await;
    let credentials = ClientCredentials {
        token_url: format!("{}/token", issuer.uri()),
        client_id: "approval".to_owned(),
        client_secret: SecretRef::Env("unused".to_owned()),
        scope: None,
        audience: None,
        resource: None,
    };
    let tokens = TokenSource::new(credentials, Secret::new("secret")).unwrap();
    let server = run(|_| {}).await;
    let neighbour = neighbour(&[&server]);
    let ourselves = Ourselves { tokens: Some(Arc::new(tokens)), certificate: None };
    let mut client = RequestServiceClient::new(outgoing::connect(&neighbour, ourselves).unwrap());
    let refused = client.create_request(Request::new(well_formed())).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    for _ in 0..3 {
        client.create_request(Request::new(well_formed())).await.unwrap();
    }
    assert_eq!(server.served(), 3);
}

/// Answers by asking a neighbour.
struct Relay<T>(T);

#[tonic::async_trait]
impl<T> RequestService for Relay<T>
where
    T: GrpcService<Body> + Clone + Send + Sync + 'static,
    T::Future: Send,
    T::Error: Into<StdError>,
    T::ResponseBody: HttpBody<Data = Bytes> + Send + 'static,
    <T::ResponseBody as HttpBody>::Error: Into<StdError> + Send,
{
    async fn create_request(
        &self,
        _request: Request<CreateRequestRequest>,
    ) -> Result<Response<CreateRequestResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_request(
        &self,
        request: Request<GetRequestRequest>,
    ) -> Result<Response<GetRequestResponse>, Status> {
        RequestServiceClient::new(self.0.clone()).get_request(with("human", request.into_inner())).await
    }

    async fn watch_requests(
        &self,
        _request: Request<WatchRequestsRequest>,
    ) -> Result<Response<BoxStream<WatchRequestsResponse>>, Status> {
        Err(Status::unimplemented(""))
    }
}

#[tokio::test]
async fn a_deadline_goes_along_from_server_to_server() {
    const ALLOWED: Duration = Duration::from_millis(700);
    let behind = run(|_| {}).await;
    let relay = Routes::new(RequestServiceServer::new(Relay(connect(&[&behind]))));
    let front = run_behind(gate(), Requests::default(), relay, |_| {}).await;
    let began = Instant::now();
    let mut ask = with("human", GetRequestRequest { request_id: ID.to_owned(), ..Default::default() });
    ask.set_timeout(ALLOWED);
    let code = RequestServiceClient::new(front.channel().await).get_request(ask).await.unwrap_err().code();
    assert!(matches!(code, Code::DeadlineExceeded | Code::Cancelled), "{code:?}");
    // It would have been 30 seconds otherwise.
    let deadline = behind.requests.deadline.lock().unwrap().unwrap();
    assert!(deadline > began && deadline <= Instant::now() + Duration::from_millis(50), "{deadline:?}");
}

//! Who gets in: tokens, roles, methods, wrong messages; over the network and within a process.

use crate::house::{Requests, Tokens, gate, run, well_formed, with};
use api::activation::v1::activation_service_client::ActivationServiceClient;
use api::activation::v1::{GetAssignmentRequest, IssueCredentialsRequest};
use api::request::v1::request_service_client::RequestServiceClient;
use api::request::v1::request_service_server::RequestServiceServer;
use api::request::v1::{CreateRequestRequest, GetRequestRequest, GetRequestResponse};
use service_runtime::roles::Held;
use service_runtime::{Authenticate as _, Guarded, InProcess, status};
use std::time::Duration;
use tonic::service::Routes;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

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

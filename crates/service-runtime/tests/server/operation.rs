//! What operators meet: health, reflection, the end of a process.

use crate::house::{ID, Running, run, with};
use api::request::v1::GetRequestRequest;
use api::request::v1::request_service_client::RequestServiceClient;
use service_runtime::server::ServeError;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

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

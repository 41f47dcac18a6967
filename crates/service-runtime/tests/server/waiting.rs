//! A process that cannot do its work yet.

use crate::house::well_formed;
use api::request::v1::request_service_client::RequestServiceClient;
use service_runtime::Bound;
use service_runtime::config::{Limits, ServerConfig};
use service_runtime::server::WaitsFor;
use tokio::sync::oneshot;
use tonic::Code;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt as _;

#[tokio::test]
async fn it_is_there_is_not_ready_and_says_why() {
    let config = ServerConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        health_listen: None,
        tls: None,
        web: None,
        reflection: false,
        limits: Limits::default(),
    };
    let bound = Bound::new(config).unwrap();
    let channel = Endpoint::from_shared(format!("http://{}", bound.address())).unwrap().connect_lazy();
    let waits_for = WaitsFor::default();
    waits_for.set("the log cannot be reached");
    let (tell, told) = oneshot::channel();
    let look = async {
        let mut health = HealthClient::new(channel.clone());
        let answer = health.check(HealthCheckRequest::default()).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::NotServing);
        let status = RequestServiceClient::new(channel).create_request(well_formed()).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Unavailable, "the log cannot be reached"));
        assert_eq!(status.get_details_error_info().unwrap().reason, "NOT_READY");
        assert!(status.get_details_retry_info().is_some());
        tell.send("done").unwrap();
    };
    let ready = async { told.await.unwrap() };
    let (waited, ()) = tokio::join!(bound.wait(ready, &waits_for), look);
    assert_eq!(waited.unwrap(), "done");
}

//! What is refused and survived: deadlines, sizes, resets, slow readers, too many calls.

use crate::house::{ID, framed, grpc_status, run, well_formed, with};
use api::request::v1::request_service_client::RequestServiceClient;
use api::request::v1::{GetRequestRequest, RequestFilter, RequestScope, WatchRequestsRequest};
use service_runtime::status;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tonic::Code;

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

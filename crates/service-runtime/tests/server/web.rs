//! What browsers meet: gRPC-Web, and origins.

use crate::house::{framed, grpc_status, run, well_formed};

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

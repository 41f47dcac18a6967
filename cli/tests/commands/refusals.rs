//! What a no looks like, and what the program ends with.

use crate::fake::Fake;
use crate::requests::{ID, request};
use crate::{daypass, run};
use api::request::v1::{GetRequestRequest, GetRequestResponse};
use std::path::Path;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

async fn refusing(status: Status) -> Fake {
    let fake = Fake::start().await;
    fake.on("get_request", move |_: &GetRequestRequest, _| Err::<GetRequestResponse, _>(status.clone()));
    fake
}

#[tokio::test]
async fn exit_codes_tell_the_kinds_of_no_apart() {
    for (code, expected) in [
        (Code::PermissionDenied, 1),
        (Code::NotFound, 1),
        (Code::FailedPrecondition, 1),
        (Code::DataLoss, 1),
        (Code::Unimplemented, 3),
        (Code::Unauthenticated, 4),
        (Code::Unavailable, 5),
        (Code::DeadlineExceeded, 5),
    ] {
        let fake = refusing(Status::new(code, "no")).await;
        let ran = daypass(&fake, &["show", ID]).await;
        assert_eq!((ran.code, ran.out.as_str()), (expected, ""), "{code:?}: {ran}");
        assert!(ran.err.starts_with("daypass: no ["), "{ran}");
    }
}

#[tokio::test]
async fn every_wrong_field_is_shown() {
    let violations =
        vec![FieldViolation::new("request_id", "must be a UUID"), FieldViolation::new("other", "is odd")];
    let details = ErrorDetails::with_bad_request(violations);
    let fake =
        refusing(Status::with_error_details(Code::InvalidArgument, "request_id: must be a UUID", details))
            .await;
    let ran = daypass(&fake, &["show", ID]).await;
    assert_eq!(ran.code, 1, "{ran}");
    assert!(ran.err.contains("request_id: must be a UUID") && ran.err.contains("other: is odd"), "{ran}");
    let ran = daypass(&fake, &["show", ID, "--output", "json"]).await;
    let error: serde_json::Value = serde_json::from_str(&ran.err).unwrap();
    assert_eq!(error["error"]["code"], "INVALID_ARGUMENT");
    assert_eq!(error["error"]["fieldViolations"][1]["field"], "other");
}

#[tokio::test]
async fn without_a_token_nothing_is_asked() {
    let fake = Fake::start().await;
    for token in [None, Some(""), Some("two words")] {
        let ran = run(token, &fake.address, Path::new("."), &["list"]).await;
        assert_eq!(ran.code, 4, "{ran}");
        assert!(ran.err.contains("not signed in"), "{ran}");
    }
    fake.each_call(|call| panic!("{} was called", call.method));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    // A port that was free a moment ago, and that nobody listens on.
    let address = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let server = format!("http://{address}");
    let ran = run(Some("token"), &server, Path::new("."), &["list"]).await;
    assert_eq!(ran.code, 5, "{ran}");
    assert!(ran.err.contains(&format!("{server} cannot be reached")), "{ran}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_not_waited_for() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let ran = run(Some("token"), &server, Path::new("."), &["list", "--timeout", "1s"]).await;
    assert_eq!(ran.code, 5, "{ran}");
    assert!(ran.err.contains("did not answer in time"), "{ran}");
}

#[tokio::test]
async fn the_token_is_not_sent_in_the_clear_to_another_machine() {
    for server in ["http://192.0.2.1:7400", "ftp://127.0.0.1", "http://daypass.example"] {
        let ran = run(Some("token"), server, Path::new("."), &["list"]).await;
        assert_eq!(ran.code, 2, "{ran}");
    }
}

#[tokio::test]
async fn services_may_have_addresses_of_their_own() {
    let fake = Fake::start().await;
    fake.on("get_request", |message: &GetRequestRequest, _| {
        Ok(GetRequestResponse { request: Some(request(&message.request_id)), timeline: Vec::new() })
    });
    let arguments = ["show", ID, "--request-server", fake.address.as_str()];
    let ran = run(Some("token"), "http://127.0.0.1:1", Path::new("."), &arguments).await;
    assert_eq!(ran.code, 0, "{ran}");
}

//! Tokens for our own calls, from a token endpoint over HTTP.
#![expect(clippy::unwrap_used, reason = "tests")]

use domain::ports::Clock;
use domain::{SignedDuration, Timestamp};
use service_runtime::config::{ClientCredentials, Secret, SecretRef};
use service_runtime::token_source::{TokenError, TokenSource};
use std::sync::{Arc, Mutex};
use wiremock::matchers::{body_string_contains, header, method};
use wiremock::{Mock, MockServer, ResponseTemplate};

struct Hand(Mutex<Timestamp>);

impl Hand {
    fn forward(&self, by: SignedDuration) {
        *self.0.lock().unwrap() += by;
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

fn source(server: &MockServer) -> (TokenSource, Arc<Hand>) {
    let clock = Arc::new(Hand(Mutex::new(Timestamp::UNIX_EPOCH)));
    let config = ClientCredentials {
        token_url: format!("{}/token", server.uri()),
        client_id: "approval".to_owned(),
        client_secret: SecretRef::Env("unused".to_owned()),
        scope: None,
        audience: Some("daypass".to_owned()),
        resource: None,
    };
    (TokenSource::new(config, Secret::new("canary"), clock.clone()).unwrap(), clock)
}

fn token(text: &str) -> ResponseTemplate {
    ResponseTemplate::new(200)
        .set_body_json(serde_json::json!({"access_token": text, "token_type": "Bearer", "expires_in": 600}))
}

#[tokio::test]
async fn a_token_is_kept_until_shortly_before_its_end() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(header("authorization", "Basic YXBwcm92YWw6Y2FuYXJ5"))
        .and(body_string_contains("grant_type=client_credentials"))
        .and(body_string_contains("audience=daypass"))
        .respond_with(token("first"))
        .up_to_n_times(1)
        .mount(&server)
        .await;
    Mock::given(method("POST")).respond_with(token("second")).mount(&server).await;
    let (source, clock) = source(&server);
    let (one, two) = tokio::join!(source.token(), source.token());
    assert_eq!((one.unwrap().expose(), two.unwrap().expose()), ("first", "first"));
    clock.forward(SignedDuration::from_secs(539));
    assert_eq!(source.token().await.unwrap().expose(), "first");
    clock.forward(SignedDuration::from_secs(1));
    assert_eq!(source.token().await.unwrap().expose(), "second");
}

#[tokio::test]
async fn a_refusal_says_nothing_secret() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(401).set_body_string("canary"))
        .mount(&server)
        .await;
    let (source, _) = source(&server);
    let error = source.token().await.unwrap_err();
    assert!(matches!(error, TokenError::Refused(401)));
    assert!(!format!("{error:?} {error} {source:?}").contains("canary"));
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_an_oversized_answer_not_read() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(307).insert_header("location", "http://169.254.169.254/"))
        .up_to_n_times(1)
        .mount(&server)
        .await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(200).set_body_string("x".repeat(1024 * 1024)))
        .mount(&server)
        .await;
    let (source, _) = source(&server);
    assert!(matches!(source.token().await.unwrap_err(), TokenError::Refused(307)));
    assert!(matches!(source.token().await.unwrap_err(), TokenError::NotAnAnswer));
}

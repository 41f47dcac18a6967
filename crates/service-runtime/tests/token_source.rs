//! Tokens for our own calls, from a token endpoint over HTTP.
#![expect(clippy::unwrap_used, reason = "tests")]

use service_runtime::config::{ClientCredentials, Secret, SecretRef};
use service_runtime::token_source::{TokenError, TokenSource};
use std::time::Duration;
use wiremock::matchers::{body_string_contains, header, method};
use wiremock::{Mock, MockServer, ResponseTemplate};

/// Lets so much time pass, for timers of this thread.
async fn pass(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

fn source(server: &MockServer) -> TokenSource {
    let config = ClientCredentials {
        token_url: format!("{}/token", server.uri()),
        client_id: "approval".to_owned(),
        client_secret: SecretRef::Env("unused".to_owned()),
        scope: None,
        audience: Some("daypass".to_owned()),
        resource: None,
    };
    TokenSource::new(config, Secret::new("canary")).unwrap()
}

/// Answers with these tokens, one after the other, and then with the last one for ever.
async fn answer(server: &MockServer, tokens: &[&str]) {
    for (number, text) in tokens.iter().enumerate() {
        let mock = Mock::given(method("POST")).respond_with(token(text));
        let is_last = number + 1 == tokens.len();
        let mock = if is_last { mock } else { mock.up_to_n_times(1) };
        mock.mount(server).await;
    }
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
    let source = source(&server);
    let (one, two) = tokio::join!(source.token(), source.token());
    assert_eq!((one.unwrap().expose(), two.unwrap().expose()), ("first", "first"));
    pass(538).await;
    assert_eq!(source.token().await.unwrap().expose(), "first");
    pass(2).await;
    assert_eq!(source.token().await.unwrap().expose(), "second");
}

#[tokio::test]
async fn a_token_that_is_refused_is_replaced_and_the_next_one_not_at_once() {
    let server = MockServer::start().await;
    answer(&server, &["first", "second", "third"]).await;
    let source = source(&server);
    let first = source.token().await.unwrap();
    source.refused(&first).await;
    let second = source.token().await.unwrap();
    assert_eq!(second.expose(), "second");
    source.refused(&first).await;
    source.refused(&second).await;
    assert_eq!(source.token().await.unwrap().expose(), "second", "not one with every call");
    pass(10).await;
    source.refused(&first).await;
    assert_eq!(source.token().await.unwrap().expose(), "second", "another one was refused");
    source.refused(&second).await;
    assert_eq!(source.token().await.unwrap().expose(), "third");
}

#[tokio::test]
async fn a_refusal_says_nothing_secret() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(401).set_body_string("canary"))
        .mount(&server)
        .await;
    let source = source(&server);
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
    let source = source(&server);
    assert!(matches!(source.token().await.unwrap_err(), TokenError::Refused(307)));
    assert!(matches!(source.token().await.unwrap_err(), TokenError::NotAnAnswer));
}

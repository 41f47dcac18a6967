//! The adapter of AWS Sign-In against a double that speaks its protocol.

use crate::support::WallClock;
use aws::federation::FederationEndpoint;
use aws::{ConsoleUrl, ErrorKind, Federation, Secret, SessionCredentials};
use aws_sdk::{AwsConfig, SdkFederation, connect};
use domain::{Partition, Timestamp};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use url::Url;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

fn credentials() -> SessionCredentials {
    SessionCredentials {
        access_key_id: "ASIA1".to_owned(),
        secret_access_key: Secret::new("canary/+secret"),
        session_token: Secret::new("canary token&"),
        expires_at: Timestamp::UNIX_EPOCH,
    }
}

fn federation(server: &str) -> SdkFederation {
    let url = Url::parse(&format!("{server}/federation")).unwrap();
    SdkFederation::new(FederationEndpoint::at(url, Partition::Aws), Duration::from_secs(5)).unwrap()
}

async fn answering(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST")).and(path("/federation")).respond_with(answer).mount(&server).await;
    server
}

#[tokio::test]
async fn a_token_is_had_for_the_credentials_and_becomes_a_link() {
    let server = answering(ResponseTemplate::new(200).set_body_json(json!({"SigninToken": "token-1"}))).await;
    let federation = federation(&server.uri());
    let token = federation.sign_in_token(&credentials()).await.unwrap();
    let home = ConsoleUrl::home(Partition::Aws).unwrap();
    let link = federation.endpoint().sign_in_link(&token, &home, None);
    assert!(link.expose().starts_with(&format!("{}/federation?Action=login&", server.uri())));
    assert!(link.expose().ends_with("&SigninToken=token-1"));

    let asked = server.received_requests().await.unwrap().pop().unwrap();
    assert_eq!(asked.url.query(), None, "credentials are in no URL");
    let form: Vec<(String, String)> = url::form_urlencoded::parse(&asked.body).into_owned().collect();
    assert_eq!(form.len(), 2, "no SessionDuration: {form:?}");
    assert_eq!(form[0], ("Action".to_owned(), "getSigninToken".to_owned()));
    assert_eq!(form[1].0, "Session");
    let session: serde_json::Value = serde_json::from_str(&form[1].1).unwrap();
    let expected =
        json!({"sessionId": "ASIA1", "sessionKey": "canary/+secret", "sessionToken": "canary token&"});
    assert_eq!(session, expected);
}

#[tokio::test]
async fn every_answer_that_is_no_token_is_an_error_without_secrets() {
    let elsewhere = ResponseTemplate::new(302).insert_header("location", "http://127.0.0.1:9/canary");
    for (answer, kind) in [
        (ResponseTemplate::new(400).set_body_string("canary"), ErrorKind::Invalid),
        (ResponseTemplate::new(403), ErrorKind::Denied),
        (ResponseTemplate::new(429), ErrorKind::Throttled),
        (ResponseTemplate::new(503), ErrorKind::Unavailable),
        (elsewhere, ErrorKind::Unavailable),
        (ResponseTemplate::new(200).set_body_string("canary"), ErrorKind::Unavailable),
        (ResponseTemplate::new(200).set_body_json(json!({"SigninToken": ""})), ErrorKind::Unavailable),
        (ResponseTemplate::new(200).set_body_bytes(vec![b' '; 70_000]), ErrorKind::Unavailable),
    ] {
        let server = answering(answer).await;
        let error = federation(&server.uri()).sign_in_token(&credentials()).await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }
    let nobody = federation("http://127.0.0.1:9").sign_in_token(&credentials()).await.unwrap_err();
    assert_eq!(nobody.kind, ErrorKind::Unavailable);
}

#[tokio::test]
async fn every_partition_has_its_sign_in_and_its_sts() {
    for (region, partition, sign_in) in [
        ("eu-central-1", Partition::Aws, "https://eu-central-1.signin.aws.amazon.com/federation"),
        ("cn-north-1", Partition::AwsCn, "https://signin.amazonaws.cn/federation"),
        ("us-gov-west-1", Partition::AwsUsGov, "https://signin.amazonaws-us-gov.com/federation"),
    ] {
        let config = AwsConfig {
            instance_arn: Some(format!("arn:{partition}:sso:::instance/ssoins-1")),
            identity_store_id: Some("d-1".to_owned()),
            ..AwsConfig::new(region)
        };
        let adapters = connect(config, Arc::new(WallClock)).await.unwrap();
        assert_eq!(adapters.partition, partition);
        let endpoint = adapters.federation.endpoint();
        assert_eq!((endpoint.url().as_str(), endpoint.partition()), (sign_in, partition));
    }
}

#[tokio::test]
async fn sts_is_asked_in_the_region_of_its_partition() {
    use aws_sdk_sts::config::endpoint::{DefaultResolver, Params, ResolveEndpoint as _};
    for (region, url) in [
        ("eu-central-1", "https://sts.eu-central-1.amazonaws.com"),
        ("cn-northwest-1", "https://sts.cn-northwest-1.amazonaws.com.cn"),
        ("us-gov-east-1", "https://sts.us-gov-east-1.amazonaws.com"),
    ] {
        let params = Params::builder().region(region.to_owned()).build().unwrap();
        let endpoint = DefaultResolver::new().resolve_endpoint(&params).await.unwrap();
        assert_eq!(endpoint.url(), url);
    }
}

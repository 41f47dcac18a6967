//! Attacks on the way to an issuer's keys, and its bad days.

use crate::issuer::{
    OTHER_RSA, RSA, TestClock, TestIssuer, authenticator, header, key_set, seconds, setup, signed, with,
};
use domain::Issuer;
use futures::future::join_all;
use identity::fetch::{FetchError, HttpFetch, MemoryFetch, WebFetch};
use identity::{AuthError, Authenticator, ConfigProblem, Network, NewAuthenticatorError};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use url::Url;
use wiremock::ResponseTemplate;

fn down() -> ResponseTemplate {
    ResponseTemplate::new(503)
}

#[tokio::test]
async fn ten_thousand_random_kids_cause_at_most_one_fetch_an_interval() {
    let (issuer, clock, authenticator) = setup(|_| {}).await;
    authenticator.authenticate(&issuer.token(&json!({}))).await.unwrap();
    assert_eq!(issuer.asked("/jwks").await, 1);
    let claims = issuer.claims();
    for interval in 1..=3 {
        let tokens: Vec<_> = (0..10_000)
            .map(|n| {
                format!("{}.c2ln", crate::issuer::unsigned(&header(&format!("r{interval}-{n}")), &claims))
            })
            .collect();
        let answers = join_all(tokens.iter().map(|token| authenticator.authenticate(token))).await;
        assert!(answers.iter().all(|answer| matches!(answer, Err(AuthError::UnknownKey { .. }))));
        assert_eq!(issuer.asked("/jwks").await, 1 + interval);
        clock.advance(seconds(10));
    }
    assert!(authenticator.authenticate(&issuer.token(&json!({}))).await.is_ok());
}

#[tokio::test]
async fn random_kids_before_the_first_fetch_cause_one() {
    let (issuer, _, authenticator) = setup(|_| {}).await;
    let claims = issuer.claims();
    let tokens: Vec<_> = (0..1_000)
        .map(|n| format!("{}.c2ln", crate::issuer::unsigned(&header(&format!("r{n}")), &claims)))
        .collect();
    let answers = join_all(tokens.iter().map(|token| authenticator.authenticate(token))).await;
    assert!(answers.iter().all(Result::is_err));
    assert_eq!(issuer.asked("/jwks").await, 1);
}

#[tokio::test]
async fn random_kids_while_jwks_is_down_cause_at_most_one_fetch_an_interval() {
    let (issuer, clock, authenticator) = setup(|_| {}).await;
    authenticator.authenticate(&issuer.token(&json!({}))).await.unwrap();
    issuer.publish(|published| published.jwks = down());
    for second in 0..30 {
        let token = signed(&OTHER_RSA, &header(&format!("r{second}")), &issuer.claims());
        let Err(AuthError::UnknownKey { retry_after }) = authenticator.authenticate(&token).await else {
            panic!("accepted a key that nobody knows");
        };
        assert!(retry_after.is_some(), "it cannot be told whether the key is the issuer's");
        clock.advance(seconds(1));
    }
    assert_eq!(issuer.asked("/jwks").await, 1 + 3);
}

#[tokio::test]
async fn rotation_under_load_refuses_nobody() {
    let (issuer, clock, authenticator) = setup(|_| {}).await;
    let token = |n: usize, rotated: bool| {
        let (key, kid) = if rotated { (&*OTHER_RSA, "k2") } else { (&*RSA, "k1") };
        let claims = with(issuer.claims(), &json!({ "jti": n.to_string() }));
        signed(key, &header(kid), &claims)
    };
    let all_pass = async |tokens: Vec<String>| {
        let answers = join_all(tokens.iter().map(|token| authenticator.authenticate(token))).await;
        let refused: Vec<_> = answers.into_iter().filter_map(Result::err).collect();
        assert_eq!(refused, []);
    };
    all_pass((0..50).map(|n| token(n, false)).collect()).await;
    // The issuer adds a key and signs with it at once, while tokens of the old key are still around.
    issuer.publish_keys(&[RSA.jwk("k1"), OTHER_RSA.jwk("k2")]);
    all_pass((100..200).map(|n| token(n, n % 2 == 0)).collect()).await;
    assert_eq!(issuer.asked("/jwks").await, 2);
    // It takes the old key away; new tokens pass before and after that is noticed.
    issuer.publish_keys(&[OTHER_RSA.jwk("k2")]);
    all_pass((200..250).map(|n| token(n, true)).collect()).await;
    clock.advance(seconds(301));
    all_pass((250..300).map(|n| token(n, true)).collect()).await;
    assert_eq!(issuer.asked("/jwks").await, 3);
}

/// Answers from memory as it was when asked, but only when the gate lets it.
struct Gated {
    memory: MemoryFetch,
    gate: Semaphore,
}

#[async_trait::async_trait]
impl HttpFetch for Gated {
    async fn get(&self, url: &Url, network: Network, bytes_max: usize) -> Result<Vec<u8>, FetchError> {
        let answer = self.memory.get(url, network, bytes_max).await;
        if url.path() == "/jwks" {
            self.gate.acquire().await.unwrap().forget();
        }
        answer
    }
}

#[tokio::test]
async fn a_key_published_while_others_were_loading_refuses_nobody() {
    let issuer = TestIssuer::start().await;
    let config = issuer.config();
    let fetch = Arc::new(Gated { memory: MemoryFetch::new(), gate: Semaphore::new(0) });
    let publish = |keys: Value| fetch.memory.put_issuer(&config.issuer, &json!({ "keys": keys }));
    publish(json!([RSA.jwk("k1")]));
    let port = Arc::<Gated>::clone(&fetch);
    let authenticator = Authenticator::with_fetch(vec![config.clone()], TestClock::new(), port).unwrap();
    let old_token = issuer.token(&json!({}));
    let new_token = signed(&OTHER_RSA, &header("k2"), &issuer.claims());
    let mut old = Box::pin(authenticator.authenticate(&old_token));
    assert!(futures::poll!(&mut old).is_pending());
    publish(json!([RSA.jwk("k1"), OTHER_RSA.jwk("k2")]));
    let mut new = Box::pin(authenticator.authenticate(&new_token));
    assert!(futures::poll!(&mut new).is_pending());
    fetch.gate.add_permits(2);
    let (old, new) = tokio::join!(old, new);
    assert!(old.is_ok() && new.is_ok());
}

#[tokio::test]
async fn a_token_whose_key_was_rotated_out_is_refused_even_if_remembered() {
    let (issuer, clock, authenticator) = setup(|config| config.keys.refresh_after = seconds(20)).await;
    let token = issuer.token(&json!({}));
    assert!(authenticator.authenticate(&token).await.is_ok());
    issuer.publish_keys(&[OTHER_RSA.jwk("k2")]);
    clock.advance(seconds(19));
    assert!(authenticator.authenticate(&token).await.is_ok(), "not due yet");
    clock.advance(seconds(1));
    assert_eq!(authenticator.authenticate(&token).await, Err(AuthError::UnknownKey { retry_after: None }));
}

#[tokio::test]
async fn a_key_of_the_same_name_replaces_the_old_one() {
    let (issuer, clock, authenticator) = setup(|_| {}).await;
    let token = issuer.token(&json!({}));
    assert!(authenticator.authenticate(&token).await.is_ok());
    issuer.publish_keys(&[OTHER_RSA.jwk("k1")]);
    clock.advance(seconds(301));
    assert_eq!(authenticator.authenticate(&token).await, Err(AuthError::BadSignature));
}

#[tokio::test]
async fn jwks_down_known_keys_until_the_stated_age_then_closed() {
    let (issuer, clock, authenticator) = setup(|_| {}).await;
    let token = issuer.token(&json!({ "exp": crate::issuer::NOW + 90_000 }));
    assert!(authenticator.authenticate(&token).await.is_ok());
    issuer.publish(|published| published.jwks = down());
    for _ in 0..59 {
        clock.advance(seconds(60));
        assert!(authenticator.authenticate(&token).await.is_ok());
        assert!(authenticator.issuers_without_keys().is_empty());
    }
    clock.advance(seconds(60));
    assert!(matches!(authenticator.authenticate(&token).await, Err(AuthError::KeysUnavailable { .. })));
    assert_eq!(authenticator.issuers_without_keys(), [Issuer::new(issuer.url()).unwrap()]);
    // It opens again when the keys are back and the pause is over.
    issuer.publish_keys(&[RSA.jwk("k1")]);
    clock.advance(seconds(60));
    assert!(authenticator.authenticate(&token).await.is_ok());
}

#[tokio::test]
async fn failed_loads_pause_longer_and_longer() {
    let (issuer, clock, authenticator) = setup(|_| {}).await;
    issuer.publish(|published| published.discovery = down());
    let token = issuer.token(&json!({}));
    let mut asked_at = Vec::new();
    for second in 0..200 {
        let before = issuer.asked_at_all().await;
        assert!(authenticator.authenticate(&token).await.is_err());
        if issuer.asked_at_all().await > before {
            asked_at.push(second);
        }
        clock.advance(seconds(1));
    }
    assert_eq!(asked_at, [0, 1, 3, 7, 15, 31, 63, 123, 183]);
}

#[tokio::test]
async fn a_caller_who_goes_away_does_not_waste_the_load() {
    let (issuer, _, authenticator) = setup(|_| {}).await;
    issuer.publish(|published| {
        published.jwks = key_set(&[RSA.jwk("k1")]).set_delay(Duration::from_millis(50));
    });
    let token = issuer.token(&json!({}));
    let impatient = tokio::time::timeout(Duration::from_millis(10), authenticator.authenticate(&token)).await;
    assert!(impatient.is_err());
    assert!(authenticator.authenticate(&token).await.is_ok());
    assert_eq!(issuer.asked("/jwks").await, 1);
}

#[tokio::test]
async fn a_slow_issuer_holds_up_only_the_caller_that_refreshes() {
    let (issuer, clock, authenticator) = setup(|_| {}).await;
    let authenticator = Arc::new(authenticator);
    let token = issuer.token(&json!({}));
    assert!(authenticator.authenticate(&token).await.is_ok());
    issuer.publish(|published| {
        published.jwks = key_set(&[RSA.jwk("k1")]).set_delay(Duration::from_secs(2));
    });
    clock.advance(seconds(301));
    let mut first = Box::pin(authenticator.authenticate(&token));
    assert!(futures::poll!(&mut first).is_pending());
    let others = join_all((0..20).map(|_| authenticator.authenticate(&token)));
    let others = tokio::time::timeout(Duration::from_secs(1), others).await.unwrap();
    assert!(others.iter().all(Result::is_ok));
    assert!(first.await.is_ok());
}

#[tokio::test]
async fn keys_that_are_kept_fresh_make_no_caller_wait() {
    let (issuer, clock, authenticator) = setup(|_| {}).await;
    for n in 1..=3 {
        authenticator.refresh_keys().await;
        authenticator.refresh_keys().await; // not due again yet
        assert_eq!(issuer.asked("/jwks").await, n);
        assert!(authenticator.authenticate(&issuer.token(&json!({}))).await.is_ok());
        assert_eq!(issuer.asked("/jwks").await, n);
        clock.advance(seconds(150));
    }
}

#[tokio::test]
async fn issuer_url_to_private_ranges() {
    let issuer = TestIssuer::start().await;
    let clock = TestClock::new();
    let mut config = issuer.config();
    config.network.allow_private_addresses = false;
    let Err(NewAuthenticatorError::Config(problems)) =
        Authenticator::new(vec![config], Arc::<TestClock>::clone(&clock))
    else {
        panic!("accepted a private address");
    };
    assert_eq!(
        problems,
        [ConfigProblem {
            field: "issuers[0].issuer".to_owned(),
            why: "must not be a private address (network.allow_private_addresses)"
        }]
    );
    // A name that resolves to one is found out when it is resolved.
    let url = issuer.url().replace("127.0.0.1", "localhost");
    let mut config = issuer.config();
    config.issuer = Issuer::new(url.clone()).unwrap();
    config.network.allow_private_addresses = false;
    let authenticator = authenticator(vec![config], &clock);
    let token = issuer.token(&json!({ "iss": url }));
    assert!(matches!(authenticator.authenticate(&token).await, Err(AuthError::KeysUnavailable { .. })));
    assert_eq!(issuer.asked_at_all().await, 0);
}

#[tokio::test]
async fn plain_http_needs_to_be_allowed() {
    let issuer = TestIssuer::start().await;
    let mut config = issuer.config();
    config.network.allow_http = false;
    assert!(Authenticator::new(vec![config], TestClock::new()).is_err());
}

async fn refuses(change: impl FnOnce(&TestIssuer)) -> TestIssuer {
    let (issuer, _, authenticator) = setup(|_| {}).await;
    change(&issuer);
    assert!(matches!(
        authenticator.authenticate(&issuer.token(&json!({}))).await,
        Err(AuthError::KeysUnavailable { .. })
    ));
    issuer
}

#[tokio::test]
async fn redirects_are_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let issuer = refuses(|issuer| {
            let elsewhere = format!("{}/elsewhere", issuer.url());
            let redirect = ResponseTemplate::new(status).insert_header("location", elsewhere.as_str());
            issuer.publish(|published| published.jwks = redirect);
        })
        .await;
        assert_eq!(issuer.asked("/elsewhere").await, 0);
    }
}

#[tokio::test]
async fn oversized_answers_are_refused() {
    refuses(|issuer| {
        let padding = "x".repeat(identity::fetch::ANSWER_BYTES_MAX);
        let body = json!({ "keys": [RSA.jwk("k1")], "padding": padding });
        issuer.publish(|published| published.jwks = ResponseTemplate::new(200).set_body_json(body));
    })
    .await;
    refuses(|issuer| {
        let keys: Vec<_> = (0..101).map(|n| with(RSA.jwk("k1"), &json!({ "kid": format!("k{n}") }))).collect();
        let body = json!({ "keys": keys.iter().map(|key| with(key.clone(), &json!({ "n": "AQAB" }))).collect::<Vec<Value>>() });
        issuer.publish(|published| published.jwks = ResponseTemplate::new(200).set_body_json(body));
    })
    .await;
}

#[tokio::test]
async fn an_answer_is_read_no_further_than_allowed() {
    let issuer = TestIssuer::start().await;
    let url = format!("{}/jwks", issuer.url()).parse().unwrap();
    let network = issuer.config().network;
    let fetch = WebFetch::new().unwrap();
    assert!(fetch.get(&url, network, 10_000).await.is_ok());
    assert_eq!(fetch.get(&url, network, 10).await, Err(FetchError::TooLarge));
}

#[tokio::test]
async fn discovery_must_be_of_exactly_the_issuer() {
    for other in ["/", "/x"] {
        refuses(|issuer| {
            let url = issuer.url();
            let body = json!({ "issuer": format!("{url}{other}"), "jwks_uri": format!("{url}/jwks") });
            issuer.publish(|published| published.discovery = ResponseTemplate::new(200).set_body_json(body));
        })
        .await;
    }
}

#[tokio::test]
async fn discovery_cannot_lead_to_other_schemes() {
    for jwks_uri in ["file:///etc/passwd", "ftp://127.0.0.1/jwks", "data:,{}", "not a url"] {
        refuses(|issuer| {
            let body = json!({ "issuer": issuer.url(), "jwks_uri": jwks_uri });
            issuer.publish(|published| published.discovery = ResponseTemplate::new(200).set_body_json(body));
        })
        .await;
    }
}

#[tokio::test]
async fn unusable_key_sets_are_refused_and_unusable_keys_passed_over() {
    let good = RSA.jwk("k1");
    for keys in [
        vec![],
        vec![with(good.clone(), &json!({ "use": "enc" }))],
        vec![with(good.clone(), &json!({ "key_ops": ["encrypt"] }))],
        vec![with(good.clone(), &json!({ "kid": null }))],
        vec![with(good.clone(), &json!({ "alg": "RS512" }))],
        vec![json!({ "kty": "oct", "kid": "k1", "k": "c2VjcmV0" })],
        vec![json!("k1")],
    ] {
        refuses(|issuer| issuer.publish_keys(&keys)).await;
    }
    for body in ["", "[]", "{}", "<html>"] {
        refuses(|issuer| {
            issuer.publish(|published| published.jwks = ResponseTemplate::new(200).set_body_string(body));
        })
        .await;
    }
    let (issuer, _, authenticator) = setup(|_| {}).await;
    issuer.publish_keys(&[json!(1), json!({ "kty": "new", "kid": "k1" }), good]);
    assert!(authenticator.authenticate(&issuer.token(&json!({}))).await.is_ok());
}

#[tokio::test]
async fn a_broken_answer_does_not_displace_known_keys() {
    let (issuer, clock, authenticator) = setup(|_| {}).await;
    assert!(authenticator.authenticate(&issuer.token(&json!({}))).await.is_ok());
    issuer.publish_keys(&[]);
    clock.advance(seconds(301));
    assert!(authenticator.authenticate(&issuer.token(&json!({}))).await.is_ok());
}

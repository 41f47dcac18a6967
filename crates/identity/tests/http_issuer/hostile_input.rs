//! Whatever comes as a bearer token, the answer is a refusal and never a panic. And the issuer in memory.

use crate::issuer::{AUDIENCE, NOW, RSA, TestClock, base64url, header, signed, unsigned};
use domain::Issuer;
use identity::{Algorithm, AuthError, Authenticator, IssuerConfig, fetch::MemoryFetch};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;

const ISSUER: &str = "https://dev.daypass.example";

fn in_memory() -> Authenticator {
    let issuer = Issuer::new(ISSUER).unwrap();
    let fetch = MemoryFetch::new();
    fetch.put_issuer(&issuer, &json!({ "keys": [RSA.jwk("k1")] }));
    let config = IssuerConfig::new(issuer, [AUDIENCE.to_owned()], [Algorithm::Rs256]);
    Authenticator::with_fetch(vec![config], TestClock::new(), Arc::new(fetch)).unwrap()
}

fn answer(authenticator: &Authenticator, bearer: &str) -> Result<identity::Caller, AuthError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(authenticator.authenticate(bearer))
}

#[test]
fn an_issuer_can_live_in_memory() {
    let claims = json!({ "iss": ISSUER, "sub": "ada", "aud": AUDIENCE, "exp": NOW + 60 });
    assert!(answer(&in_memory(), &signed(&RSA, &header("k1"), &claims)).is_ok());
}

#[test]
fn tokens_that_are_too_long_are_refused_unread() {
    assert_eq!(answer(&in_memory(), &"a".repeat(16 * 1024 + 1)), Err(AuthError::TooLong));
    assert_eq!(answer(&in_memory(), &"a".repeat(16 * 1024)), Err(AuthError::Malformed));
}

#[test]
fn deeply_nested_json_is_refused() {
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    let token = format!("{}.{}.AA", base64url(br#"{"alg":"RS256"}"#), base64url(deep.as_bytes()));
    assert_eq!(answer(&in_memory(), &token), Err(AuthError::Malformed));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(json!(ISSUER)),
        Just(json!(AUDIENCE)),
        Just(json!(NOW + 60)),
        Just(json!("RS256")),
        Just(json!("k1")),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(".{0,6}", inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

fn any_object(names: &'static [&'static str]) -> impl Strategy<Value = Value> {
    prop::collection::btree_map(prop::sample::select(names), any_json(), 0..8).prop_map(|map| json!(map))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn invariant_random_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let authenticator = in_memory();
        prop_assert!(answer(&authenticator, &String::from_utf8_lossy(&bytes)).is_err());
        let parts: Vec<_> = bytes.split(|byte| byte % 16 == 0).map(base64url).collect();
        prop_assert!(answer(&authenticator, &parts.join(".")).is_err());
    }

    #[test]
    fn invariant_random_json_unsigned_is_refused(
        header in any_object(&["alg", "kid", "typ", "crit", "jku", "jwk"]),
        claims in any_object(&["iss", "sub", "aud", "exp", "nbf", "iat", "azp"]),
    ) {
        let token = format!("{}.AAAA", unsigned(&header, &claims));
        prop_assert!(answer(&in_memory(), &token).is_err());
    }

    #[test]
    fn invariant_random_claims_well_signed_never_panic(
        claims in any_object(&["sub", "aud", "exp", "nbf", "iat", "azp", "client_id", "acr", "auth_time", "typ"]),
    ) {
        let mut claims = claims;
        claims["iss"] = json!(ISSUER);
        if let Ok(caller) = answer(&in_memory(), &signed(&RSA, &header("k1"), &claims)) {
            prop_assert!(caller.expires_at.as_second() > NOW - 30);
            prop_assert_eq!(caller.actor.person.issuer.as_str(), ISSUER);
        }
    }
}

//! Detached signatures of messages.

use crate::issuer::{EC, ED, Key, OTHER_RSA, RSA, base64url, detached};
use identity::{Algorithm, MessageKeys, SignatureError};
use serde_json::{Value, json};

const MESSAGE: &[u8] = br#"{"id":"1","type":"person.left"}"#;

fn keys_of(key: &Key, algorithm: Algorithm) -> MessageKeys {
    let set = json!({ "keys": [key.jwk("k1")] }).to_string();
    MessageKeys::parse(set.as_bytes(), algorithm).unwrap()
}

fn header(algorithm: &str) -> Value {
    json!({ "alg": algorithm, "kid": "k1" })
}

#[test]
fn the_senders_signature_of_the_message_is_accepted() {
    for (key, algorithm) in [
        (&*RSA, Algorithm::Rs256),
        (&*RSA, Algorithm::Ps256),
        (&*EC, Algorithm::Es256),
        (&*ED, Algorithm::EdDsa),
    ] {
        let jws = detached(key, &header(algorithm.as_str()), MESSAGE);
        assert_eq!(keys_of(key, algorithm).verify(&jws, MESSAGE), Ok(()), "{algorithm:?}");
    }
}

#[test]
fn nothing_else_is() {
    let keys = keys_of(&RSA, Algorithm::Rs256);
    let good = detached(&RSA, &header("RS256"), MESSAGE);
    assert_eq!(keys.verify(&good, b"another message"), Err(SignatureError::Wrong));
    let other_key = detached(&OTHER_RSA, &header("RS256"), MESSAGE);
    assert_eq!(keys.verify(&other_key, MESSAGE), Err(SignatureError::Wrong));
    for algorithm in ["none", "HS256", "PS256", "ES256", "rs256"] {
        let jws = detached(&RSA, &header(algorithm), MESSAGE);
        assert_eq!(keys.verify(&jws, MESSAGE), Err(SignatureError::Algorithm), "{algorithm}");
    }
    let unsigned = format!("{}..", base64url(header("RS256").to_string().as_bytes()));
    assert_eq!(keys.verify(&unsigned, MESSAGE), Err(SignatureError::Wrong));
    let unnamed = detached(&RSA, &json!({ "alg": "RS256" }), MESSAGE);
    assert_eq!(keys.verify(&unnamed, MESSAGE), Err(SignatureError::KeyNotNamed));
    let unknown = detached(&RSA, &json!({ "alg": "RS256", "kid": "k2" }), MESSAGE);
    assert_eq!(keys.verify(&unknown, MESSAGE), Err(SignatureError::KeyUnknown));
    let critical =
        detached(&RSA, &json!({ "alg": "RS256", "kid": "k1", "crit": ["b64"], "b64": false }), MESSAGE);
    assert_eq!(keys.verify(&critical, MESSAGE), Err(SignatureError::Critical));
    // A key that comes along is nobody's.
    let brought = json!({ "alg": "RS256", "kid": "k1", "jwk": OTHER_RSA.jwk("k1") });
    assert_eq!(keys.verify(&detached(&OTHER_RSA, &brought, MESSAGE), MESSAGE), Err(SignatureError::Wrong));
    let attached = good.replacen("..", &format!(".{}.", base64url(MESSAGE)), 1);
    for malformed in ["", "..", "a.b", &attached, &format!("!!..{good}"), &"a".repeat(10_000)] {
        assert_eq!(keys.verify(malformed, MESSAGE), Err(SignatureError::Malformed), "{malformed}");
    }
}

#[test]
fn keys_that_serve_another_algorithm_are_none() {
    let set = json!({ "keys": [EC.jwk("k1")] }).to_string();
    assert!(MessageKeys::parse(set.as_bytes(), Algorithm::Rs256).is_err());
    assert!(MessageKeys::parse(b"not json", Algorithm::Rs256).is_err());
}

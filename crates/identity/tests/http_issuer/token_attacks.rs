//! Attacks by what a token says, each by its name.

use crate::issuer::{
    AUDIENCE, NOW, OTHER_RSA, RSA, base64url, header, seconds, setup, signed, unsigned, with,
};
use aws_lc_rs::hmac;
use identity::{AccessTokenType, Algorithm, AuthError};
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt::Write as _;

#[tokio::test]
async fn a_good_token_is_accepted() {
    let (issuer, _, authenticator) = setup(|_| {}).await;
    let caller = authenticator.authenticate(&issuer.token(&json!({}))).await.unwrap();
    assert_eq!(caller.actor.person.subject.as_str(), "ada");
    assert_eq!(caller.actor.person.issuer.as_str(), issuer.url());
}

#[tokio::test]
async fn alg_none() {
    let (issuer, _, authenticator) = setup(|_| {}).await;
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let message = unsigned(&with(header("k1"), &json!({ "alg": alg })), &issuer.claims());
        for token in [format!("{message}."), format!("{message}.{}", base64url(b"x"))] {
            assert_eq!(authenticator.authenticate(&token).await, Err(AuthError::AlgorithmRefused));
        }
    }
    let message = unsigned(&header("k1"), &issuer.claims());
    assert_eq!(authenticator.authenticate(&format!("{message}.")).await, Err(AuthError::BadSignature));
}

#[tokio::test]
async fn hs256_signed_with_the_rsa_public_key() {
    let (issuer, _, authenticator) = setup(|_| {}).await;
    let der = RSA.public_der();
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        base64::Engine::encode(&base64::prelude::BASE64_STANDARD, &der)
    );
    for secret in [der, pem.into_bytes(), RSA.jwk("k1").to_string().into_bytes()] {
        for claimed in ["HS256", "RS256"] {
            let message = unsigned(&with(header("k1"), &json!({ "alg": claimed })), &issuer.claims());
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), message.as_bytes());
            let refused = authenticator
                .authenticate(&format!("{message}.{}", base64url(tag.as_ref())))
                .await
                .unwrap_err();
            assert!(matches!(refused, AuthError::AlgorithmRefused | AuthError::BadSignature));
        }
    }
}

#[tokio::test]
async fn unexpected_algorithm() {
    let (issuer, _, authenticator) = setup(|_| {}).await;
    for alg in ["PS256", "RS384"] {
        // Signed well, by the right key, but not the algorithm that the issuer is pinned to.
        let token = signed(&RSA, &with(header("k1"), &json!({ "alg": alg })), &issuer.claims());
        assert_eq!(authenticator.authenticate(&token).await, Err(AuthError::AlgorithmRefused));
    }
    let token = signed(&RSA, &with(header("k1"), &json!({ "alg": "rs256" })), &issuer.claims());
    assert_eq!(authenticator.authenticate(&token).await, Err(AuthError::AlgorithmRefused));
}

#[tokio::test]
async fn a_key_serves_no_algorithm_but_its_own() {
    let (issuer, _, authenticator) = setup(|config| {
        config.algorithms = [Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256].into();
    })
    .await;
    issuer.publish_keys(&[with(RSA.jwk("k1"), &json!({ "alg": "RS256" }))]);
    for alg in ["PS256", "ES256"] {
        let token = signed(&RSA, &with(header("k1"), &json!({ "alg": alg })), &issuer.claims());
        assert!(matches!(authenticator.authenticate(&token).await, Err(AuthError::UnknownKey { .. })));
    }
}

#[tokio::test]
async fn kid_as_path_or_url() {
    let (issuer, clock, authenticator) = setup(|_| {}).await;
    authenticator.authenticate(&issuer.token(&json!({}))).await.unwrap();
    let evil = format!("{}/evil", issuer.url());
    for kid in
        ["../../../../dev/null", "/etc/passwd", "file:///etc/passwd", "' OR '1'='1", "k1\u{0}", "K1", &evil]
    {
        clock.advance(seconds(60));
        let token = signed(&OTHER_RSA, &header(kid), &issuer.claims());
        assert_eq!(
            authenticator.authenticate(&token).await,
            Err(AuthError::UnknownKey { retry_after: None }),
            "{kid}"
        );
    }
    assert_eq!(issuer.asked("/evil").await, 0);
    assert_eq!(
        issuer.asked("/jwks").await + issuer.asked("/.well-known/openid-configuration").await,
        issuer.asked_at_all().await
    );
    for kid in [json!(""), json!("k".repeat(513)), json!(null)] {
        let token = signed(&RSA, &with(header("k1"), &json!({ "kid": kid })), &issuer.claims());
        assert_eq!(authenticator.authenticate(&token).await, Err(AuthError::KeyNotNamed));
    }
}

#[tokio::test]
async fn jku_x5u_and_jwk_headers() {
    let (issuer, _, authenticator) = setup(|_| {}).await;
    let evil = format!("{}/evil", issuer.url());
    for field in [
        json!({ "jku": evil }),
        json!({ "x5u": evil }),
        json!({ "jwk": OTHER_RSA.jwk("k1") }),
        json!({ "x5c": ["MIIB"] }),
    ] {
        let token = signed(&OTHER_RSA, &with(header("k1"), &field), &issuer.claims());
        assert_eq!(authenticator.authenticate(&token).await, Err(AuthError::BadSignature));
    }
    assert_eq!(issuer.asked("/evil").await, 0);
}

#[tokio::test]
async fn critical_extensions() {
    let (issuer, _, authenticator) = setup(|_| {}).await;
    let token =
        signed(&RSA, &with(header("k1"), &json!({ "crit": ["b64"], "b64": false })), &issuer.claims());
    assert_eq!(authenticator.authenticate(&token).await, Err(AuthError::CriticalHeader));
}

#[tokio::test]
async fn non_numeric_exp() {
    let (issuer, _, authenticator) = setup(|_| {}).await;
    for name in ["exp", "nbf", "iat", "auth_time"] {
        for value in [
            json!("2000003600"),
            json!(true),
            json!([NOW + 60]),
            json!({ "at": NOW }),
            json!(2_000_003_600.5),
            json!(1e300),
            json!(u64::MAX),
        ] {
            let token = issuer.token(&json!({ name: value }));
            assert_eq!(
                authenticator.authenticate(&token).await,
                Err(AuthError::BadClaim(name)),
                "{name} = {value}"
            );
        }
    }
    let missing = issuer.token(&json!({ "exp": null }));
    assert_eq!(authenticator.authenticate(&missing).await, Err(AuthError::BadClaim("exp")));
    let mut claims = issuer.claims();
    claims["exp"] = json!(null);
    assert_eq!(
        authenticator.authenticate(&signed(&RSA, &header("k1"), &claims)).await,
        Err(AuthError::BadClaim("exp"))
    );
}

#[tokio::test]
async fn wrong_aud() {
    let (issuer, _, authenticator) = setup(|_| {}).await;
    for aud in [json!("other"), json!(["other"]), json!([]), json!(format!("{AUDIENCE}/"))] {
        let token = issuer.token(&json!({ "aud": aud }));
        assert_eq!(authenticator.authenticate(&token).await, Err(AuthError::WrongAudience));
    }
    for aud in [json!(null), json!(1), json!([AUDIENCE, 1])] {
        let token = issuer.token(&json!({ "aud": aud }));
        assert_eq!(authenticator.authenticate(&token).await, Err(AuthError::BadClaim("aud")));
    }
    let token = issuer.token(&json!({ "aud": ["other", AUDIENCE] }));
    assert!(authenticator.authenticate(&token).await.is_ok());
}

#[tokio::test]
async fn wrong_iss() {
    let (issuer, _, authenticator) = setup(|_| {}).await;
    for iss in [
        json!("https://evil.example"),
        json!(format!("{}/", issuer.url())),
        json!(issuer.url().to_uppercase()),
        json!([issuer.url()]),
        json!(null),
    ] {
        let token = issuer.token(&json!({ "iss": iss }));
        assert_eq!(authenticator.authenticate(&token).await, Err(AuthError::UnknownIssuer));
    }
    assert_eq!(issuer.asked_at_all().await, 0, "nothing was asked for");
}

#[tokio::test]
async fn wrong_azp() {
    let (issuer, _, authenticator) =
        setup(|config| config.authorized_parties = BTreeSet::from(["cli".to_owned()])).await;
    for changes in [
        json!({ "client_id": "evil" }),
        json!({ "client_id": null }),
        json!({ "client_id": null, "azp": "evil" }),
        json!({ "client_id": "cli", "azp": "evil" }),
        json!({ "client_id": ["cli"] }),
        json!({ "client_id": "CLI" }),
    ] {
        assert_eq!(
            authenticator.authenticate(&issuer.token(&changes)).await,
            Err(AuthError::WrongParty),
            "{changes}"
        );
    }
    for changes in [json!({}), json!({ "client_id": null, "azp": "cli" }), json!({ "azp": "cli" })] {
        assert!(authenticator.authenticate(&issuer.token(&changes)).await.is_ok());
    }
}

#[tokio::test]
async fn nbf_in_the_future() {
    let (issuer, _, authenticator) = setup(|_| {}).await;
    for (changes, expected) in [
        (json!({ "nbf": NOW + 30 }), None),
        (json!({ "nbf": NOW + 31 }), Some(AuthError::NotYetValid)),
        (json!({ "iat": NOW + 30 }), None),
        (json!({ "iat": NOW + 31 }), Some(AuthError::IssuedInFuture)),
    ] {
        let answer = authenticator.authenticate(&issuer.token(&changes)).await;
        assert_eq!(answer.err(), expected, "{changes}");
    }
}

#[tokio::test]
async fn expired_beyond_skew() {
    let (issuer, clock, authenticator) = setup(|_| {}).await;
    for (exp, expected) in [
        (NOW - 29, None),
        (NOW - 30, Some(AuthError::Expired)),
        (NOW - 3_600, Some(AuthError::Expired)),
        (0, Some(AuthError::Expired)),
        (-1, Some(AuthError::Expired)),
    ] {
        let answer = authenticator.authenticate(&issuer.token(&json!({ "exp": exp }))).await;
        assert_eq!(answer.err(), expected, "{exp}");
    }
    // One that was accepted, and is remembered, expires none the less.
    let token = issuer.token(&json!({ "exp": NOW + 10 }));
    assert!(authenticator.authenticate(&token).await.is_ok());
    clock.advance(seconds(39));
    assert!(authenticator.authenticate(&token).await.is_ok());
    clock.advance(seconds(1));
    assert_eq!(authenticator.authenticate(&token).await, Err(AuthError::Expired));
}

#[tokio::test]
async fn id_token_where_an_access_token_is_due() {
    for policy in [AccessTokenType::AtJwt, AccessTokenType::Jwt] {
        let (issuer, _, authenticator) = setup(|config| {
            config.access_token_type = policy;
            config.audiences.insert("cli".to_owned()); // even if misconfigured to the client's own id
        })
        .await;
        let id_token = json!({ "aud": "cli", "azp": "cli", "client_id": null, "scope": null, "jti": null });
        let jwt = with(header("k1"), &json!({ "typ": "JWT" }));
        for (header, changes) in [
            (jwt.clone(), id_token.clone()),
            (with(header("k1"), &json!({ "typ": null })), id_token.clone()),
            (with(header("k1"), &json!({ "typ": "logout+jwt" })), json!({})),
            (with(header("k1"), &json!({ "typ": "dpop+jwt" })), json!({})),
            (jwt.clone(), json!({ "scope": null, "client_id": null })),
            (jwt.clone(), json!({ "aud": ["cli", AUDIENCE], "azp": "cli" })),
            (jwt.clone(), json!({ "typ": "ID" })),
            (header("k1"), json!({ "nonce": "n" })),
            (header("k1"), json!({ "at_hash": "h" })),
            (header("k1"), json!({ "c_hash": "h" })),
            (header("k1"), json!({ "s_hash": "h" })),
        ] {
            let token = signed(&RSA, &header, &with(issuer.claims(), &changes));
            assert!(
                matches!(authenticator.authenticate(&token).await, Err(AuthError::NotAnAccessToken(_))),
                "{policy:?} {header} {changes}"
            );
        }
    }
}

#[tokio::test]
async fn access_tokens_that_are_called_jwt_are_accepted_where_configured() {
    let (issuer, _, strict) = setup(|_| {}).await;
    let (lax_issuer, _, lax) = setup(|config| config.access_token_type = AccessTokenType::Jwt).await;
    for (typ, strictly) in [
        (json!("at+jwt"), true),
        (json!("AT+JWT"), true),
        (json!("application/at+jwt"), true),
        (json!("JWT"), false),
        (json!(null), false),
    ] {
        let header = with(header("k1"), &json!({ "typ": typ }));
        let answer = strict.authenticate(&signed(&RSA, &header, &issuer.claims())).await;
        assert_eq!(answer.is_ok(), strictly, "{typ}");
        let answer = lax.authenticate(&signed(&RSA, &header, &lax_issuer.claims())).await;
        assert!(answer.is_ok(), "{typ}");
    }
}

/// As Dex makes them: `at_hash`, the client among the audiences, no claim of an access token.
#[tokio::test]
async fn tokens_of_an_issuer_whose_access_tokens_are_id_tokens() {
    let (issuer, _, authenticator) = setup(|config| {
        config.access_token_type = AccessTokenType::IdToken;
        config.authorized_parties.insert("cli".to_owned());
    })
    .await;
    let dex = json!({
        "aud": [AUDIENCE, "cli"], "azp": "cli", "client_id": null, "scope": null, "jti": null, "at_hash": "h", "nonce": "n",
    });
    let of_dex = |typ: serde_json::Value, changes: &serde_json::Value| {
        let header = with(header("k1"), &json!({ "typ": typ }));
        signed(&RSA, &header, &with(with(issuer.claims(), &dex), changes))
    };
    for typ in [json!(null), json!("JWT"), json!("at+jwt")] {
        let answer = authenticator.authenticate(&of_dex(typ.clone(), &json!({}))).await;
        assert!(answer.is_ok(), "{typ}: {answer:?}");
    }
    for (typ, changes, expected) in [
        // For the client alone, or for Daypass by a client that may not, or by nobody who says so.
        (json!(null), json!({ "aud": "cli" }), AuthError::WrongAudience),
        (json!(null), json!({ "azp": "other" }), AuthError::WrongParty),
        (json!(null), json!({ "azp": null }), AuthError::WrongParty),
        (json!("logout+jwt"), json!({}), AuthError::NotAnAccessToken("its typ is neither at+jwt nor JWT")),
    ] {
        let answer = authenticator.authenticate(&of_dex(typ, &changes)).await;
        assert_eq!(answer, Err(expected), "{changes}");
    }
    // What makes that safe cannot be left out.
    let mut config = issuer.config();
    config.access_token_type = AccessTokenType::IdToken;
    assert_eq!(config.validate().unwrap_err()[0].field, "authorized_parties");
    config.authorized_parties.insert("cli".to_owned());
    assert_eq!(config.validate(), Ok(()));
    config.audiences.insert("cli".to_owned());
    assert_eq!(config.validate().unwrap_err()[0].field, "audiences");
}

#[tokio::test]
async fn another_keys_signature_and_changed_tokens() {
    let (issuer, _, authenticator) = setup(|_| {}).await;
    let good = issuer.token(&json!({}));
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (head, _) = message.split_once('.').unwrap();
    let other_claims = base64url(with(issuer.claims(), &json!({ "sub": "root" })).to_string().as_bytes());
    for token in [
        signed(&OTHER_RSA, &header("k1"), &issuer.claims()),
        format!("{head}.{other_claims}.{signature}"),
        format!("{message}.{}", &signature[..signature.len() - 4]),
    ] {
        assert_eq!(authenticator.authenticate(&token).await, Err(AuthError::BadSignature));
    }
}

#[tokio::test]
async fn no_token_text_in_any_error_or_debug() {
    let canary = "c4n4ry";
    let (issuer, _, authenticator) = setup(|_| {}).await;
    let good = issuer.token(&json!({ "sub": canary, "email": canary, "acr": canary }));
    let caller = authenticator.authenticate(&good).await.unwrap();
    let mut seen = format!("{caller:?} {authenticator:?}");
    for token in [
        canary.to_owned(),
        format!("{canary}.{canary}.{canary}"),
        signed(&RSA, &with(header(canary), &json!({ "typ": canary })), &issuer.claims()),
        signed(&RSA, &with(header("k1"), &json!({ "alg": canary })), &issuer.claims()),
        signed(&RSA, &with(header("k1"), &json!({ "typ": canary })), &issuer.claims()),
        issuer.token(&json!({ "iss": canary })),
        issuer.token(&json!({ "aud": canary })),
        issuer.token(&json!({ "exp": canary })),
        issuer.token(&json!({ "sub": format!("{canary}\n") })),
        issuer.token(&json!({ "client_id": [canary] })),
        signed(&OTHER_RSA, &header("k1"), &with(issuer.claims(), &json!({ "sub": canary }))),
    ] {
        let error = authenticator.authenticate(&token).await.unwrap_err();
        let _ = write!(seen, "{error} {error:?} {}", error.reason());
        assert!(!seen.contains(&token));
    }
    assert!(!seen.contains(canary), "{seen}");
}

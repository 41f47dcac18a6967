//! What is made of good tokens.

use crate::issuer::{
    EC, ED, NOW, OTHER_RSA, RSA, TestClock, TestIssuer, authenticator, header, setup, signed, with,
};
use domain::{ActorKind, GroupRef, GroupSource, Groups, Timestamp};
use identity::{Algorithm, AuthError, ClaimIs, DirectoryClaim, DirectoryId, GroupClaim};
use serde_json::{Value, json};

fn group_claim(source: &str, claim: &str) -> GroupClaim {
    GroupClaim { source: GroupSource::new(source).unwrap(), claim: claim.to_owned() }
}

fn groups(source: &str, names: &[&str]) -> Groups {
    let refs = names.iter().map(|name| GroupRef::new(source, name).unwrap());
    Groups::Known(refs.collect())
}

#[tokio::test]
async fn every_pinned_algorithm_verifies() {
    let (issuer, _, authenticator) = setup(|config| {
        config.algorithms =
            [Algorithm::Rs256, Algorithm::Rs384, Algorithm::Ps256, Algorithm::Es256, Algorithm::EdDsa].into();
    })
    .await;
    issuer.publish_keys(&[RSA.jwk("rsa"), EC.jwk("ec"), ED.jwk("ed")]);
    for (alg, key, kid) in [
        ("RS256", &*RSA, "rsa"),
        ("RS384", &*RSA, "rsa"),
        ("PS256", &*RSA, "rsa"),
        ("ES256", &*EC, "ec"),
        ("EdDSA", &*ED, "ed"),
    ] {
        let token = signed(key, &with(header(kid), &json!({ "alg": alg })), &issuer.claims());
        assert!(authenticator.authenticate(&token).await.is_ok(), "{alg}");
    }
}

#[tokio::test]
async fn the_actor_is_what_the_token_says() {
    let (issuer, _, authenticator) = setup(|config| config.directory_claim = "oid".to_owned()).await;
    let token =
        issuer.token(&json!({ "auth_time": NOW - 5, "acr": "mfa", "oid": "7f", "email": "ada@example.com" }));
    let caller = authenticator.authenticate(&token).await.unwrap();
    assert_eq!(caller.actor.kind, ActorKind::Human);
    assert_eq!(caller.actor.client_id.as_deref(), Some("cli"));
    assert_eq!(caller.actor.auth_time, Timestamp::from_second(NOW - 5).ok());
    assert_eq!(caller.actor.acr.as_deref(), Some("mfa"));
    assert_eq!(caller.directory_id, Some(DirectoryId::External("7f".to_owned())));
    assert_eq!(caller.expires_at, Timestamp::from_second(NOW + 3_600).unwrap());
    assert_eq!(caller.groups, None);
    // Remembered or not, it is the same caller.
    assert_eq!(authenticator.authenticate(&token).await.unwrap(), caller);
}

#[tokio::test]
async fn only_an_issuer_that_is_trusted_with_every_user_names_them_by_their_own_ids() {
    let (issuer, _, authenticator) = setup(|config| config.directory_claim_is = DirectoryClaim::UserId).await;
    let caller = authenticator.authenticate(&issuer.token(&json!({ "sub": "7f" }))).await.unwrap();
    assert_eq!(caller.directory_id, Some(DirectoryId::User("7f".to_owned())));
}

#[tokio::test]
async fn a_directory_id_that_is_missing_or_no_text_is_none() {
    let (issuer, _, authenticator) = setup(|config| config.directory_claim = "oid".to_owned()).await;
    for oid in [json!(null), json!(7), json!(["7f"]), json!(""), json!("7\n")] {
        let caller = authenticator.authenticate(&issuer.token(&json!({ "oid": oid }))).await.unwrap();
        assert_eq!(caller.directory_id, None, "{oid}");
    }
}

#[tokio::test]
async fn subjects_that_are_no_names_are_refused() {
    let (issuer, _, authenticator) = setup(|_| {}).await;
    for sub in [json!(null), json!(""), json!(7), json!("a\u{1b}[31m"), json!("x".repeat(256))] {
        assert_eq!(
            authenticator.authenticate(&issuer.token(&json!({ "sub": sub }))).await,
            Err(AuthError::BadClaim("sub"))
        );
    }
}

#[tokio::test]
async fn client_credentials_are_a_workloads() {
    let (issuer, _, authenticator) = setup(|_| {}).await;
    for (changes, kind) in [
        (json!({ "sub": "cli" }), ActorKind::Workload),
        (json!({ "sub": "cli", "client_id": null, "azp": "cli" }), ActorKind::Workload),
        (json!({ "sub": "ada", "auth_time": NOW - 5 }), ActorKind::Human),
    ] {
        let caller = authenticator.authenticate(&issuer.token(&changes)).await.unwrap();
        assert_eq!(caller.actor.kind, kind, "{changes}");
    }
}

async fn kind_of(changes: Value) -> ActorKind {
    let (issuer, _, authenticator) = setup(|_| {}).await;
    authenticator.authenticate(&issuer.token(&changes)).await.unwrap().actor.kind
}

#[tokio::test]
async fn keycloak_service_account_is_a_workload() {
    let token = json!({
        "sub": "8f1c2a54-1b1e-4c1e-9f0a-3a7d2f6f5b10", "client_id": null, "azp": "ci", "acr": "1", "sid": "5e",
        "typ": "Bearer", "scope": "profile email", "preferred_username": "service-account-ci",
    });
    assert_eq!(kind_of(token.clone()).await, ActorKind::Workload);
    // Nor if its user name is left out, or a mapper adds the time.
    assert_eq!(
        kind_of(with(token.clone(), &json!({ "preferred_username": null }))).await,
        ActorKind::Workload
    );
    assert_eq!(kind_of(with(token, &json!({ "auth_time": NOW - 5 }))).await, ActorKind::Workload);
}

#[tokio::test]
async fn a_token_that_proves_a_sign_in_is_a_humans() {
    for proof in [json!({ "auth_time": NOW - 5 }), json!({ "amr": ["pwd", "mfa"] })] {
        assert_eq!(kind_of(proof.clone()).await, ActorKind::Human, "{proof}");
    }
}

#[tokio::test]
async fn a_token_that_proves_no_sign_in_is_a_workloads() {
    for none in [
        json!({}),
        json!({ "acr": "1" }),
        json!({ "sid": "5e" }),
        json!({ "azpacr": "1" }),
        json!({ "amr": [] }),
        json!({ "amr": [""] }),
        json!({ "amr": [7] }),
        json!({ "amr": "pwd" }),
    ] {
        let none = with(json!({ "auth_time": null }), &none);
        assert_eq!(kind_of(none.clone()).await, ActorKind::Workload, "{none}");
    }
}

#[tokio::test]
async fn entra_app_token_is_a_workload() {
    assert_eq!(kind_of(json!({ "auth_time": NOW - 5, "idtyp": "app" })).await, ActorKind::Workload);
    assert_eq!(kind_of(json!({ "auth_time": NOW - 5, "idtyp": "user" })).await, ActorKind::Human);
}

#[tokio::test]
async fn auth0_client_credentials_token_is_a_workload() {
    for mark in [
        json!({ "gty": "client-credentials" }),
        json!({ "gty": "client_credentials" }),
        json!({ "sub": "x@clients" }),
    ] {
        let token = with(json!({ "auth_time": NOW - 5 }), &mark);
        assert_eq!(kind_of(token).await, ActorKind::Workload, "{mark}");
    }
}

#[tokio::test]
async fn a_service_accounts_user_name_is_a_workloads() {
    for name in ["preferred_username", "username"] {
        let token = json!({ "auth_time": NOW - 5, name: "service-account-ci" });
        assert_eq!(kind_of(token).await, ActorKind::Workload, "{name}");
    }
}

#[tokio::test]
async fn okta_token_whose_subject_is_its_client_is_a_workload() {
    for name in ["cid", "appid"] {
        let token = json!({ "auth_time": NOW - 5, "sub": "0oa1", name: "0oa1" });
        assert_eq!(kind_of(token).await, ActorKind::Workload, "{name}");
    }
}

#[tokio::test]
async fn a_claim_can_tell_workloads_and_humans() {
    let (issuer, _, authenticator) = setup(|config| {
        config.workloads.claim =
            Some(ClaimIs { claim: "idtyp".to_owned(), values: ["app".to_owned()].into() });
        config.humans = Some(ClaimIs { claim: "/realm/amr".to_owned(), values: ["mfa".to_owned()].into() });
    })
    .await;
    let human = json!({ "amr": ["pwd", "mfa"] });
    for (changes, expected) in [
        (json!({ "idtyp": "app" }), Ok(ActorKind::Workload)),
        (json!({ "idtyp": "app", "realm": human }), Ok(ActorKind::Workload)),
        (json!({ "realm": human }), Ok(ActorKind::Human)),
        (json!({ "idtyp": "apps" }), Err(AuthError::KindUnknown)),
        (json!({ "realm": { "amr": ["pwd"] } }), Err(AuthError::KindUnknown)),
        (json!({}), Err(AuthError::KindUnknown)),
    ] {
        let answer = authenticator.authenticate(&issuer.token(&changes)).await;
        assert_eq!(answer.map(|caller| caller.actor.kind), expected, "{changes}");
    }
}

#[tokio::test]
async fn groups_are_known_only_if_the_claim_is_whole() {
    let (issuer, _, authenticator) =
        setup(|config| config.groups = Some(group_claim("corp", "groups"))).await;
    let groups_of = async |changes: Value| {
        let token = issuer.token(&changes);
        authenticator.authenticate(&token).await.unwrap().groups
    };
    assert_eq!(groups_of(json!({ "groups": ["b", "a", "a"] })).await, Some(groups("corp", &["a", "b"])));
    assert_eq!(groups_of(json!({ "groups": [] })).await, Some(groups("corp", &[])));
    for changes in [
        json!({}),
        json!({ "groups": null, "hasgroups": true }),
        json!({ "groups": ["a"], "hasgroups": "true" }),
        json!({ "groups": ["a"], "_claim_names": { "groups": "src1" } }),
        json!({ "_claim_names": { "groups": "src1" }, "_claim_sources": { "src1": { "endpoint": "https://x" } } }),
        json!({ "groups:src1": "https://graph.example" }),
        json!({ "groups": "a" }),
        json!({ "groups": { "a": true } }),
        json!({ "groups": ["a", 1] }),
        json!({ "groups": ["a", ""] }),
        json!({ "groups": ["a\n"] }),
    ] {
        assert!(matches!(groups_of(changes.clone()).await, Some(Groups::Unknown(_))), "{changes}");
    }
    assert_eq!(
        groups_of(json!({ "groups": ["a"], "hasgroups": false, "_claim_names": { "roles": "src1" } })).await,
        Some(groups("corp", &["a"]))
    );
}

#[tokio::test]
async fn groups_can_be_inside_another_claim() {
    let (issuer, _, authenticator) =
        setup(|config| config.groups = Some(group_claim("realm", "/realm_access/roles"))).await;
    let token = issuer.token(&json!({ "realm_access": { "roles": ["admins"] } }));
    let caller = authenticator.authenticate(&token).await.unwrap();
    assert_eq!(caller.groups, Some(groups("realm", &["admins"])));
}

#[tokio::test]
async fn two_issuers_with_the_same_group_names_never_mix() {
    let (house, guests) = (TestIssuer::start().await, TestIssuer::start().await);
    guests.publish_keys(&[OTHER_RSA.jwk("k1")]);
    let mut house_config = house.config();
    house_config.groups = Some(group_claim("house", "groups"));
    let mut guests_config = guests.config();
    guests_config.groups = Some(group_claim("guests", "groups"));
    let authenticator = authenticator(vec![house_config, guests_config], &TestClock::new());
    let claims = |issuer: &TestIssuer| with(issuer.claims(), &json!({ "groups": ["admins"] }));
    let ours = authenticator.authenticate(&signed(&RSA, &header("k1"), &claims(&house))).await.unwrap();
    let theirs =
        authenticator.authenticate(&signed(&OTHER_RSA, &header("k1"), &claims(&guests))).await.unwrap();
    assert_eq!(ours.groups, Some(groups("house", &["admins"])));
    assert_eq!(theirs.groups, Some(groups("guests", &["admins"])));
    assert_ne!(ours.actor.person.id(), theirs.actor.person.id());
    // Nor does the one's key vouch for the other's people.
    assert_eq!(
        authenticator.authenticate(&signed(&OTHER_RSA, &header("k1"), &claims(&house))).await,
        Err(AuthError::BadSignature)
    );
}

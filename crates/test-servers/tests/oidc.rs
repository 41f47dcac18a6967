//! Tokens of a real login are what `identity` takes them for.
#![expect(clippy::unwrap_used, reason = "tests")]

use domain::ports::Clock;
use domain::{ActorKind, GroupRef, Groups, Timestamp};
use identity::{AuthError, Authenticator, DirectoryId, IssuerConfig};
use std::sync::Arc;
use test_servers::oidc::{CLIENT, OidcOptions, OidcProvider, OldKeys, SigningAlgorithm};

struct WallClock;

impl Clock for WallClock {
    #[expect(clippy::disallowed_methods, reason = "the port's implementation")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

#[derive(serde::Deserialize)]
struct Config {
    issuers: Vec<IssuerConfig>,
}

fn authenticator(provider: &OidcProvider) -> Authenticator {
    let config: Config = toml::from_str(&provider.issuer_toml()).unwrap();
    Authenticator::new(config.issuers, Arc::new(WallClock)).unwrap()
}

#[tokio::test]
async fn a_person_who_signs_in_is_recognised() {
    let provider = OidcProvider::start(OidcOptions {
        directory_ids: [("ada".to_owned(), "user-1".to_owned())].into(),
        ..OidcOptions::default()
    })
    .await
    .unwrap();
    let authenticator = authenticator(&provider);
    let tokens = provider.sign_in("ada").await.unwrap();
    let ada = authenticator.authenticate(&tokens.access_token).await.unwrap();
    assert_eq!(ada.actor.person.issuer.as_str(), provider.issuer());
    assert_eq!(ada.actor.person.subject.as_str(), "ada");
    assert_eq!(ada.actor.kind, ActorKind::Human);
    assert_eq!(ada.actor.client_id.as_deref(), Some(CLIENT));
    assert!(ada.actor.auth_time.is_some());
    assert_eq!(ada.groups, Some(Groups::Known([GroupRef::new("idp", "developers").unwrap()].into())));
    assert_eq!(ada.directory_id, Some(DirectoryId::User("user-1".to_owned())));
    let id_token = authenticator.authenticate(&tokens.id_token).await;
    assert!(id_token.is_err(), "an ID token is no access token");

    let mallory = provider.sign_in("mallory").await.unwrap();
    let mallory = authenticator.authenticate(&mallory.access_token).await.unwrap();
    assert_eq!(mallory.groups, Some(Groups::Known([].into())));
    assert_eq!(mallory.directory_id, None);
}

#[tokio::test]
async fn only_those_who_know_the_secret_get_a_token() {
    let provider = OidcProvider::start(OidcOptions::default()).await.unwrap();
    let wrong = provider.sign_in_with("ada", "guess").await.unwrap_err();
    assert!(wrong.to_string().contains("401"), "{wrong}");
    assert!(provider.sign_in("nobody").await.is_err());
    assert!(provider.client_credentials("somebody-else").await.is_err());
}

#[tokio::test]
async fn a_program_with_credentials_is_a_workload() {
    let options = OidcOptions { algorithm: SigningAlgorithm::Es256, ..OidcOptions::default() };
    let provider = OidcProvider::start(options).await.unwrap();
    let token = provider.client_credentials("ci-bot").await.unwrap();
    let bot = authenticator(&provider).authenticate(&token).await.unwrap();
    assert_eq!(bot.actor.person.subject.as_str(), "ci-bot");
    assert_eq!(bot.actor.kind, ActorKind::Workload);
}

#[tokio::test]
async fn keys_rotate_with_and_without_the_old_ones() {
    let provider = OidcProvider::start(OidcOptions::default()).await.unwrap();
    let before = provider.sign_in("bob").await.unwrap().access_token;
    provider.rotate_keys(OldKeys::Kept).await.unwrap();
    let after = provider.sign_in("bob").await.unwrap().access_token;
    let both = authenticator(&provider);
    both.authenticate(&before).await.unwrap();
    both.authenticate(&after).await.unwrap();
    provider.rotate_keys(OldKeys::Retired).await.unwrap();
    let refused = authenticator(&provider).authenticate(&after).await.unwrap_err();
    assert!(matches!(refused, AuthError::UnknownKey { .. }), "{refused:?}");
}

//! The flows that end with tokens: authorization code with PKCE for people, client credentials for programs.

use super::browser::{Arrived, Browser, client};
use super::{AUDIENCE, CLIENT, REDIRECT, SCOPE};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use reqwest::{RequestBuilder, Url};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::io::Read;

/// What a sign-in ends with. Debug shows none of it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct Tokens {
    /// For Daypass.
    pub access_token: String,
    /// For the client itself; Daypass must refuse it.
    pub id_token: String,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

/// No tokens.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The provider did not answer.
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    /// No randomness for PKCE.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The provider said no, or something that a login does not contain.
    #[error("{what}: {detail}")]
    Unexpected {
        /// What came.
        what: String,
        /// As it came.
        detail: String,
    },
}

impl SignInError {
    pub(super) fn unexpected(what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Unexpected { what: what.into(), detail: detail.into() }
    }
}

/// RFC 8252, RFC 7636, RFC 8707: a native client, PKCE, a token for one resource.
pub(super) async fn person(issuer: &str, name: &str, password: &str) -> Result<Tokens, SignInError> {
    let verifier = random_text()?;
    let state = random_text()?;
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier));
    let scope = format!("openid {SCOPE}");
    let asked = [
        ("response_type", "code"),
        ("client_id", CLIENT),
        ("redirect_uri", REDIRECT),
        ("scope", &scope),
        ("resource", AUDIENCE),
        ("state", &state),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    let url = Url::parse_with_params(&format!("{issuer}/auth"), asked)
        .map_err(|error| SignInError::unexpected("an issuer that is no URL", error.to_string()))?;

    let mut browser = Browser::new()?;
    let mut arrived = browser.open(url, REDIRECT).await?;
    let login = [("name", name), ("password", password)];
    let forms: [&[(&str, &str)]; 2] = [&login, &[("consent", "given")]];
    for form in forms {
        let Arrived::Page(page) = &arrived else { break };
        arrived = browser.submit(page, form, REDIRECT).await?;
    }
    let Arrived::Destination(back) = arrived else {
        return Err(SignInError::unexpected("one page too many", issuer));
    };
    let parameter = |wanted: &str| back.query_pairs().find(|(key, _)| key == wanted).map(|(_, value)| value);
    if parameter("state").as_deref() != Some(&state) || parameter("iss").as_deref() != Some(issuer) {
        return Err(SignInError::unexpected("the answer to another sign-in", back.path()));
    }
    let code = parameter("code").ok_or_else(|| {
        SignInError::unexpected("no code", parameter("error_description").unwrap_or_default())
    })?;
    let exchange = client()?.post(format!("{issuer}/token")).form(&[
        ("grant_type", "authorization_code"),
        ("client_id", CLIENT),
        ("redirect_uri", REDIRECT),
        ("resource", AUDIENCE),
        ("code", &code),
        ("code_verifier", &verifier),
    ]);
    answer(exchange).await
}

/// RFC 6749 §4.4.
pub(super) async fn workload(issuer: &str, name: &str, secret: &str) -> Result<String, SignInError> {
    #[derive(Deserialize)]
    struct Granted {
        access_token: String,
    }
    let form = [("grant_type", "client_credentials"), ("scope", SCOPE), ("resource", AUDIENCE)];
    let request = client()?.post(format!("{issuer}/token")).basic_auth(name, Some(secret)).form(&form);
    Ok(answer::<Granted>(request).await?.access_token)
}

/// Asks the test provider for a new key.
pub(super) async fn rotate(issuer: &str, retire: bool) -> Result<(), SignInError> {
    let request = client()?.post(format!("{issuer}/rotate?retire={retire}"));
    request.send().await?.error_for_status()?;
    Ok(())
}

async fn answer<T: serde::de::DeserializeOwned>(request: RequestBuilder) -> Result<T, SignInError> {
    let answer = request.send().await?;
    let status = answer.status();
    if status.is_success() {
        return Ok(answer.json().await?);
    }
    Err(SignInError::unexpected(format!("the token endpoint answers {status}"), answer.text().await?))
}

fn random_text() -> std::io::Result<String> {
    let mut bytes = [0_u8; 32];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

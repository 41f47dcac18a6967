//! Tokens for our own calls: OAuth's client-credentials grant (RFC 6749 §4.4).
//!
//! INVARIANT: no wall clock. How long a token lives is told from the moment when it was asked for, and a clock that was ahead then must
//! not have it kept beyond its end.

use crate::config::{ClientCredentials, Secret};
use serde::Deserialize;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Nobody waits longer for a token.
const FETCH_DURATION_MAX: Duration = Duration::from_secs(5);
/// A token is replaced so long before its end, or half of its life before, if that is less.
const RENEW_BEFORE: Duration = Duration::from_mins(1);
/// Taken for the life of a token when the issuer does not say: RFC 6749 §5.1 only recommends that it does.
const LIFE_DEFAULT: i64 = 60;
/// After a token that neighbours refuse was replaced, the next one is not for so long: if they refuse every token, the issuer is not asked
/// for one with every call.
const REPLACE_AGAIN: Duration = Duration::from_secs(10);
/// A token is a few KiB; more is not read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Why there is no token. Nothing of the answer is repeated.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The issuer could not be asked.
    #[error("the token endpoint cannot be reached: {0}")]
    Unreachable(reqwest::Error),
    /// The issuer said no.
    #[error("the token endpoint refused, with status {0}")]
    Refused(u16),
    /// Not the answer that RFC 6749 §5.1 describes.
    #[error("the token endpoint's answer is not one")]
    NotAnAnswer,
}

/// Gets tokens, and keeps one until shortly before its end.
pub struct TokenSource {
    config: ClientCredentials,
    secret: Secret,
    http: reqwest::Client,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    kept: Option<Kept>,
    /// When the last token was dropped that a neighbour had refused.
    dropped_at: Option<Instant>,
}

struct Kept {
    token: Secret,
    renew_at: Instant,
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    token_type: String,
    expires_in: Option<i64>,
}

impl TokenSource {
    /// A source of tokens for the client that `config` names.
    pub fn new(config: ClientCredentials, secret: Secret) -> Result<Self, TokenError> {
        let http = reqwest::Client::builder()
            .timeout(FETCH_DURATION_MAX)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| TokenError::Unreachable(error.without_url()))?;
        Ok(Self { config, secret, http, state: Mutex::default() })
    }

    /// A token that is good for a while. Callers that come while one is fetched wait for that one.
    pub async fn token(&self) -> Result<Secret, TokenError> {
        let mut state = self.state.lock().await;
        let asked_at = Instant::now();
        if let Some(kept) = state.kept.as_ref()
            && asked_at < kept.renew_at
        {
            return Ok(kept.token.clone());
        }
        let answer = self.fetch().await?;
        let life = answer.expires_in.unwrap_or(LIFE_DEFAULT);
        let life = Duration::from_secs(u64::try_from(life).unwrap_or(0));
        let early = RENEW_BEFORE.min(life / 2);
        let renew_at = asked_at.checked_add(life.saturating_sub(early)).ok_or(TokenError::NotAnAnswer)?;
        let token = Secret::new(answer.access_token);
        state.kept = Some(Kept { token: token.clone(), renew_at });
        Ok(token)
    }

    /// Drops `token`, which a neighbour has refused: its key was replaced, perhaps, or this machine was asleep. The next call fetches
    /// another, unless one was dropped just before.
    pub async fn refused(&self, token: &Secret) {
        let mut state = self.state.lock().await;
        let is_kept = state.kept.as_ref().is_some_and(|kept| kept.token.expose() == token.expose());
        if is_kept && state.dropped_at.is_none_or(|at| at.elapsed() >= REPLACE_AGAIN) {
            tracing::warn!(
                client_id = self.config.client_id,
                "a neighbour has refused our token: another is fetched"
            );
            (state.kept, state.dropped_at) = (None, Some(Instant::now()));
        }
    }

    async fn fetch(&self) -> Result<Answer, TokenError> {
        let mut form = vec![("grant_type", "client_credentials")];
        let optional = [
            ("scope", &self.config.scope),
            ("audience", &self.config.audience),
            ("resource", &self.config.resource),
        ];
        form.extend(optional.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))));
        let unreachable = |error: reqwest::Error| TokenError::Unreachable(error.without_url());
        let mut answer = self
            .http
            .post(&self.config.token_url)
            .basic_auth(&self.config.client_id, Some(self.secret.expose()))
            .form(&form)
            .send()
            .await
            .map_err(unreachable)?;
        if !answer.status().is_success() {
            return Err(TokenError::Refused(answer.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(TokenError::NotAnAnswer);
            }
            body.extend_from_slice(&chunk);
        }
        let answer: Answer = serde_json::from_slice(&body).map_err(|_| TokenError::NotAnAnswer)?;
        if answer.token_type.eq_ignore_ascii_case("bearer") && !answer.access_token.is_empty() {
            Ok(answer)
        } else {
            Err(TokenError::NotAnAnswer)
        }
    }
}

impl std::fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenSource").field("client_id", &self.config.client_id).finish_non_exhaustive()
    }
}

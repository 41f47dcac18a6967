//! From a bearer token to a caller.

use crate::fetch::{FetchError, HttpFetch, WebFetch};
use crate::keys::IssuerKeys;
use crate::token::Token;
use crate::verified::{TokenDigest, Verified, VerifiedTokens};
use crate::{AuthError, Caller, ConfigProblem, IssuerConfig, problems_of};
use domain::{Issuer, ports::SharedClock};
use std::sync::Arc;
use std::time::Duration;

/// How often [`Authenticator::keep_keys_fresh`] looks whether keys are due.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// Far above any real name of a key.
const KID_BYTES_MAX: usize = 512;

/// Recognises callers by the tokens of the configured issuers, and nobody else. Cheap to share behind an `Arc`.
pub struct Authenticator {
    issuers: Vec<TrustedIssuer>,
    clock: SharedClock,
    verified: VerifiedTokens,
    token_bytes_max: usize,
}

struct TrustedIssuer {
    config: Arc<IssuerConfig>,
    keys: IssuerKeys,
}

/// Why there is no authenticator.
#[derive(Debug, thiserror::Error)]
pub enum NewAuthenticatorError {
    /// All that is wrong with the configuration.
    #[error("the issuers are not configured well: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Config(Vec<ConfigProblem>),
    /// No HTTP client.
    #[error(transparent)]
    Fetch(#[from] FetchError),
}

impl Authenticator {
    /// An authenticator that asks issuers over the network. Nothing is asked before the first token, or
    /// [`Authenticator::keep_keys_fresh`].
    pub fn new(issuers: Vec<IssuerConfig>, clock: SharedClock) -> Result<Self, NewAuthenticatorError> {
        Self::with_fetch(issuers, clock, Arc::new(WebFetch::new()?))
    }

    /// An authenticator that asks issuers through `fetch`.
    #[expect(clippy::needless_pass_by_value, reason = "a shared port is handed over, as the clock is")]
    pub fn with_fetch(
        issuers: Vec<IssuerConfig>,
        clock: SharedClock,
        fetch: Arc<dyn HttpFetch>,
    ) -> Result<Self, NewAuthenticatorError> {
        let problems = problems_of(&issuers);
        if !problems.is_empty() {
            return Err(NewAuthenticatorError::Config(problems));
        }
        let token_bytes_max = issuers.iter().map(|issuer| issuer.token_bytes_max).max();
        let issuers = issuers
            .into_iter()
            .map(|config| {
                let config = Arc::new(config);
                let keys = IssuerKeys::new(Arc::clone(&config), Arc::clone(&clock), Arc::clone(&fetch));
                TrustedIssuer { config, keys }
            })
            .collect();
        Ok(Self {
            issuers,
            clock,
            verified: VerifiedTokens::default(),
            token_bytes_max: token_bytes_max.unwrap_or_default(),
        })
    }

    /// The caller that `bearer` proves: the token alone, without the word `Bearer`.
    pub async fn authenticate(&self, bearer: &str) -> Result<Caller, AuthError> {
        if bearer.len() > self.token_bytes_max {
            return Err(AuthError::TooLong);
        }
        let digest = TokenDigest::of(bearer);
        let now = self.clock.now();
        if let Some(verified) = self.verified.get(digest, now)
            && let Some(issuer) = self.issuers.get(verified.issuer)
            && issuer.keys.fresh_generation(now) == Some(verified.generation)
        {
            return Ok(verified.caller);
        }
        let verified = self.verify(bearer).await?;
        let caller = verified.caller.clone();
        self.verified.insert(digest, verified);
        Ok(caller)
    }

    /// Keeps every issuer's keys fresh, so that no caller waits for them. Never returns; run it beside the server.
    pub async fn keep_keys_fresh(&self) {
        loop {
            self.refresh_keys().await;
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    /// Loads the keys that are absent or soon due, once. Failures are logged, and show in [`Self::issuers_without_keys`].
    pub async fn refresh_keys(&self) {
        futures::future::join_all(self.issuers.iter().map(|issuer| issuer.keys.refresh_early())).await;
    }

    /// The issuers whose tokens are refused at the moment because their keys could not be had: for health and readiness.
    pub fn issuers_without_keys(&self) -> Vec<Issuer> {
        self.issuers
            .iter()
            .filter(|issuer| !issuer.keys.are_available())
            .map(|issuer| issuer.config.issuer.clone())
            .collect()
    }

    async fn verify(&self, bearer: &str) -> Result<Verified, AuthError> {
        let token = Token::parse(bearer)?;
        let (index, issuer) = self.issuer_of(&token)?;
        if bearer.len() > issuer.config.token_bytes_max {
            return Err(AuthError::TooLong);
        }
        if token.header.crit.is_some() {
            return Err(AuthError::CriticalHeader);
        }
        let algorithm = issuer
            .config
            .algorithms
            .iter()
            .find(|algorithm| algorithm.as_str() == token.header.alg)
            .copied()
            .ok_or(AuthError::AlgorithmRefused)?;
        let kid = token
            .header
            .kid
            .as_deref()
            .filter(|kid| (1..=KID_BYTES_MAX).contains(&kid.len()))
            .ok_or(AuthError::KeyNotNamed)?;
        let keys = issuer.keys.holding(kid, algorithm).await?;
        let key = keys.set.find(kid, algorithm).ok_or(AuthError::UnknownKey { retry_after: None })?;
        let holds =
            jsonwebtoken::crypto::verify(token.signature, token.signed, key, algorithm.implementation());
        if !matches!(holds, Ok(true)) {
            return Err(AuthError::BadSignature);
        }
        let now = self.clock.now();
        let caller = token.claims.caller(token.header.typ.as_deref(), &issuer.config, now)?;
        Ok(Verified { caller, issuer: index, generation: keys.generation, at: now, bytes: bearer.len() })
    }

    fn issuer_of(&self, token: &Token<'_>) -> Result<(usize, &TrustedIssuer), AuthError> {
        let name = token.claims.issuer().ok_or(AuthError::UnknownIssuer)?;
        self.issuers
            .iter()
            .enumerate()
            .find(|(_, issuer)| issuer.config.issuer.as_str() == name)
            .ok_or(AuthError::UnknownIssuer)
    }
}

/// Names the issuers, nothing else.
impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let issuers = self.issuers.iter().map(|issuer| &issuer.config.issuer);
        f.debug_list().entries(issuers).finish()
    }
}

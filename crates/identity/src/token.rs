//! A compact JWS taken apart, unverified.
//!
//! INVARIANT: of the header only `alg`, `kid`, `typ` and `crit` exist here. Fields by which a token would bring or name its own key
//! (`jku`, `x5u`, `jwk`, `x5c`) have no place to go.

use crate::{AuthError, claims::Claims};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

/// A token's parts. Nothing in it is proved until the signature is.
pub(crate) struct Token<'a> {
    pub(crate) header: Header,
    pub(crate) claims: Claims,
    /// Header and claims as they were signed.
    pub(crate) signed: &'a [u8],
    /// base64url.
    pub(crate) signature: &'a str,
}

#[derive(serde::Deserialize)]
pub(crate) struct Header {
    pub(crate) alg: String,
    pub(crate) kid: Option<String>,
    pub(crate) typ: Option<String>,
    pub(crate) crit: Option<serde::de::IgnoredAny>,
}

impl<'a> Token<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Self, AuthError> {
        let (signed, signature) = text.rsplit_once('.').ok_or(AuthError::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(AuthError::Malformed)?;
        Ok(Self {
            header: json(header)?,
            claims: Claims::new(json(claims)?)?,
            signed: signed.as_bytes(),
            signature,
        })
    }
}

fn json<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, AuthError> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| AuthError::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| AuthError::Malformed)
}

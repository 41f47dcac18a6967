//! Who signed a message: a detached JWS (RFC 7515 appendix F) under one pinned algorithm and keys that the operator has laid down.
//!
//! INVARIANT: nothing in the signature says how it is checked. Of its header only `alg`, `kid` and `crit` exist here.

use crate::key_set::KeySet;
use crate::token::Header;
use crate::{Algorithm, fetch::FetchError};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

/// Longer signatures are not looked at: RSA with 16,384 bits and a header of a kilobyte fit.
const SIGNATURE_BYTES_MAX: usize = 8_192;

/// The public keys of one sender, and the one algorithm that it signs with.
pub struct MessageKeys {
    algorithm: Algorithm,
    keys: KeySet,
}

/// Why a signature proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum SignatureError {
    /// Not a detached compact JWS.
    #[error("the signature is no detached compact JWS")]
    Malformed,
    /// Another algorithm than the sender's.
    #[error("the signature's algorithm is not the sender's")]
    Algorithm,
    /// The header demands an extension; none is understood.
    #[error("the signature demands an extension")]
    Critical,
    /// The header names no key.
    #[error("the signature names no key")]
    KeyNotNamed,
    /// The sender has no such key.
    #[error("the signature names a key that the sender does not have")]
    KeyUnknown,
    /// Not of this message, or not by this key.
    #[error("the signature is not the sender's for this message")]
    Wrong,
}

/// Why keys cannot be used.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct UnusableKeys(#[from] FetchError);

impl MessageKeys {
    /// The keys of a JSON Web Key Set that serve `algorithm`.
    pub fn parse(jwks: &[u8], algorithm: Algorithm) -> Result<Self, UnusableKeys> {
        Ok(Self { algorithm, keys: KeySet::parse(jwks, &[algorithm].into())? })
    }

    /// Whether `jws` (`header..signature`) is the sender's signature of `message`.
    pub fn verify(&self, jws: &str, message: &[u8]) -> Result<(), SignatureError> {
        if jws.len() > SIGNATURE_BYTES_MAX {
            return Err(SignatureError::Malformed);
        }
        let (head, signature) = jws.split_once("..").ok_or(SignatureError::Malformed)?;
        let header: Header = BASE64_URL_SAFE_NO_PAD
            .decode(head)
            .ok()
            .and_then(|header| serde_json::from_slice(&header).ok())
            .ok_or(SignatureError::Malformed)?;
        if header.alg != self.algorithm.as_str() {
            return Err(SignatureError::Algorithm);
        }
        if header.crit.is_some() {
            return Err(SignatureError::Critical);
        }
        let kid = header.kid.ok_or(SignatureError::KeyNotNamed)?;
        let key = self.keys.find(&kid, self.algorithm).ok_or(SignatureError::KeyUnknown)?;
        let signed = format!("{head}.{}", BASE64_URL_SAFE_NO_PAD.encode(message));
        match jsonwebtoken::crypto::verify(signature, signed.as_bytes(), key, self.algorithm.implementation())
        {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(SignatureError::Wrong),
        }
    }
}

impl std::fmt::Debug for MessageKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MessageKeys").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

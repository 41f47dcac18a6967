//! An issuer's public keys, as one answer of it listed them.

use crate::{Algorithm, fetch::FetchError};
use jsonwebtoken::DecodingKey;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// More than any issuer rotates through at once.
const KEYS_MAX: usize = 100;

/// Keys by algorithm and name. A key serves only algorithms of its own kind that the issuer is pinned to.
pub(crate) struct KeySet {
    keys: BTreeMap<Algorithm, BTreeMap<String, DecodingKey>>,
    digest: [u8; 32],
}

/// RFC 7517 §4, RFC 7518 §6: what public signature keys need. Private and symmetric members are not read.
#[derive(serde::Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    used_for: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(serde::Deserialize)]
struct Jwks {
    keys: Vec<serde_json::Value>,
}

impl KeySet {
    /// The usable keys of a JSON Web Key Set. Keys for other uses, of unknown types or without a name are passed over
    /// (RFC 7517 §5); a set without a usable key is an error.
    pub(crate) fn parse(body: &[u8], pinned: &BTreeSet<Algorithm>) -> Result<Self, FetchError> {
        let jwks: Jwks =
            serde_json::from_slice(body).map_err(|_| FetchError::Unusable("not a JSON web key set"))?;
        if jwks.keys.len() > KEYS_MAX {
            return Err(FetchError::Unusable("too many keys"));
        }
        let mut keys: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for jwk in jwks.keys {
            let Ok(jwk) = serde_json::from_value::<Jwk>(jwk) else { continue };
            let Some(kid) = jwk.kid.as_deref().filter(|kid| !kid.is_empty()) else { continue };
            for algorithm in pinned {
                if let Some(key) = jwk.key_for(*algorithm) {
                    keys.entry(*algorithm).or_default().entry(kid.to_owned()).or_insert(key);
                }
            }
        }
        if keys.is_empty() {
            return Err(FetchError::Unusable("no usable key"));
        }
        Ok(Self { keys, digest: Sha256::digest(body).into() })
    }

    pub(crate) fn find(&self, kid: &str, algorithm: Algorithm) -> Option<&DecodingKey> {
        self.keys.get(&algorithm)?.get(kid)
    }

    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        self.digest == other.digest
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.values().map(BTreeMap::len).sum()
    }
}

impl Jwk {
    fn key_for(&self, algorithm: Algorithm) -> Option<DecodingKey> {
        let (kty, crv) = algorithm.key_type();
        let is_for_signatures = self.used_for.as_deref().is_none_or(|used_for| used_for == "sig")
            && self.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        let is_of_the_kind = self.kty == kty
            && (crv.is_none() || self.crv.as_deref() == crv)
            && self.alg.as_deref().is_none_or(|alg| alg == algorithm.as_str());
        if !(is_for_signatures && is_of_the_kind) {
            return None;
        }
        match kty {
            "RSA" => DecodingKey::from_rsa_components(self.n.as_deref()?, self.e.as_deref()?),
            "EC" => DecodingKey::from_ec_components(self.x.as_deref()?, self.y.as_deref()?),
            _ => DecodingKey::from_ed_components(self.x.as_deref()?),
        }
        .ok()
    }
}

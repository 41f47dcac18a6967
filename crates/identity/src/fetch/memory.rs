//! Documents from memory: an issuer in the same process, for development and for the simulation.

use super::{FetchError, HttpFetch};
use crate::Network;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use url::Url;

/// Answers from documents that were put into it; other URLs answer `404`.
#[derive(Default)]
pub struct MemoryFetch {
    documents: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl MemoryFetch {
    /// One that knows nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers `url` with `document` from now on.
    pub fn put(&self, url: &str, document: impl Into<Vec<u8>>) {
        self.documents().insert(url.to_owned(), document.into());
    }

    /// Answers `url` with `404` from now on.
    pub fn remove(&self, url: &str) {
        self.documents().remove(url);
    }

    /// Publishes an issuer: its discovery document, and `jwks` (a JSON Web Key Set) at `{issuer}/jwks`.
    pub fn put_issuer(&self, issuer: &domain::Issuer, jwks: &serde_json::Value) {
        let base = issuer.as_str().trim_end_matches('/');
        let discovery = serde_json::json!({ "issuer": issuer.as_str(), "jwks_uri": format!("{base}/jwks") });
        self.put(&format!("{base}/.well-known/openid-configuration"), discovery.to_string());
        self.put(&format!("{base}/jwks"), jwks.to_string());
    }

    fn documents(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.documents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait::async_trait]
impl HttpFetch for MemoryFetch {
    async fn get(&self, url: &Url, _network: Network, bytes_max: usize) -> Result<Vec<u8>, FetchError> {
        let document = self.documents().get(url.as_str()).cloned().ok_or(FetchError::Status(404))?;
        if document.len() > bytes_max {
            return Err(FetchError::TooLarge);
        }
        Ok(document)
    }
}

impl std::fmt::Debug for MemoryFetch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MemoryFetch")
    }
}

//! Documents from the network.
//!
//! INVARIANT: no redirect and no proxy is followed; the address that is checked is the one that is connected to, so a name
//! that resolves differently the second time gains nothing.

use super::{ANSWER_TIME_MAX, FetchError, HttpFetch, address};
use crate::Network;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::time::Duration;
use url::Url;

const CONNECT_TIME_MAX: Duration = Duration::from_secs(3);

/// Gets documents over HTTP(S).
pub struct WebFetch {
    public: reqwest::Client,
    any: reqwest::Client,
}

impl WebFetch {
    /// A client that trusts what the machine trusts (`SSL_CERT_FILE` overrides).
    pub fn new() -> Result<Self, FetchError> {
        let client = |resolver| {
            reqwest::Client::builder()
                .user_agent(concat!("daypass/", env!("CARGO_PKG_VERSION")))
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .connect_timeout(CONNECT_TIME_MAX)
                .timeout(ANSWER_TIME_MAX)
                .dns_resolver(resolver)
                .build()
                .map_err(|_| FetchError::NoClient)
        };
        Ok(Self { public: client(Resolver { private: false })?, any: client(Resolver { private: true })? })
    }
}

#[async_trait::async_trait]
impl HttpFetch for WebFetch {
    async fn get(&self, url: &Url, network: Network, bytes_max: usize) -> Result<Vec<u8>, FetchError> {
        super::check_url(url, network)?;
        let client = if network.allow_private_addresses { &self.any } else { &self.public };
        let mut response = client.get(url.clone()).send().await.map_err(failure)?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(FetchError::Status(response.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failure)? {
            if body.len() + chunk.len() > bytes_max {
                return Err(FetchError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

impl std::fmt::Debug for WebFetch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WebFetch")
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the form that map_err asks for")]
fn failure(error: reqwest::Error) -> FetchError {
    if error.is_timeout() { FetchError::TimedOut } else { FetchError::Unreachable }
}

/// The system's resolver, less the addresses that are not allowed.
struct Resolver {
    private: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let private = self.private;
        Box::pin(async move {
            let mut addresses: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            addresses.retain(|socket| private || address::is_public(socket.ip()));
            if addresses.is_empty() {
                return Err("no address that is allowed".into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

//! The way out to issuers: one verb, and what it must never do.
//!
//! INVARIANT: every answer is bounded in size and time, and every URL is checked, whatever the adapter does.

mod address;
mod memory;
mod web;

pub use memory::MemoryFetch;
pub use web::WebFetch;

use crate::Network;
use std::time::Duration;
use url::{Host, Url};

/// Discovery documents and key sets of large issuers are below 20 KiB.
pub const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// A caller may be waiting for it.
pub const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// Gets documents by URL.
#[async_trait::async_trait]
pub trait HttpFetch: Send + Sync + 'static {
    /// The body of the `200` that answers a GET of `url`, of at most `bytes_max`. Any other status, a redirect too, is an
    /// error. An adapter that opens connections must not connect to an address that `network` does not allow, whatever
    /// name led there.
    async fn get(&self, url: &Url, network: Network, bytes_max: usize) -> Result<Vec<u8>, FetchError>;
}

/// Why a document was not got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The URL or its address is one that the configuration does not allow.
    #[error("not allowed: {0}")]
    NotAllowed(&'static str),
    /// Answered with a status other than 200.
    #[error("answered with status {0}")]
    Status(u16),
    /// The answer was longer than allowed.
    #[error("the answer is too large")]
    TooLarge,
    /// No answer in time.
    #[error("no answer in time")]
    TimedOut,
    /// No connection, or one that broke.
    #[error("not reachable")]
    Unreachable,
    /// The answer was not what it should be.
    #[error("the answer is not usable: {0}")]
    Unusable(&'static str),
    /// No HTTP client could be made (no trusted certificates on this machine).
    #[error("no http client could be made")]
    NoClient,
}

impl FetchError {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::NotAllowed(why) | Self::Unusable(why) => why,
            Self::Status(_) => "status other than 200",
            Self::TooLarge => "too large",
            Self::TimedOut => "no answer in time",
            Self::Unreachable => "not reachable",
            Self::NoClient => "no http client",
        }
    }
}

/// Whether the scheme, and the host if it is an address, are allowed. Names are checked when they are resolved.
pub(crate) fn check_url(url: &Url, network: Network) -> Result<(), FetchError> {
    match url.scheme() {
        "https" => {}
        "http" if network.allow_http => {}
        "http" => return Err(FetchError::NotAllowed("must be https (network.allow_http)")),
        _ => return Err(FetchError::NotAllowed("must be https")),
    }
    let public = match url.host() {
        Some(Host::Ipv4(ip)) => address::is_public(ip.into()),
        Some(Host::Ipv6(ip)) => address::is_public(ip.into()),
        Some(Host::Domain(_)) => true,
        None => return Err(FetchError::NotAllowed("must have a host")),
    };
    if public || network.allow_private_addresses {
        Ok(())
    } else {
        Err(FetchError::NotAllowed("must not be a private address (network.allow_private_addresses)"))
    }
}

/// Gets `url` through `fetch`, with the checks and bounds that hold for every adapter.
pub(crate) async fn get(fetch: &dyn HttpFetch, url: &Url, network: Network) -> Result<Vec<u8>, FetchError> {
    check_url(url, network)?;
    let body = tokio::time::timeout(ANSWER_TIME_MAX, fetch.get(url, network, ANSWER_BYTES_MAX))
        .await
        .map_err(|_| FetchError::TimedOut)??;
    if body.len() > ANSWER_BYTES_MAX {
        return Err(FetchError::TooLarge);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuer_url_to_private_ranges_is_refused() {
        let strict = Network::default();
        for url in [
            "https://127.0.0.1/",
            "https://10.1.2.3/",
            "https://169.254.169.254/latest/meta-data/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://0x7f000001/",
            "https://2130706433/",
            "http://idp.example/",
            "ftp://idp.example/",
            "file:///etc/passwd",
        ] {
            assert!(check_url(&Url::parse(url).unwrap(), strict).is_err(), "{url}");
        }
        assert_eq!(check_url(&Url::parse("https://idp.example/").unwrap(), strict), Ok(()));
    }
}

//! SPIFFE ids (SPIFFE-ID and X509-SVID, spiffe.io), and who a certificate makes of a connection's other end.

use domain::{Actor, ActorKind, Invalid, Person, Timestamp};
use identity::Caller;
use rustls::pki_types::{CertificateDer, UnixTime};
use serde::Deserialize;
use std::time::Duration;

/// SPIFFE-ID §2.3.
const BYTES_MAX: usize = 2_048;
const SCHEME: &str = "spiffe://";

/// A workload's name: `spiffe://<trust domain>/<path>`, in the one spelling that there is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct SpiffeId(String);

impl SpiffeId {
    /// Checks and wraps `text`.
    pub fn new(text: &str) -> Result<Self, Invalid> {
        let well_formed = text.len() <= BYTES_MAX
            && split(text).is_some_and(|(domain, path)| {
                let of_domain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
                let of_path = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
                (1..=255).contains(&domain.len())
                    && domain.bytes().all(of_domain)
                    && path.split('/').all(|part| {
                        !part.is_empty() && part != "." && part != ".." && part.bytes().all(of_path)
                    })
            });
        if well_formed {
            Ok(Self(text.to_owned()))
        } else {
            Err(Invalid::new("SPIFFE id", "must be like spiffe://example.org/daypass/request"))
        }
    }

    /// As in certificates.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id as a person: the trust domain vouches for the path. No token can say the same, because no issuer of tokens is a
    /// `spiffe:` URL.
    pub fn person(&self) -> Result<Person, Invalid> {
        let (domain, path) = split(&self.0).unwrap_or_default();
        Person::new(&format!("{SCHEME}{domain}"), &format!("/{path}"))
    }

    /// The id in a certificate. X509-SVID §2: exactly one URI among its names, or it is nobody's.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
        let mut uris = certificate.valid_uri_names();
        let id = Self::new(uris.next()?).ok()?;
        uris.next().is_none().then_some(id)
    }
}

fn split(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix(SCHEME)?.split_once('/')
}

impl TryFrom<String> for SpiffeId {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        Self::new(&text)
    }
}

impl std::fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The workload at the other end of a connection, as its certificate says. Made from certificates that were verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its name.
    pub id: SpiffeId,
    /// When its certificate expires.
    pub expires_at: Timestamp,
}

impl Peer {
    /// `None`: the certificate is no workload's.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        Some(Self { id: SpiffeId::of(certificate)?, expires_at: end_of(certificate)? })
    }

    /// The peer as a caller. It has no groups, and is never a human.
    pub(crate) fn caller(&self) -> Result<Caller, Invalid> {
        let person = self.id.person()?;
        let actor = Actor { person, kind: ActorKind::Workload, client_id: None, auth_time: None, acr: None };
        Ok(Caller { actor, groups: None, directory_id: None, expires_at: self.expires_at })
    }
}

/// When a certificate expires. webpki tells that only of one that has: so it is asked about the end of time, and looks at the
/// validity before anything else.
pub(super) fn end_of(certificate: &CertificateDer<'_>) -> Option<Timestamp> {
    let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
    let end_of_time = UnixTime::since_unix_epoch(Duration::from_secs(u64::MAX));
    let usage = webpki::KeyUsage::client_auth();
    match certificate.verify_for_usage(&[], &[], &[], end_of_time, usage, None, None) {
        Err(webpki::Error::CertExpired { not_after, .. }) => {
            let seconds = i64::try_from(not_after.as_secs()).unwrap_or(i64::MAX);
            Some(Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX))
        }
        Ok(_) | Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_one_spelling() {
        let id = SpiffeId::new("spiffe://example.org/daypass/request").unwrap();
        assert_eq!(id.person().unwrap(), Person::new("spiffe://example.org", "/daypass/request").unwrap());
        for wrong in [
            "",
            "https://example.org/daypass/request",
            "spiffe://example.org",
            "spiffe://example.org/",
            "spiffe:///daypass",
            "spiffe://Example.org/daypass",
            "spiffe://example.org:443/daypass",
            "spiffe://user@example.org/daypass",
            "spiffe://example.org/daypass/",
            "spiffe://example.org//daypass",
            "spiffe://example.org/daypass/../request",
            "spiffe://example.org/daypass?x=1",
            "spiffe://example.org/d%61ypass",
            &format!("spiffe://example.org/{}", "x".repeat(BYTES_MAX)),
        ] {
            assert!(SpiffeId::new(wrong).is_err(), "{wrong}");
        }
    }
}

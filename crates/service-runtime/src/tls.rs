//! TLS between processes: who is at the other end, as certificates say it, and certificates that change while connections stand.
//!
//! - `spiffe`: SPIFFE ids, and the [`Peer`] that a certificate makes of a connection;
//! - `reloading`: files that are read again when they change, as cert-manager and SPIRE renew them;
//! - `server`, `client`: the two ends.
//!
//! INVARIANT: a certificate counts only under a CA that the configuration names for it. Revocation lists are deliberately absent:
//! workload certificates live for hours, and are not renewed.

pub(crate) mod client;
mod reloading;
pub(crate) mod server;
mod spiffe;

pub(crate) use reloading::Reloading;
pub use spiffe::{Peer, SpiffeId};

use domain::Timestamp;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// HTTP/2 in ALPN: what gRPC is.
const H2: &[u8] = b"h2";

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {error}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
    /// A file is not what it should be, or files do not go together.
    #[error("cannot use {}: {why}", file.display())]
    Unusable {
        /// Which.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl TlsError {
    fn unusable(file: &Path, why: &impl ToString) -> Self {
        Self::Unusable { file: file.to_owned(), why: why.to_string() }
    }
}

/// The one crypto provider of this house.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Makes it the one that libraries take which are not told which. Programs do so first of all: an engine may bring
/// another, and where there are two, rustls takes none by itself.
pub fn install_provider() {
    // What was installed before stays, and nobody installs another.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
}

fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(file).map_err(|error| TlsError::File { file: file.to_owned(), error })
}

/// The certificates of a PEM file: at least one.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read(file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if found.is_empty() => Err(TlsError::unusable(file, &"it holds no certificate")),
        Ok(found) => Ok(found),
        Err(error) => Err(TlsError::unusable(file, &error)),
    }
}

/// When the first of a PEM file's certificates to expire does; `None`: none says.
pub fn expires_at(file: &Path) -> Result<Option<Timestamp>, TlsError> {
    Ok(certificates(file)?.iter().filter_map(spiffe::end_of).min())
}

fn key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read(file)?).map_err(|error| TlsError::unusable(file, &error))
}

/// The CAs of a PEM file: several while one replaces another.
fn roots(file: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|error| TlsError::unusable(file, &error))?;
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use test_servers::certificates::Authority;

    #[test]
    fn a_file_ends_with_the_first_of_its_certificates_that_does() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new(folder.path(), "ca").unwrap();
        let issued = |name: &str, days: u64| {
            let life = Duration::from_hours(24 * days);
            authority.issue(name, &["localhost"], &[], life).unwrap().certificate
        };
        let (long, short) = (issued("long", 90), issued("short", 10));
        let end = expires_at(&short).unwrap().unwrap();
        assert!(end < expires_at(&long).unwrap().unwrap());
        let both = folder.path().join("both.pem");
        for files in [[&long, &short, &authority.file], [&short, &authority.file, &long]] {
            let text: String = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
            std::fs::write(&both, text).unwrap();
            assert_eq!(expires_at(&both).unwrap(), Some(end), "{files:?}");
        }
    }

    #[test]
    fn libraries_that_are_not_told_which_take_the_one_provider() {
        install_provider();
        install_provider();
        let installed = CryptoProvider::get_default().unwrap();
        assert_eq!(format!("{installed:?}"), format!("{:?}", provider()));
    }
}

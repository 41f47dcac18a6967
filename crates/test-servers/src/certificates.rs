//! A certificate authority for tests, and the certificates that it gives: for hosts, and for workloads by their SPIFFE ids.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A CA, with its certificate in a file.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: PathBuf,
    /// Its certificate, as PEM.
    pub file: PathBuf,
}

/// A certificate and its key, as PEM.
#[derive(Clone, Debug)]
pub struct Files {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Authority {
    /// A new CA, which writes into `folder`.
    pub fn new(folder: &Path, name: &str) -> std::io::Result<Self> {
        let key = KeyPair::generate().map_err(std::io::Error::other)?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let certificate = params.self_signed(&key).map_err(std::io::Error::other)?;
        let file = folder.join(format!("{name}.pem"));
        std::fs::write(&file, pem("CERTIFICATE", certificate.der()))?;
        Ok(Self { issuer: Issuer::new(params, key), folder: folder.to_owned(), file })
    }

    /// Gives (again) the certificate `name`, good for `life`: for these hosts and addresses, with these URIs.
    pub fn issue(&self, name: &str, hosts: &[&str], uris: &[&str], life: Duration) -> std::io::Result<Files> {
        let wrong = std::io::Error::other;
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).map_err(wrong)?;
        for uri in uris {
            params.subject_alt_names.push(SanType::URI((*uri).try_into().map_err(wrong)?));
        }
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.not_after = (now() + life).into();
        let key = KeyPair::generate().map_err(wrong)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(wrong)?;
        let files = Files {
            certificate: self.folder.join(format!("{name}.crt")),
            key: self.folder.join(format!("{name}.key")),
        };
        std::fs::write(&files.certificate, pem("CERTIFICATE", certificate.der()))?;
        std::fs::write(&files.key, pem("PRIVATE KEY", &key.serialize_der()))?;
        // As `daypass doctor` demands of keys.
        std::fs::set_permissions(&files.key, std::fs::Permissions::from_mode(0o600))?;
        Ok(files)
    }
}

#[expect(clippy::disallowed_methods, reason = "certificates are for the machine's clock")]
fn now() -> SystemTime {
    SystemTime::now()
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap_or_default()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

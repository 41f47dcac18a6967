//! The calling end: shows a certificate where one is configured, and believes a neighbour by its SPIFFE id or its host name.

use super::{H2, Reloading, SpiffeId, TlsError, certificates, key, provider, roots};
use crate::config::{ClientCertificateConfig, NeighbourConfig};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::path::Path;
use std::sync::Arc;

/// What connections to a neighbour are made with, as its files are.
pub(crate) fn of_neighbour(
    neighbour: &NeighbourConfig,
    own: Option<&ClientCertificateConfig>,
) -> Result<Reloading<ClientConfig>, TlsError> {
    let mut files: Vec<_> = neighbour.ca_file.iter().cloned().collect();
    files.extend(own.iter().flat_map(|own| [own.certificate_file.clone(), own.key_file.clone()]));
    let (neighbour, own) = (neighbour.clone(), own.cloned());
    Reloading::new(files, move || client_config(&neighbour, own.as_ref()))
}

fn client_config(
    neighbour: &NeighbourConfig,
    own: Option<&ClientCertificateConfig>,
) -> Result<ClientConfig, TlsError> {
    let place = neighbour.ca_file.as_deref().unwrap_or(Path::new("the machine's CAs"));
    let unusable = |error: &dyn std::fmt::Display| TlsError::unusable(place, &error.to_string());
    let roots = Arc::new(match &neighbour.ca_file {
        Some(file) => roots(file)?,
        None => of_the_machine(),
    });
    let verifier: Arc<dyn ServerCertVerifier> = match &neighbour.spiffe_id {
        Some(id) => Arc::new(BySpiffeId {
            id: id.clone(),
            roots,
            algorithms: provider().signature_verification_algorithms,
        }),
        None => WebPkiServerVerifier::builder_with_provider(roots, provider())
            .build()
            .map_err(|error| unusable(&error))?,
    };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut client = match own {
        None => builder.with_no_client_auth(),
        Some(own) => builder
            .with_client_auth_cert(certificates(&own.certificate_file)?, key(&own.key_file)?)
            .map_err(|error| TlsError::unusable(&own.certificate_file, &error))?,
    };
    client.alpn_protocols = vec![H2.to_vec()];
    Ok(client)
}

fn of_the_machine() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in found.errors {
        tracing::warn!(%error, "a CA of the machine cannot be read");
    }
    roots.add_parsable_certificates(found.certs);
    roots
}

/// Believes whoever has this SPIFFE id under these CAs, whatever its host is called: workload certificates need not name hosts.
#[derive(Debug)]
struct BySpiffeId {
    id: SpiffeId,
    roots: Arc<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for BySpiffeId {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(certificate)?;
        let algorithms = self.algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, algorithms)?;
        if SpiffeId::of(certificate).as_ref() == Some(&self.id) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(CertificateError::NotValidForName))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

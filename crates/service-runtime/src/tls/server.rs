//! The answering end: shows its certificate, and asks callers for theirs where a CA for them is configured.

use super::{H2, Peer, Reloading, TlsError, certificates, key, provider, roots};
use crate::config::{ClientCertificate, TlsConfig};
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// A connection that has not agreed on keys by then is dropped.
const HANDSHAKE_DURATION_MAX: Duration = Duration::from_secs(10);

/// Accepts connections, with the certificates as they are at that moment.
#[derive(Debug)]
pub(crate) struct Acceptor(Reloading<ServerConfig>);

impl Acceptor {
    /// Reads the files. HTTP/1 is for gRPC-Web.
    pub(crate) fn new(config: &TlsConfig, http1: bool) -> Result<Self, TlsError> {
        let files = [&config.certificate_file, &config.key_file].into_iter().chain(&config.client_ca_file);
        let files = files.cloned().collect();
        let config = config.clone();
        Reloading::new(files, move || server_config(&config, http1)).map(Self)
    }

    /// Agrees on keys. The peer is known if it showed a workload's certificate.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<(TlsStream<TcpStream>, Option<Peer>)> {
        let acceptor = TlsAcceptor::from(self.0.current());
        let stream = tokio::time::timeout(HANDSHAKE_DURATION_MAX, acceptor.accept(stream)).await??;
        let (_, session) = stream.get_ref();
        let peer = session.peer_certificates().and_then(<[_]>::first).and_then(Peer::of);
        Ok((stream, peer))
    }
}

fn server_config(config: &TlsConfig, http1: bool) -> Result<ServerConfig, TlsError> {
    let unusable = |error| TlsError::unusable(&config.certificate_file, &error);
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let builder = match &config.client_ca_file {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(file)?), provider());
            let verifier = match config.client_certificate {
                ClientCertificate::Required => verifier,
                ClientCertificate::Optional => verifier.allow_unauthenticated(),
            };
            builder.with_client_cert_verifier(
                verifier.build().map_err(|error| TlsError::unusable(file, &error))?,
            )
        }
    };
    let chain = certificates(&config.certificate_file)?;
    let mut server = builder.with_single_cert(chain, key(&config.key_file)?).map_err(unusable)?;
    server.alpn_protocols = vec![H2.to_vec()];
    if http1 {
        server.alpn_protocols.push(b"http/1.1".to_vec());
    }
    Ok(server)
}

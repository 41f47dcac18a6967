//! Services that know each other by their certificates.

use crate::house::{Requests, Running, Tokens, run_behind, well_formed, with};
use api::request::v1::request_service_client::RequestServiceClient;
use api::request::v1::request_service_server::RequestServiceServer;
use service_runtime::clock::SystemClock;
use service_runtime::config::{
    Addresses, ClientCertificate, ClientCertificateConfig, NeighbourConfig, RolesConfig, ServerConfig,
    TlsConfig,
};
use service_runtime::outgoing::{self, Connection, Ourselves};
use service_runtime::server::WaitsFor;
use service_runtime::{Bound, Gate, Roles, SpiffeId};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use test_servers::certificates::{Authority, Files};
use tokio::time::{Instant, sleep};
use tonic::body::Body;
use tonic::service::Routes;
use tonic::transport::Endpoint;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tower::{Service as _, ServiceExt as _};

const REQUEST: &str = "spiffe://example.org/daypass/request";
const ACTIVATION: &str = "spiffe://example.org/daypass/activation";
const DAY: Duration = Duration::from_hours(24);

/// A trust domain, and a server in it that knows `activation`.
struct Domain {
    folder: TempDir,
    authority: Authority,
    server: Running,
}

impl Domain {
    async fn new(client_certificate: ClientCertificate) -> Self {
        Self::with_life(client_certificate, DAY).await
    }

    async fn with_life(client_certificate: ClientCertificate, life: Duration) -> Self {
        let folder = TempDir::new().unwrap();
        let authority = Authority::new(folder.path(), "ca").unwrap();
        let own = authority.issue("request", &["127.0.0.1"], &[REQUEST], life).unwrap();
        let config = RolesConfig {
            services: vec![toml::from_str(&format!("spiffe_id = {ACTIVATION:?}")).unwrap()],
            ..RolesConfig::default()
        };
        let gate = Gate::new(Arc::new(Tokens), Roles::new(&config).unwrap(), Arc::new(SystemClock));
        let requests = Requests::default();
        let routes = Routes::new(RequestServiceServer::new(requests.clone()));
        let tls = TlsConfig {
            certificate_file: own.certificate,
            key_file: own.key,
            client_ca_file: Some(authority.file.clone()),
            client_certificate,
        };
        let change = |config: &mut ServerConfig| {
            config.tls = Some(tls);
            config.reflection = true;
            config.health_listen = Some("127.0.0.1:0".parse().unwrap());
        };
        let server = run_behind(gate, requests, routes, change).await;
        Self { folder, authority, server }
    }

    /// A certificate of this trust domain.
    fn certificate(&self, uris: &[&str]) -> Files {
        self.authority.issue("client", &[], uris, DAY).unwrap()
    }

    /// The way to the server for who has this certificate, if any, and takes the server for `id`, or for its host.
    fn connect(&self, id: Option<&str>, own: Option<Files>) -> Connection {
        connect(self.server.address.port(), self.authority.file.clone(), id, own)
    }
}

fn connect(port: u16, ca_file: PathBuf, id: Option<&str>, own: Option<Files>) -> Connection {
    let neighbour = NeighbourConfig {
        address: Addresses::One(format!("https://127.0.0.1:{port}")),
        ca_file: Some(ca_file),
        spiffe_id: id.map(|id| SpiffeId::new(id).unwrap()),
    };
    let certificate =
        own.map(|own| ClientCertificateConfig { certificate_file: own.certificate, key_file: own.key });
    outgoing::connect(&neighbour, Ourselves { tokens: None, certificate }).unwrap()
}

/// What a call without a token comes to, and why.
async fn asked(connection: Connection) -> (Code, String) {
    let answer = RequestServiceClient::new(connection).create_request(well_formed()).await;
    answer.map_or_else(|status| (status.code(), status.message().to_owned()), |_| (Code::Ok, String::new()))
}

/// The code of an answer that the gate gave: behind it, other codes come in trailers.
async fn at_the_gate(connection: &mut Connection, path: &str) -> Option<Code> {
    let request = http::Request::post(format!("http://x{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Body::empty())
        .unwrap();
    let answer = connection.ready().await.unwrap().call(request).await.unwrap();
    let code = answer.headers().get("grpc-status")?.to_str().unwrap().parse().unwrap();
    Some(Code::from_i32(code))
}

/// Every method × kinds of certificates.
#[tokio::test]
async fn a_certificate_gives_the_rights_of_a_service_and_no_others() {
    let domain = Domain::new(ClientCertificate::Optional).await;
    let mut service = domain.connect(Some(REQUEST), Some(domain.certificate(&[ACTIVATION])));
    let mut stranger = domain.connect(
        Some(REQUEST),
        Some(domain.authority.issue("other", &[], &["spiffe://example.org/other"], DAY).unwrap()),
    );
    let mut nobody = domain.connect(Some(REQUEST), None);
    let mut let_in = Vec::new();
    for method in api::METHODS {
        let open = [api::Access::Anyone, api::Access::Workload, api::Access::Service];
        let expected = method.access.iter().any(|access| open.contains(access));
        let code = at_the_gate(&mut service, method.path).await;
        assert_eq!(code != Some(Code::PermissionDenied), expected, "{}: {code:?}", method.path);
        if expected {
            let_in.push(method.name);
        }
        assert_eq!(
            at_the_gate(&mut stranger, method.path).await,
            Some(Code::Unauthenticated),
            "{}",
            method.path
        );
        assert_eq!(
            at_the_gate(&mut nobody, method.path).await,
            Some(Code::Unauthenticated),
            "{}",
            method.path
        );
    }
    for name in ["GetDirectory", "IngestSignal"] {
        assert!(let_in.contains(&name), "{name} is not among {let_in:?}");
    }
    for name in ["Approve", "Reject", "ProposePolicy", "AcceptPolicy", "AbandonAssignment"] {
        assert!(api::METHODS.iter().any(|method| method.name == name), "there is no {name}");
        assert!(!let_in.contains(&name), "a service may {name}");
    }
}

#[tokio::test]
async fn who_shows_a_certificate_is_who_it_says_under_the_ca_that_is_configured() {
    let domain = Domain::new(ClientCertificate::Required).await;
    let own = || domain.certificate(&[ACTIVATION]);
    assert_eq!(asked(domain.connect(Some(REQUEST), Some(own()))).await.0, Code::Ok);
    assert_eq!(asked(domain.connect(None, Some(own()))).await.0, Code::Ok, "by its host name");
    let without = asked(domain.connect(Some(REQUEST), None)).await;
    assert_ne!(without.0, Code::Ok);

    let other = TempDir::new().unwrap();
    let other = Authority::new(other.path(), "other").unwrap();
    let forged = other.issue("forged", &[], &[ACTIVATION], DAY).unwrap();
    assert_ne!(asked(domain.connect(Some(REQUEST), Some(forged))).await.0, Code::Ok, "of another CA");

    // Two names are none.
    let two = domain.authority.issue("two", &[], &[ACTIVATION, REQUEST], DAY).unwrap();
    assert_eq!(asked(domain.connect(Some(REQUEST), Some(two))).await.0, Code::Unauthenticated);
    assert_eq!(domain.server.served(), 2);
}

#[tokio::test]
async fn a_neighbour_is_believed_by_its_spiffe_id_and_not_by_its_host() {
    let domain = Domain::new(ClientCertificate::Optional).await;
    let own = || Some(domain.certificate(&[ACTIVATION]));
    let wrong = asked(domain.connect(Some("spiffe://example.org/daypass/approval"), own())).await;
    assert_ne!(wrong.0, Code::Ok, "{wrong:?}");
    let other = Authority::new(domain.folder.path(), "other").unwrap();
    let port = domain.server.address.port();
    assert_ne!(asked(connect(port, other.file, Some(REQUEST), own())).await.0, Code::Ok);
    assert_eq!(domain.server.served(), 0, "nothing was told to the wrong one");
}

/// A portal is a service, and hands on the tokens of people: then a call is theirs.
#[tokio::test]
async fn a_token_counts_before_a_certificate() {
    let domain = Domain::new(ClientCertificate::Optional).await;
    let connection = domain.connect(Some(REQUEST), Some(domain.certificate(&[ACTIVATION])));
    let mut client = RequestServiceClient::new(connection);
    let by_certificate = client.create_request(well_formed()).await.unwrap().into_inner().position;
    assert_eq!(by_certificate, "/daypass/activation");
    let by_token = client.create_request(with("human", well_formed())).await.unwrap().into_inner().position;
    assert_eq!(by_token, "human");
    let expired = client.create_request(with("old", well_formed())).await.unwrap_err();
    assert_eq!(expired.code(), Code::Unauthenticated, "a bad token is not made good by a certificate");
}

/// Both ends' certificates are renewed before they expire; calls go on all the time, and after the end of the first ones.
#[tokio::test]
async fn certificates_are_renewed_under_calls() {
    const LIFE: Duration = Duration::from_secs(5);
    let domain = Domain::with_life(ClientCertificate::Required, LIFE).await;
    let began = Instant::now();
    let short = domain.authority.issue("client", &[], &[ACTIVATION], LIFE).unwrap();
    let mut client = RequestServiceClient::new(domain.connect(Some(REQUEST), Some(short)));
    let mut renewed = false;
    while began.elapsed() < LIFE + Duration::from_millis(1_500) {
        let answer = client.create_request(Request::new(well_formed())).await;
        assert!(answer.is_ok(), "after {:?}: {answer:?}", began.elapsed());
        if !renewed && began.elapsed() > Duration::from_secs(2) {
            renewed = true;
            domain.authority.issue("request", &["127.0.0.1"], &[REQUEST], DAY).unwrap();
            domain.certificate(&[ACTIVATION]);
        }
        sleep(Duration::from_millis(20)).await;
    }
    assert!(renewed);
}

#[tokio::test]
async fn who_has_no_certificate_is_told_health_at_its_own_address_and_nothing_else() {
    let domain = Domain::new(ClientCertificate::Required).await;
    let address = domain.server.health_address.unwrap();
    let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let mut health = HealthClient::new(channel.clone());
    for (ready, expected) in [(false, ServingStatus::NotServing), (true, ServingStatus::Serving)] {
        domain.server.readiness.set(ready).await;
        let answer = health.check(HealthCheckRequest::default()).await.unwrap().into_inner();
        assert_eq!(answer.status(), expected);
    }
    let (code, _) = asked(Connection::new(channel.clone().map_err(Into::into))).await;
    assert_eq!(code, Code::Unimplemented);
    let list = tonic_reflection::pb::v1::ServerReflectionRequest::default();
    let reflected =
        ServerReflectionClient::new(channel).server_reflection_info(tokio_stream::once(list)).await;
    assert_eq!(reflected.err().map(|status| status.code()), Some(Code::Unimplemented));
    // The server's own address turns them away.
    assert_eq!(asked(domain.connect(Some(REQUEST), None)).await.0, Code::Unknown);
}

#[tokio::test]
async fn health_has_its_own_address_before_there_is_anything_to_do() {
    let config = "listen = \"127.0.0.1:0\"\nhealth_listen = \"127.0.0.1:0\"\n";
    let bound = Bound::new(toml::from_str(config).unwrap()).unwrap();
    let endpoint = Endpoint::from_shared(format!("http://{}", bound.health_address().unwrap())).unwrap();
    let probe = async {
        let mut health = HealthClient::new(endpoint.connect().await.unwrap());
        health.check(HealthCheckRequest::default()).await.unwrap().into_inner().status()
    };
    let waited = bound.wait(probe, &WaitsFor::default()).await.unwrap();
    assert_eq!(waited, ServingStatus::NotServing);
}

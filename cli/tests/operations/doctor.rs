//! `daypass doctor`: a deployment that is as it must be, and each part of it as it must not be.

use crate::given::{
    daypass, doctor, keys_on, log_on, make_keys, make_log, quoted, seed, states, wrapping_keys,
};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use test_servers::certificates::Authority;
use test_servers::moto::Moto;
use test_servers::nats::{NatsOptions, NatsServer};
use test_servers::nats_cluster::NatsCluster;
use test_servers::oidc::{OidcOptions, OidcProvider};
use test_servers::organisation::{Organisation, REGION};
use test_servers::process::free_port;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic_health::ServingStatus;

const DAYS: Duration = Duration::from_hours(72);

/// A neighbour, of which there is nothing but its health.
async fn neighbour() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_service_status("", ServingStatus::Serving).await;
    let serving = tonic::transport::Server::builder().add_service(health);
    tokio::spawn(serving.serve_with_incoming(TcpListenerStream::new(listener)));
    address
}

fn server(tls: Option<(&Authority, Duration)>) -> String {
    let tls = tls.map(|(authority, life)| {
        let own = authority.issue("own", &["127.0.0.1"], &[], life).unwrap();
        format!(
            "tls = {{ certificate_file = {}, key_file = {}, client_ca_file = {} }}\n",
            quoted(own.certificate.display()),
            quoted(own.key.display()),
            quoted(authority.file.display())
        )
    });
    format!("[server]\nlisten = \"127.0.0.1:0\"\n{}", tls.unwrap_or_default())
}

fn on_nats(section: &str, server: &str, rest: &str) -> String {
    format!("[{section}]\nengine = \"jetstream\"\nservers = [{server:?}]\nreplicas = 1\ndev = true\n{rest}\n")
}

fn data(folder: &Path) -> String {
    format!("[data]\nfolder = {}\n", quoted(folder.join("data").display()))
}

#[tokio::test]
async fn all_is_well_on_one_server_and_each_thing_that_is_not_is_told_with_what_to_do() {
    let folder = TempDir::new().unwrap();
    let authority = Authority::new(folder.path(), "ca").unwrap();
    let nats = NatsServer::start(NatsOptions::default()).await.unwrap();
    let oidc = OidcProvider::start(OidcOptions::default()).await.unwrap();
    let moto = Moto::start().await.unwrap();
    let organisation = Organisation::fill(moto.endpoint()).await.unwrap();
    let (monitoring, wrapping) = (nats.monitoring_url().unwrap(), wrapping_keys(folder.path(), '1'));
    make_log(&log_on(vec![nats.url()], vec![monitoring.clone()], 1)).await;
    make_keys(&keys_on(&nats.url(), &wrapping), 2).await;
    let log = on_nats("log", &nats.url(), &format!("monitoring_urls = [{monitoring:?}]"));
    let keys = |file: &Path| {
        on_nats("keys", &nats.url(), &format!("wrapping_keys_file = {}", quoted(file.display())))
    };
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "example").unwrap();
    let aws = |endpoint: &str| {
        format!(
            "[aws]\nregion = {REGION:?}\nendpoint_url = {endpoint:?}\ninstance_arn = {:?}\nidentity_store_id = {:?}\n\
             access_key_id = \"AKIAEXAMPLE\"\nsecret_access_key = {{ file = {} }}\n",
            organisation.instance_arn,
            organisation.identity_store_id,
            quoted(secret.display())
        )
    };
    let next = |address: &str| format!("[neighbours.request]\naddress = {address:?}\n");
    let issuer = oidc.issuer_toml();

    let well = [
        server(Some((&authority, DAYS))),
        log,
        keys(&wrapping),
        data(folder.path()),
        aws(moto.endpoint()),
        next(&neighbour().await),
        issuer.clone(),
    ]
    .join("\n");
    let (code, findings) = doctor(folder.path(), &well).await;
    assert!(code == Some(0) && findings.iter().all(|(_, state, _)| state == "ok"), "{findings:#?}");
    for check in [
        "log",
        "server",
        "copies",
        "memory",
        "disk",
        "keys",
        "aws",
        "clock",
        "issuer",
        "neighbour",
        "write level",
    ] {
        assert_eq!(states(&findings, check), ["ok"], "{check}: {findings:#?}");
    }
    assert_eq!(states(&findings, "certificate"), ["ok", "ok"]);

    let loose =
        NatsServer::start(NatsOptions { sync_always: false, ..NatsOptions::default() }).await.unwrap();
    let nowhere = format!("http://127.0.0.1:{}", free_port().unwrap());
    let ill = [
        server(Some((&authority, Duration::ZERO))),
        on_nats("log", &loose.url(), &format!("monitoring_urls = [{:?}]", loose.monitoring_url().unwrap())),
        keys(&wrapping_keys(folder.path(), '2')),
        data(folder.path()),
        format!("[bus]\nservers = [{:?}]\n", nats.url()),
        aws(&nowhere),
        next(&nowhere),
        "[upgrade]\nwrite_level = 1\n".to_owned(),
        issuer.replace(oidc.issuer(), &nowhere),
    ]
    .join("\n");
    let (code, findings) = doctor(folder.path(), &ill).await;
    assert_eq!(code, Some(1));
    for (check, expected) in [
        ("log", "fail"),
        ("keys", "fail"),
        ("aws", "fail"),
        ("issuer", "fail"),
        ("neighbour", "fail"),
        ("write level", "warn"),
    ] {
        assert_eq!(states(&findings, check), [expected], "{check}: {findings:#?}");
    }
    assert_eq!(states(&findings, "bus"), ["warn", "warn"], "events and signals: {findings:#?}");
    assert!(states(&findings, "certificate").contains(&"fail"), "{findings:#?}");
    let words: Vec<&str> = findings.iter().map(|(.., what)| what.as_str()).collect();
    assert!(words.iter().any(|what| what.contains("sync_interval")), "{words:?}");
}

#[tokio::test]
async fn a_file_that_is_not_there_is_no_fault_before_the_first_start_and_a_restored_log_says_what_it_owes() {
    let folder = TempDir::new().unwrap();
    let oidc = OidcProvider::start(OidcOptions::default()).await.unwrap();
    let at = |file: &str| quoted(folder.path().join(file).display());
    let config = |log: &str| {
        format!(
            "{}[log]\nengine = \"sqlite\"\npath = {}\n{}{}",
            server(None),
            at(log),
            data(folder.path()),
            oidc.issuer_toml()
        )
    };
    let (code, findings) = doctor(folder.path(), &config("log.db")).await;
    assert_eq!(code, Some(0), "{findings:#?}");
    assert_eq!((states(&findings, "log"), states(&findings, "keys")), (vec!["warn"], vec!["warn"]));
    assert!(!folder.path().join("log.db").exists(), "nothing is made");

    let path = |file: &str| folder.path().join(file).display().to_string();
    seed(&path("backup.db")).await;
    daypass(&["log", "restore", &path("backup.db"), &path("log.db")]).await;
    let (_, findings) = doctor(folder.path(), &config("log.db")).await;
    assert_eq!((states(&findings, "log"), states(&findings, "restored")), (vec!["ok"], vec!["warn"]));
    let (_, printed, _) = daypass(&["doctor", "--config", &path("doctor.toml")]).await;
    assert!(printed.lines().any(|line| line.starts_with("warn  restored")), "{printed}");

    std::fs::write(path("log.db"), "no log").unwrap();
    let (code, findings) = doctor(folder.path(), &config("log.db")).await;
    assert_eq!((code, states(&findings, "log")), (Some(1), vec!["fail"]));
}

#[tokio::test]
async fn the_certificate_that_a_nats_server_shows_is_told_and_not_the_one_in_its_file() {
    let folder = TempDir::new().unwrap();
    let authority = Authority::new(folder.path(), "ca").unwrap();
    let oidc = OidcProvider::start(OidcOptions::default()).await.unwrap();
    let days = |days: u64| {
        let life = Duration::from_hours(24 * days);
        let own = authority.issue("nats", &["127.0.0.1"], &[], life).unwrap();
        let (certificate, key) = (quoted(own.certificate.display()), quoted(own.key.display()));
        // So that this test needs no TLS itself.
        let extra = format!("allow_non_tls: true\ntls {{ cert_file: {certificate}, key_file: {key} }}\n");
        NatsOptions { extra, ..NatsOptions::default() }
    };
    let mut nats = NatsServer::start(days(20)).await.unwrap();
    let monitoring = nats.monitoring_url().unwrap();
    make_log(&log_on(vec![nats.url()], vec![monitoring.clone()], 1)).await;
    let log = on_nats("log", &nats.url(), &format!("monitoring_urls = [{monitoring:?}]"));
    let config = [server(None), log, data(folder.path()), oidc.issuer_toml()].join("\n");
    let renewed = days(40);
    let (code, findings) = doctor(folder.path(), &config).await;
    assert_eq!((code, states(&findings, "certificate")), (Some(0), vec!["warn"]), "{findings:#?}");
    nats.reload(renewed).await.unwrap();
    let (code, findings) = doctor(folder.path(), &config).await;
    assert_eq!((code, states(&findings, "certificate")), (Some(0), vec!["ok"]), "{findings:#?}");
    nats.reload(days(0)).await.unwrap();
    let (code, findings) = doctor(folder.path(), &config).await;
    assert_eq!((code, states(&findings, "certificate")), (Some(1), vec!["fail"]), "{findings:#?}");
}

#[tokio::test]
async fn each_file_with_a_secret_that_others_may_read_is_told() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = TempDir::new().unwrap();
    let oidc = OidcProvider::start(OidcOptions::default()).await.unwrap();
    let nats = NatsServer::start(NatsOptions::default()).await.unwrap();
    let authority = Authority::new(folder.path(), "ca").unwrap();
    let own = authority.issue("own", &["127.0.0.1"], &[], DAYS).unwrap();
    let (certificate, key) = (quoted(own.certificate.display()), quoted(own.key.display()));
    let seed = folder.path().join("bus.nk");
    std::fs::write(&seed, nkeys::KeyPair::new_user().seed().unwrap()).unwrap();
    let config = [
        format!("[server]\nlisten = \"127.0.0.1:0\"\ntls = {{ certificate_file = {certificate}, key_file = {key} }}\n"),
        format!("[client_certificate]\ncertificate_file = {certificate}\nkey_file = {key}\n"),
        format!("[log]\nengine = \"sqlite\"\npath = {}\n", quoted(folder.path().join("log.db").display())),
        format!("[bus]\nservers = [{:?}]\nnkey_seed_file = {}\n", nats.url(), quoted(seed.display())),
        data(folder.path()),
        oidc.issuer_toml(),
    ]
    .join("\n");
    let told = async || {
        let (_, findings) = doctor(folder.path(), &config).await;
        let secrets = findings.into_iter().filter(|(check, ..)| check == "secret");
        secrets.map(|(_, state, what)| format!("{state}: {what}")).collect::<Vec<_>>()
    };
    let mode = |file: &Path, mode| {
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(&own.key, 0o644);
    mode(&seed, 0o604);
    let expected = [&seed, &own.key].map(|file| format!("warn: others may read {}", file.display()));
    assert_eq!(told().await, expected);
    mode(&own.key, 0o640);
    mode(&seed, 0o600);
    assert!(told().await.is_empty());
}

/// Needs root: the cluster's network is made of namespaces.
#[tokio::test]
async fn a_cluster_that_has_lost_a_server_is_told() {
    let folder = TempDir::new().unwrap();
    let oidc = OidcProvider::start(OidcOptions::default()).await.unwrap();
    let mut cluster = NatsCluster::start(NatsOptions::default()).await.unwrap();
    make_log(&log_on(cluster.urls(), cluster.monitoring_urls(), 3)).await;
    let config = format!(
        "{}[log]\nengine = \"jetstream\"\nservers = {:?}\nmonitoring_urls = {:?}\n{}{}",
        server(None),
        cluster.urls(),
        cluster.monitoring_urls(),
        data(folder.path()),
        oidc.issuer_toml()
    );
    let (code, findings) = doctor(folder.path(), &config).await;
    assert_eq!(code, Some(0), "{findings:#?}");
    assert_eq!(states(&findings, "server"), ["ok"; 3]);
    assert_eq!(states(&findings, "copies"), ["ok"]);
    cluster.kill(1);
    // Until the cluster's leader has noticed, nobody knows whether it takes part.
    let deadline = tokio::time::Instant::now() + Duration::from_mins(1);
    loop {
        let (code, findings) = doctor(folder.path(), &config).await;
        if states(&findings, "copies") == ["warn"] {
            assert_eq!(code, Some(0), "{findings:#?}");
            assert_eq!(states(&findings, "server").iter().filter(|state| **state == "warn").count(), 1);
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{findings:#?}");
    }
}

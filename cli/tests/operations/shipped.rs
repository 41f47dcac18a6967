//! `daypass doctor` with the configuration files of `deploy/`, in the place of each service that shares them: with the files that it is
//! given there, and the rights of its user of `daypass nats config`, on a real nats-server over TLS.
//!
//! AWS and neighbours are in the environment of services there, and not here.

use crate::given::{daypass, doctor, doctor_of, quoted, states, wrapping_keys};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use test_servers::certificates::Authority;
use test_servers::nats::{NatsOptions, NatsServer};
use test_servers::oidc::{OidcOptions, OidcProvider};

const FILES: [&str; 3] =
    ["compose/daypass.toml", "k8s/overlays/trial/daypass.toml", "k8s/overlays/production/daypass.toml"];

/// Each service, and how many streams it has on the bus. That of signals is looked at although no file has a source: `request` parks what it
/// is told.
const SERVICES: [(&str, usize); 4] = [("request", 1), ("approval", 0), ("activation", 0), ("audit", 1)];

/// What the files name, on one server.
struct Deployment {
    folder: TempDir,
    nats: NatsServer,
    oidc: OidcProvider,
}

impl Deployment {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let authority = Authority::new(folder.path(), "ca").unwrap();
        // Longer than the doctor wants a server's to live.
        let own = authority.issue("tls", &["127.0.0.1"], &[], Duration::from_hours(24 * 60)).unwrap();
        wrapping_keys(folder.path(), '1');
        done(&["nats", "config", "--out", &path("nats"), "--signal-source", "hr"]).await;
        let accounts = std::fs::read_to_string(path("nats/accounts.conf")).unwrap();
        let (certificate, key) = (quoted(own.certificate.display()), quoted(own.key.display()));
        let extra = format!("{accounts}\ntls {{ cert_file: {certificate}, key_file: {key} }}\n");
        let nats = NatsServer::start(NatsOptions { extra, ..NatsOptions::default() }).await.unwrap();
        let oidc = OidcProvider::start(OidcOptions::default()).await.unwrap();
        let (ca, seeds) = (path("ca.pem"), path("nats/seeds"));
        let deployment = Self { folder, nats, oidc };
        let (url, monitoring) = (deployment.url(), deployment.nats.monitoring_url().unwrap());
        let setup = ["nats", "setup", "--server", &url, "--monitoring", &monitoring, "--ca-file", &ca];
        done(&[&setup[..], &["--seeds", seeds.as_str(), "--replicas", "1", "--dev"]].concat()).await;
        deployment
    }

    fn url(&self) -> String {
        self.nats.url().replace("nats://", "tls://")
    }

    /// What stands for /run/daypass of a service: a user that is not there has no seed.
    fn mounted(&self, service: &str) -> PathBuf {
        let place = self.folder.path().join(service);
        std::fs::create_dir_all(&place).unwrap();
        let seed = |user: &str| format!("nats/seeds/{user}-{service}.nk");
        let files = [
            ("ca.pem".to_owned(), "ca.crt"),
            ("tls.crt".to_owned(), "tls.crt"),
            ("tls.key".to_owned(), "tls.key"),
            ("wrapping-1.keys".to_owned(), "wrapping.keys"),
            (seed("log"), "log.nk"),
            (seed("bus"), "bus.nk"),
        ];
        for (from, to) in files {
            let from = self.folder.path().join(from);
            if from.exists() {
                std::fs::copy(from, place.join(to)).unwrap();
            }
        }
        place
    }

    /// A file of `deploy/`, with this server and this issuer instead of those there.
    fn configuration(&self, file: &str, service: &str) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(file);
        let text = std::fs::read_to_string(path).unwrap();
        let (before, rest) = text.split_once("[[issuers]]").unwrap();
        let (_, after) = rest.split_once("[roles]").unwrap();
        let text = format!("{before}{}\n[roles]{after}", self.oidc.issuer_toml());
        let here = |line: &str| match line.split(" = ").next() {
            Some("servers") => format!("servers = [{:?}]\n", self.url()),
            Some("monitoring_urls") => {
                format!("monitoring_urls = [{:?}]\n", self.nats.monitoring_url().unwrap())
            }
            // Of the log and the keys.
            Some("engine") => format!("{line}\nreplicas = 1\ndev = true\n"),
            _ => format!("{line}\n"),
        };
        let text: String = text.lines().map(here).collect();
        text.replace("/run/daypass", &self.mounted(service).display().to_string())
    }
}

async fn done(words: &[&str]) {
    let (code, _, complaints) = daypass(words).await;
    assert_eq!(code, Some(0), "{words:?}: {complaints}");
}

#[tokio::test]
async fn in_the_place_of_each_service_that_shares_a_file_nothing_is_wrong() {
    let deployment = Deployment::new().await;
    let folder = deployment.folder.path();
    for file in FILES {
        for (service, streams) in SERVICES {
            let config = deployment.configuration(file, service);
            let (code, findings) = doctor_of(service, folder, &config).await;
            assert_eq!(code, Some(0), "{file} {service}: {findings:#?}");
            assert_eq!(states(&findings, "bus"), vec!["ok"; streams], "{file} {service}: {findings:#?}");
            for check in ["log", "server", "copies", "keys", "issuer"] {
                assert_eq!(states(&findings, check), ["ok"], "{file} {service}: {findings:#?}");
            }
        }
    }
}

/// The states of the certificate in this file.
fn told(findings: &[(String, String, String)], file: &str) -> Vec<String> {
    let of_file = findings.iter().filter(|(check, _, what)| check == "certificate" && what.contains(file));
    of_file.map(|(_, state, _)| state.clone()).collect()
}

#[tokio::test]
async fn the_ca_of_the_log_of_the_keys_and_of_the_bus_is_told_once_where_a_service_needs_it() {
    let deployment = Deployment::new().await;
    let folder = deployment.folder.path();
    for service in ["approval", "audit"] {
        let config = deployment.configuration("compose/daypass.toml", service);
        let (_, findings) = doctor_of(service, folder, &config).await;
        assert_eq!(told(&findings, "/ca.crt"), ["ok"], "one file for all: {findings:#?}");

        let mut section = String::new();
        let own_file = |line: &str| {
            if line.starts_with('[') {
                line.trim_matches(['[', ']']).clone_into(&mut section);
            }
            if !line.starts_with("ca_file = ") {
                return format!("{line}\n");
            }
            let own = folder.join(format!("{section}-ca.crt"));
            // Only who needs it has it.
            if section != "bus" || service == "audit" {
                std::fs::copy(folder.join("ca.pem"), &own).unwrap();
            }
            format!("ca_file = {}\n", quoted(own.display()))
        };
        let config: String = config.lines().map(own_file).collect();
        let (_, findings) = doctor_of(service, folder, &config).await;
        let bus = if service == "audit" { vec!["ok"] } else { Vec::new() };
        for (file, expected) in
            [("/log-ca.crt", vec!["ok"]), ("/keys-ca.crt", vec!["ok"]), ("/bus-ca.crt", bus)]
        {
            assert_eq!(told(&findings, file), expected, "{service} {file}: {findings:#?}");
        }
    }
}

#[tokio::test]
async fn who_lacks_a_file_that_it_needs_is_told_and_so_is_who_looks_in_the_place_of_another() {
    let deployment = Deployment::new().await;
    let folder = deployment.folder.path();
    let file = "k8s/overlays/production/daypass.toml";
    // `approval` has no key for the bus: in the place of `audit`, or of all services at once, it is missing.
    let config = deployment.configuration(file, "approval");
    for ((code, findings), streams) in
        [(doctor_of("audit", folder, &config).await, 1), (doctor(folder, &config).await, 2)]
    {
        assert_eq!((code, states(&findings, "bus")), (Some(1), vec!["fail"; streams]), "{findings:#?}");
    }
    // `audit` may not ask for signals.
    let config = deployment.configuration(file, "audit");
    let (code, findings) = doctor(folder, &config).await;
    assert_eq!((code, states(&findings, "bus")), (Some(1), vec!["ok", "fail"]), "{findings:#?}");
}

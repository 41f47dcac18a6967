//! Servers and credentials, as `daypass nats config` and `daypass nats setup` make them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;
use test_servers::nats::{NatsOptions, NatsServer};
use test_servers::nats_cluster::NatsCluster;

/// A source of signals and a subscriber, beside the services.
pub(crate) const OTHERS: [&str; 4] = ["--signal-source", "itsm", "--subscriber", "siem"];

/// A folder that `daypass nats config` has written.
pub(crate) struct Written {
    pub(crate) folder: TempDir,
}

impl Written {
    pub(crate) fn new(options: &[&str]) -> Self {
        let written = Self { folder: tempfile::tempdir().unwrap() };
        let output = written.again(options);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        written
    }

    /// The command once more, on the same folder.
    pub(crate) fn again(&self, options: &[&str]) -> Output {
        daypass(["nats", "config", "--out", &self.path("").display().to_string()].iter().chain(options))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn seed_file(&self, name: &str) -> PathBuf {
        self.path("seeds").join(format!("{name}.nk"))
    }

    pub(crate) fn seed(&self, name: &str) -> String {
        std::fs::read_to_string(self.seed_file(name)).unwrap().trim().to_owned()
    }

    /// Every user that has a seed.
    pub(crate) fn users(&self) -> BTreeSet<String> {
        let files = std::fs::read_dir(self.path("seeds")).unwrap();
        let names = files
            .filter_map(|file| Some(file.unwrap().file_name().to_str()?.strip_suffix(".nk")?.to_owned()));
        names.collect()
    }
}

/// A nats-server with the accounts and users of `written`, and, with `daypass nats setup`, all streams.
pub(crate) async fn set_up(written: &Written) -> NatsServer {
    set_up_within(written, NatsOptions::default().storage_max, &[]).await
}

/// The same where JetStream may take so many bytes of the disk, and with more words for `daypass nats setup`.
pub(crate) async fn set_up_within(written: &Written, storage_max: u64, more: &[&str]) -> NatsServer {
    let options = NatsOptions { extra: written.text("accounts.conf"), storage_max, ..NatsOptions::default() };
    let server = NatsServer::start(options).await.unwrap();
    set_up_again(written, &server, more);
    server
}

/// `daypass nats setup` on a server that runs; what it says.
pub(crate) fn set_up_again(written: &Written, server: &NatsServer, more: &[&str]) -> String {
    let (url, monitoring) = (server.url(), server.monitoring_url().unwrap());
    make_streams(written, &[url], &[monitoring], more, || server.log_tail())
}

/// Three of them, as one cluster.
pub(crate) async fn set_up_three(written: &Written) -> NatsCluster {
    let cluster =
        NatsCluster::start(NatsOptions { extra: written.text("accounts.conf"), ..NatsOptions::default() })
            .await;
    let cluster = cluster.unwrap();
    make_streams(written, &cluster.urls(), &cluster.monitoring_urls(), &[], || cluster.log_tail(0));
    cluster
}

/// All streams, with a copy on each server.
fn make_streams(
    written: &Written,
    urls: &[String],
    monitoring: &[String],
    more: &[&str],
    log_tail: impl Fn() -> String,
) -> String {
    let (seeds, replicas) = (written.path("seeds").display().to_string(), urls.len().to_string());
    let mut words = vec!["nats", "setup", "--seeds", &seeds, "--replicas", &replicas];
    words.extend(urls.iter().flat_map(|url| ["--server", url.as_str()]));
    words.extend(monitoring.iter().flat_map(|url| ["--monitoring", url.as_str()]));
    words.extend((urls.len() == 1).then_some("--dev"));
    let output = daypass(words.iter().chain(more));
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stderr), log_tail());
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn daypass<'a>(words: impl Iterator<Item = &'a &'a str>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_daypass")).args(words).output().unwrap()
}

/// What nats-server says of a configuration file without running it.
pub(crate) fn checked(file: &Path) -> Output {
    let server = test_servers::tools::python_tool("nats-server").unwrap();
    Command::new(server).arg("-t").arg("-c").arg(file).output().unwrap()
}

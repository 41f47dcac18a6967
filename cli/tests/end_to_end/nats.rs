//! nats-server with the rights that `daypass nats config` gives, and the sections by which each service signs in.

use crate::world::{PATIENCE, POLL, run};
use async_nats::ConnectOptions;
use async_nats::jetstream::{self, Context};
use nkeys::KeyPair;
use std::path::{Path, PathBuf};
use test_servers::nats::{NatsOptions, NatsServer};
use test_servers::nats_cluster::{NODES, NatsCluster};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{sleep, timeout};
use wiring::KeysSection;

/// One cluster at a time: elections go by the clock, and two would starve each other.
static CLUSTER: Mutex<()> = Mutex::const_new(());

/// The stream that is the log.
const LOG: &str = "DAYPASS_LOG";

/// The stream of the key store.
const KEYS: &str = "KV_DAYPASS_KEYS";

/// HR is believed when it tells on the bus who leaves.
pub(crate) const HR: &str = "[[signals.sources]]\nname = \"hr\"\nkinds = [\"person_left\"]\n\
                             nats_account = \"daypass-signal-hr\"\n";

/// What the log is on.
pub(crate) enum Servers {
    One(NatsServer),
    Three(NatsCluster),
}

/// The servers, and the seeds of all who may connect.
pub(crate) struct Nats {
    pub(crate) servers: Servers,
    folder: PathBuf,
    /// After the servers: they are gone when the next cluster starts.
    _turn: Option<MutexGuard<'static, ()>>,
}

impl Nats {
    /// A server, or a cluster of three, on which everyone may do what they need and nothing else, with all streams.
    pub(crate) async fn secured(folder: PathBuf, cluster: bool) -> Self {
        let (out, services) = (shown(&folder), "request,approval,activation,audit,serve");
        done(&["nats", "config", "--out", &out, "--services", services, "--signal-source", "hr"]).await;
        let accounts = std::fs::read_to_string(folder.join("accounts.conf")).unwrap();
        std::fs::write(folder.join("wrapping.keys"), format!("{}\n", "5a".repeat(32))).unwrap();
        let options = NatsOptions { extra: accounts, ..NatsOptions::default() };
        let turn = if cluster { Some(CLUSTER.lock().await) } else { None };
        let servers = if cluster {
            Servers::Three(NatsCluster::start(options).await.unwrap())
        } else {
            Servers::One(NatsServer::start(options).await.unwrap())
        };
        let nats = Self { servers, folder, _turn: turn };
        nats.set_up().await;
        nats
    }

    /// All streams.
    async fn set_up(&self) {
        let (seeds, replicas) = (shown(&self.folder.join("seeds")), self.replicas().to_string());
        let mut words = vec!["nats", "setup", "--seeds", &seeds, "--replicas", &replicas];
        let (urls, monitoring) = (self.urls(), self.monitoring());
        words.extend(urls.iter().flat_map(|url| ["--server", url]));
        words.extend(monitoring.iter().flat_map(|url| ["--monitoring", url]));
        words.extend((self.replicas() == 1).then_some("--dev"));
        done(&words).await;
    }

    /// The three servers lose all that they have stored, and are set up anew at their addresses, for the same users.
    pub(crate) async fn lose_everything(&mut self) {
        let cluster = self.cluster();
        for node in 0..NODES {
            cluster.lose_disk(node).unwrap();
        }
        for node in 0..NODES {
            cluster.restart(node).unwrap();
        }
        cluster.until_healthy().await.unwrap();
        self.set_up().await;
    }

    /// Of three servers, the one that leads the log is killed. Back when one of the two that are left leads, of the keys as well.
    pub(crate) async fn lose_the_leader(&mut self) {
        let cluster = self.cluster();
        let leader = cluster.stream_leader(LOG).await.unwrap();
        cluster.kill(leader);
        let elected = async {
            for stream in [LOG, KEYS] {
                while cluster.stream_leader(stream).await.unwrap() == leader {
                    sleep(POLL).await;
                }
            }
        };
        timeout(PATIENCE, elected).await.unwrap();
    }

    /// Where clients connect.
    pub(crate) fn urls(&self) -> Vec<String> {
        match &self.servers {
            Servers::One(server) => vec![server.url()],
            Servers::Three(cluster) => cluster.urls(),
        }
    }

    pub(crate) fn monitoring(&self) -> Vec<String> {
        match &self.servers {
            Servers::One(server) => vec![server.monitoring_url().unwrap()],
            Servers::Three(cluster) => cluster.monitoring_urls(),
        }
    }

    fn replicas(&self) -> usize {
        self.urls().len()
    }

    /// The one server, where there is one.
    pub(crate) fn server(&mut self) -> &mut NatsServer {
        match &mut self.servers {
            Servers::One(server) => server,
            Servers::Three(_) => panic!("there are three"),
        }
    }

    /// The three servers, where there are three.
    pub(crate) fn cluster(&mut self) -> &mut NatsCluster {
        match &mut self.servers {
            Servers::Three(cluster) => cluster,
            Servers::One(_) => panic!("there is one"),
        }
    }

    /// The seed of a user.
    pub(crate) fn seed(&self, user: &str) -> PathBuf {
        self.folder.join("seeds").join(format!("{user}.nk"))
    }

    /// A connection of this user.
    pub(crate) async fn connected(&self, user: &str) -> Context {
        let seed = std::fs::read_to_string(self.seed(user)).unwrap().trim().to_owned();
        let inbox = wiring::nats::answers_to(&KeyPair::from_seed(&seed).unwrap().public_key());
        let options = ConnectOptions::with_nkey(seed).custom_inbox_prefix(inbox);
        jetstream::new(options.connect(self.urls()).await.unwrap())
    }

    /// What `daypass log` and `daypass keys` are told of the servers by this user.
    pub(crate) fn options(&self, user: &str) -> Vec<String> {
        let monitoring = self.monitoring().into_iter().map(|url| format!("--nats-monitoring={url}"));
        let seed = format!("--nats-seed={}", shown(&self.seed(user)));
        let dev = (self.replicas() == 1).then(|| "--nats-dev".to_owned());
        monitoring.chain([seed]).chain(dev).collect()
    }

    /// The sections of a service, `daypass-request` for example.
    pub(crate) fn sections(&self, service: &str) -> String {
        let user = service.replace("daypass-", "log-");
        let common = format!(
            "engine = \"jetstream\"\nservers = {:?}\nnkey_seed_file = {:?}\nreplicas = {}\ndev = {}\n",
            self.urls(),
            shown(&self.seed(&user)),
            self.replicas(),
            self.replicas() == 1,
        );
        format!(
            "[log]\n{common}monitoring_urls = {:?}\n\n[keys]\n{common}wrapping_keys_file = {:?}\n",
            self.monitoring(),
            shown(&self.wrapping_keys_file()),
        )
    }

    /// The section by which a service reaches the bus, as this user.
    pub(crate) fn bus(&self, user: &str) -> String {
        format!("[bus]\nservers = {:?}\nnkey_seed_file = {:?}\n\n", self.urls(), shown(&self.seed(user)))
    }

    /// The key store, as `audit` sees it.
    pub(crate) fn keys(&self) -> KeysSection {
        KeysSection::Jetstream {
            servers: self.urls(),
            credentials_file: None,
            nkey_seed_file: Some(self.seed("log-audit")),
            ca_file: None,
            replicas: self.replicas(),
            dev: self.replicas() == 1,
            wrapping_keys_file: self.wrapping_keys_file(),
        }
    }

    pub(crate) fn wrapping_keys_file(&self) -> PathBuf {
        self.folder.join("wrapping.keys")
    }
}

async fn done(words: &[&str]) {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    run(&words).await.unwrap();
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

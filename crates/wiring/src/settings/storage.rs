//! Where things are kept, and the bus.

use super::above_zero;
use serde::Deserialize;
use service_runtime::config::{Problem, Section};
use std::path::PathBuf;

/// `[bus]`: NATS, for events to others and signals from them. It may be the cluster that has the log, or another.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BusSection {
    /// URLs: `nats://` or `tls://`.
    pub servers: Vec<String>,
    /// A NATS credentials file.
    #[serde(default)]
    pub credentials_file: Option<PathBuf>,
    /// An NKey seed file.
    #[serde(default)]
    pub nkey_seed_file: Option<PathBuf>,
    /// The CA of the servers.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Copies of every message in a stream that Daypass makes.
    #[serde(default = "bus_replicas")]
    pub replicas: usize,
}

impl BusSection {
    /// A bus on one server without credentials, for development.
    pub fn of_one(server: &str) -> Self {
        Self {
            servers: vec![server.to_owned()],
            credentials_file: None,
            nkey_seed_file: None,
            ca_file: None,
            replicas: 1,
        }
    }
}

fn bus_replicas() -> usize {
    3
}

impl Section for BusSection {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = above_zero("replicas", self.replicas);
        if self.servers.is_empty() {
            problems.push(Problem::new("servers", "must have at least one URL"));
        }
        if self.credentials_file.is_some() && self.nkey_seed_file.is_some() {
            problems.push(Problem::new("nkey_seed_file", "must not be given beside credentials_file"));
        }
        problems
    }
}

/// `[data]`: files beside the log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSection {
    /// Where read models are kept: derived, and deletable. Each process has its own folder.
    pub folder: PathBuf,
    /// The key store: **not** derived. The processes of one machine share it. Default: `keys.db` in the folder. Several machines:
    /// [`KeysSection`].
    #[serde(default)]
    pub keys: Option<PathBuf>,
}

impl DataSection {
    /// The key store, where `[keys]` does not name one.
    pub(super) fn key_store(&self) -> KeysSection {
        KeysSection::Sqlite { path: self.keys.clone().unwrap_or_else(|| self.folder.join("keys.db")) }
    }
}

impl Section for DataSection {}

/// `[keys]`: the key store, where it is not the file of `[data]`. **Not** derived.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "engine", rename_all = "lowercase", deny_unknown_fields)]
pub enum KeysSection {
    /// One machine, whose processes share it.
    Sqlite {
        /// The file.
        path: PathBuf,
    },
    /// Several machines.
    Jetstream {
        /// URLs: `nats://` or `tls://`.
        servers: Vec<String>,
        /// A NATS credentials file.
        #[serde(default)]
        credentials_file: Option<PathBuf>,
        /// An NKey seed file.
        #[serde(default)]
        nkey_seed_file: Option<PathBuf>,
        /// The CA of the servers.
        #[serde(default)]
        ca_file: Option<PathBuf>,
        /// Copies of every key.
        #[serde(default = "key_replicas")]
        replicas: usize,
        /// Allows fewer copies.
        #[serde(default)]
        dev: bool,
        /// The keys of the deployment that people's keys are stored under, one a line, 64 hexadecimal digits each; the first wraps.
        wrapping_keys_file: PathBuf,
    },
}

fn key_replicas() -> usize {
    3
}

impl Section for KeysSection {
    fn problems(&self) -> Vec<Problem> {
        match self {
            Self::Sqlite { path } if path.as_os_str().is_empty() => {
                vec![Problem::new("path", "must not be empty")]
            }
            Self::Sqlite { .. } => Vec::new(),
            Self::Jetstream { servers, credentials_file, nkey_seed_file, replicas, dev, .. } => {
                let mut problems = Vec::new();
                if servers.is_empty() {
                    problems.push(Problem::new("servers", "must have at least one URL"));
                }
                if credentials_file.is_some() && nkey_seed_file.is_some() {
                    problems
                        .push(Problem::new("nkey_seed_file", "must not be given beside credentials_file"));
                }
                if *replicas == 0 || (*replicas < 3 && !dev) {
                    problems.push(Problem::new("replicas", "must be at least 3"));
                }
                problems
            }
        }
    }
}

//! Where a log or a key store is, as people name it: a file, or `nats://host:port`, several with commas between them.

use service_runtime::config::LogConfig;
use std::path::{Path, PathBuf};
use wiring::KeysSection;

/// What is to be known of NATS servers beside their addresses.
#[derive(clap::Args, Default)]
pub(crate) struct NatsServers {
    /// The URL of a NATS server's monitoring endpoint, to see that it syncs always; once for each server.
    #[arg(long = "nats-monitoring", value_name = "URL")]
    pub(crate) monitoring: Vec<String>,
    /// Allow a single NATS server.
    #[arg(long = "nats-dev")]
    pub(crate) dev: bool,
    /// The file with the NKey seed for NATS servers. Of a log: `log-backup.nk` to read, `log-serve.nk` to write in the name of all
    /// services. Of a key store: `log-audit.nk` to read, `log-request.nk` to write.
    #[arg(long = "nats-seed", value_name = "FILE")]
    pub(crate) seed: Option<PathBuf>,
    /// The CA of the NATS servers.
    #[arg(long = "nats-ca-file", value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
}

impl NatsServers {
    /// The log of this name.
    pub(crate) fn log(&self, name: &str) -> LogConfig {
        let Some(servers) = servers(name) else { return LogConfig::Sqlite { path: PathBuf::from(name) } };
        LogConfig::Jetstream {
            servers,
            credentials_file: None,
            nkey_seed_file: self.seed.clone(),
            ca_file: self.ca_file.clone(),
            replicas: self.replicas(),
            dev: self.dev,
            operator_asserts_sync_always: false,
            monitoring_urls: self.monitoring.clone(),
        }
    }

    /// The key store of this name. One on servers has its keys under those of `wrapping_keys`.
    pub(crate) fn keys(&self, name: &str, wrapping_keys: Option<&Path>) -> Result<KeysSection, &'static str> {
        let Some(servers) = servers(name) else {
            return Ok(KeysSection::Sqlite { path: PathBuf::from(name) });
        };
        Ok(KeysSection::Jetstream {
            servers,
            credentials_file: None,
            nkey_seed_file: self.seed.clone(),
            ca_file: self.ca_file.clone(),
            replicas: self.replicas(),
            dev: self.dev,
            wrapping_keys_file: wrapping_keys
                .ok_or("a key store on NATS servers needs --wrapping-keys")?
                .to_owned(),
        })
    }

    fn replicas(&self) -> usize {
        if self.dev { 1 } else { 3 }
    }
}

/// `None`: it is a file.
fn servers(name: &str) -> Option<Vec<String>> {
    let urls: Vec<String> = name.split(',').map(ToOwned::to_owned).collect();
    urls.iter().all(|url| url.starts_with("nats://") || url.starts_with("tls://")).then_some(urls)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_told_from_files() {
        let three = "nats://a:4222,tls://b:4222,nats://c:4222";
        assert_eq!(servers(three).map(|urls| urls.len()), Some(3));
        for file in ["log.db", "nats.db", "./nats://", "nats://a:4222,log.db"] {
            assert_eq!(servers(file), None, "{file}");
        }
        assert!(NatsServers::default().keys(three, None).is_err());
    }
}

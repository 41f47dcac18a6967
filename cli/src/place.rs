//! Where a log or a key store is, as people name it: a file, or `nats://host:port`, several with commas between them; a log also
//! `kurrentdb://host:port`.

use service_runtime::config::{LogConfig, Section as _};
use std::path::{Path, PathBuf};
use wiring::{KeysSection, engine};

/// What is to be known of the servers of logs beside their addresses.
#[derive(clap::Args)]
pub(crate) struct LogServers {
    #[command(flatten)]
    nats: NatsServers,
    #[command(flatten)]
    kurrentdb: KurrentDbServers,
}

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

/// What is to be known of KurrentDB's servers beside their addresses.
#[derive(clap::Args)]
struct KurrentDbServers {
    /// Who we are to KurrentDB: who may read `$all`, and write where the log is made.
    #[arg(long = "kurrentdb-user", value_name = "NAME", requires = "password_file")]
    user: Option<String>,
    /// The file with that user's password.
    #[arg(long = "kurrentdb-password-file", value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// What the log's streams on KurrentDB begin with: `log.namespace`.
    #[arg(long = "kurrentdb-namespace", value_name = "NAME", default_value = "daypass")]
    namespace: String,
    /// The HTTP address of a node of KurrentDB, `https://host:2113`, to see that it flushes to disk; once for each node.
    #[arg(long = "kurrentdb-node", value_name = "URL")]
    node_urls: Vec<String>,
    /// You say that every node of KurrentDB flushes to disk, where that cannot be seen.
    #[arg(long = "kurrentdb-asserts-flush-to-disk")]
    asserts_flush_to_disk: bool,
}

impl LogServers {
    /// The log of this name; or why it names none. The name is not repeated: it may hold a password.
    pub(crate) fn log(&self, name: &str) -> Result<LogConfig, String> {
        let log = match servers(name) {
            Some(servers) => self.nats.log(servers),
            None if is_kurrentdb(name) => self.kurrentdb.log(name),
            None => LogConfig::Sqlite { path: PathBuf::from(name) },
        };
        match engine::problem(&log).or_else(|| log.problems().into_iter().next()) {
            None => Ok(log),
            Some(problem) => Err(format!("the name of the log: {}", problem.why)),
        }
    }
}

impl KurrentDbServers {
    fn log(&self, connection: &str) -> LogConfig {
        LogConfig::Kurrentdb {
            connection: connection.to_owned(),
            user: self.user.clone(),
            password_file: self.password_file.clone(),
            namespace: self.namespace.clone(),
            node_urls: self.node_urls.clone(),
            operator_asserts_flush_to_disk: self.asserts_flush_to_disk,
        }
    }
}

impl NatsServers {
    /// The log on these servers.
    pub(crate) fn log(&self, servers: Vec<String>) -> LogConfig {
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
        if is_kurrentdb(name) {
            return Err("KurrentDB has no key store: it is a file, or on NATS servers");
        }
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

/// `None`: it is on no NATS servers.
fn servers(name: &str) -> Option<Vec<String>> {
    let urls: Vec<String> = name.split(',').map(ToOwned::to_owned).collect();
    urls.iter().all(|url| url.starts_with("nats://") || url.starts_with("tls://")).then_some(urls)
}

/// What KurrentDB's client takes, the server's names of before with it.
fn is_kurrentdb(name: &str) -> bool {
    let Some((scheme, _)) = name.split_once("://") else { return false };
    let scheme = scheme.to_ascii_lowercase();
    let plain = scheme.strip_suffix("+discover").unwrap_or(&scheme);
    ["kurrentdb", "kurrent", "kdb", "esdb"].contains(&plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    /// A command that takes a log.
    #[derive(clap::Parser)]
    struct OfLog {
        name: String,
        #[command(flatten)]
        servers: LogServers,
    }

    fn log(words: &str) -> Result<LogConfig, String> {
        let line = format!("log {words}");
        let OfLog { name, servers } =
            OfLog::try_parse_from(line.split(' ')).map_err(|error| error.to_string())?;
        servers.log(&name)
    }

    #[test]
    fn servers_are_told_from_files() {
        let three = "nats://a:4222,tls://b:4222,nats://c:4222";
        assert_eq!(servers(three).map(|urls| urls.len()), Some(3));
        assert!(matches!(log(three), Ok(LogConfig::Jetstream { .. })));
        for file in
            ["log.db", "nats.db", "./nats://", "nats://a:4222,log.db", "kurrentdb.db", "./kurrentdb://"]
        {
            assert_eq!(servers(file), None, "{file}");
            assert_eq!(log(file), Ok(LogConfig::Sqlite { path: file.into() }));
        }
        assert!(NatsServers::default().keys(three, None).is_err());
    }

    #[test]
    #[cfg(feature = "kurrentdb")]
    fn a_log_on_kurrentdb_is_named_by_its_connection() {
        for connection in [
            "kurrentdb://a:2113",
            "kurrentdb://a:2113,b:2113?tlsCaFile=/ca.crt",
            "kurrentdb+discover://cluster",
            "KurrentDB://a",
            "esdb://a:2113?tls=false",
        ] {
            let plain = LogConfig::Kurrentdb {
                connection: connection.to_owned(),
                user: None,
                password_file: None,
                namespace: "daypass".to_owned(),
                node_urls: Vec::new(),
                operator_asserts_flush_to_disk: false,
            };
            assert_eq!(log(connection), Ok(plain));
        }
        let options = "kurrentdb://a --kurrentdb-user ops --kurrentdb-password-file p --kurrentdb-namespace other \
                       --kurrentdb-node https://a:2113 --kurrentdb-node https://b:2113 --kurrentdb-asserts-flush-to-disk";
        let told = LogConfig::Kurrentdb {
            connection: "kurrentdb://a".to_owned(),
            user: Some("ops".to_owned()),
            password_file: Some("p".into()),
            namespace: "other".to_owned(),
            node_urls: vec!["https://a:2113".to_owned(), "https://b:2113".to_owned()],
            operator_asserts_flush_to_disk: true,
        };
        assert_eq!(log(options), Ok(told));
    }

    #[test]
    #[cfg(feature = "kurrentdb")]
    fn a_password_in_the_name_of_a_log_is_refused_and_not_repeated() {
        let refused = log("kurrentdb://ops:canary@a:2113").unwrap_err();
        assert!(refused.contains("password") && !refused.contains("canary"), "{refused}");
    }

    #[test]
    #[cfg(not(feature = "kurrentdb"))]
    fn a_program_without_kurrentdb_takes_none_of_its_names_for_a_file() {
        for name in
            ["kurrentdb://a:2113", "kurrentdb+discover://a", "kdb://a", "esdb+discover://ops:canary@a"]
        {
            let refused = log(name).unwrap_err();
            assert!(refused.contains("feature `kurrentdb`") && !refused.contains("canary"), "{refused}");
        }
    }

    #[test]
    fn a_user_of_kurrentdb_has_a_password() {
        for half in ["--kurrentdb-user ops", "--kurrentdb-password-file p"] {
            assert!(log(&format!("kurrentdb://a {half}")).unwrap_err().contains("--kurrentdb-"), "{half}");
        }
    }

    #[test]
    fn no_key_store_is_on_kurrentdb() {
        for name in ["kurrentdb://a:2113", "kurrent+discover://a"] {
            assert!(NatsServers::default().keys(name, None).is_err(), "{name}");
        }
    }
}

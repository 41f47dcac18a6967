//! nats-server with JetStream: one real server, which can be killed and started again on the same store and ports.

use crate::process::{Process, READY_WITHIN, StartError};
use crate::tools::python_tool;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How often a restart is tried when something else holds the old ports for a moment.
const RESTART_TRIES: usize = 5;

/// Its configuration, in the folder of its process.
const CONFIG: &str = "nats.conf";
/// What it says each time that it has read that again.
const RELOADED: &str = "Reloaded server configuration";

/// How the server runs.
#[derive(Clone, Debug)]
pub struct NatsOptions {
    /// Whether JetStream syncs to disk before it acknowledges (`sync_interval: always`); else its default of two minutes.
    pub sync_always: bool,
    /// Whether the monitoring endpoint (`/jsz`, `/varz`) is served.
    pub monitoring: bool,
    /// What JetStream may take of the disk, in bytes. Streams reserve theirs: by its default, three quarters of what is free, a test would
    /// depend on the machine.
    pub storage_max: u64,
    /// More configuration in nats-server's own format; accounts, for example.
    pub extra: String,
    /// How long a start may take: the server reads its store first.
    pub ready_within: Duration,
}

/// More than any test takes.
const STORAGE_MAX: u64 = 64 << 30;

impl Default for NatsOptions {
    /// As Daypass wants it: synced, with monitoring.
    fn default() -> Self {
        Self {
            sync_always: true,
            monitoring: true,
            storage_max: STORAGE_MAX,
            extra: String::new(),
            ready_within: READY_WITHIN,
        }
    }
}

/// A running nats-server, with a store of its own that is deleted when this is dropped.
#[derive(Debug)]
pub struct NatsServer {
    options: NatsOptions,
    ports: Ports,
    /// Those that it was given, if it was: a reload must not name others.
    given: Option<Ports>,
    /// `None` after [`kill`](Self::kill). Declared before the store, so that the server is gone before its files are.
    process: Option<Process>,
    store: TempDir,
}

/// Publishes as no client does: any bytes as subject and, where there are some, as headers, which begin with a line that says their
/// version and end with an empty one. The server has taken it when this returns.
pub async fn publish_raw(url: &str, subject: &[u8], headers: &[u8], body: &[u8]) -> std::io::Result<()> {
    let mut server = TcpStream::connect(url.trim_start_matches("nats://")).await?;
    let lengths = match headers.len() {
        0 => body.len().to_string(),
        length => format!("{length} {}", length + body.len()),
    };
    let verb: &[u8] = if headers.is_empty() { b"PUB " } else { b"HPUB " };
    let connect = br#"CONNECT {"verbose":false,"pedantic":false,"headers":true}"#;
    let publish = [verb, subject, b" ", lengths.as_bytes(), b"\r\n", headers, body].concat();
    server.write_all(&[connect.as_slice(), b"\r\n", &publish, b"\r\nPING\r\n"].concat()).await?;
    let mut said = String::new();
    while !said.contains("PONG") {
        let mut buffer = [0; 4_096];
        let read = server.read(&mut buffer).await?;
        said += &String::from_utf8_lossy(buffer.get(..read).unwrap_or_default());
        if read == 0 || said.contains("-ERR") {
            return Err(std::io::Error::other(said));
        }
    }
    Ok(())
}

/// The ports that the server took.
#[derive(Clone, Copy, Debug)]
struct Ports {
    client: u16,
    monitoring: Option<u16>,
}

impl NatsServer {
    /// Starts a server on free ports and waits until it answers.
    pub async fn start(options: NatsOptions) -> Result<Self, StartError> {
        let store = tempfile::tempdir()?;
        let (process, ports) = run(&options, store.path(), None).await?;
        Ok(Self { options, ports, given: None, process: Some(process), store })
    }

    /// Where clients connect: `nats://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address())
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports.client).into()
    }

    /// Where monitoring is served, if it is: `http://127.0.0.1:port`.
    pub fn monitoring_url(&self) -> Option<String> {
        self.ports.monitoring.map(|port| format!("http://127.0.0.1:{port}"))
    }

    /// Ends the server at once, as a crash would (SIGKILL); its store stays.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts the server again on the same store and ports; kills it first when it runs.
    pub async fn restart(&mut self) -> Result<(), StartError> {
        let mut tried = 0;
        loop {
            self.kill();
            tried += 1;
            match run(&self.options, self.store.path(), Some(self.ports)).await {
                Err(StartError::Ended { .. }) if tried < RESTART_TRIES => {}
                outcome => {
                    self.process = Some(outcome?.0);
                    self.given = Some(self.ports);
                    return Ok(());
                }
            }
        }
    }

    /// Has the server read its configuration again as an operator does (SIGHUP), with these options, and waits until it has. Does
    /// nothing to one that does not run.
    pub async fn reload(&mut self, options: NatsOptions) -> Result<(), StartError> {
        let times_told =
            |log: &Path| std::fs::read_to_string(log).unwrap_or_default().matches(RELOADED).count();
        self.options = options;
        let Some(process) = &mut self.process else { return Ok(()) };
        let text = config_text(&self.options, self.store.path(), process.folder(), self.given);
        std::fs::write(process.folder().join(CONFIG), text)?;
        let log = process.log_file();
        let before = times_told(&log);
        process.signal("HUP")?;
        process
            .until(|| {
                let reloaded = times_told(&log) > before;
                async move { reloaded }
            })
            .await
    }

    /// Stops the server as an operator does (SIGTERM): it writes down where it stands. Its store stays.
    pub async fn stop(&mut self) -> Result<(), StartError> {
        match self.process.take() {
            Some(process) => process.end().await,
            None => Ok(()),
        }
    }

    /// From the next start on it runs with these options.
    pub fn set_options(&mut self, options: NatsOptions) {
        self.options = options;
    }

    /// The operating system's id of the server, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// Where it keeps what is stored.
    pub fn store(&self) -> &Path {
        self.store.path()
    }

    /// What it has written lately, for the message of a failing test.
    pub fn log_tail(&self) -> String {
        self.process.as_ref().map(Process::log_tail).unwrap_or_default()
    }
}

/// Starts a server on a store, on these ports or on free ones of its own choice.
async fn run(
    options: &NatsOptions,
    store: &Path,
    ports: Option<Ports>,
) -> Result<(Process, Ports), StartError> {
    let folder = tempfile::tempdir()?;
    let config = folder.path().join(CONFIG);
    std::fs::write(&config, config_text(options, store, folder.path(), ports))?;
    let mut command = Command::new(python_tool("nats-server")?);
    command.arg("-c").arg(&config);
    let mut process = Process::spawn("nats-server", &mut command, folder)?.ready_within(options.ready_within);
    let ports_file = process.folder().join(format!("nats-server_{}.ports", process.pid()));
    // Written when all listeners are there, after JetStream has recovered its store.
    process
        .until(|| {
            let found = read_ports(&ports_file).is_some();
            async move { found }
        })
        .await?;
    let ports = read_ports(&ports_file).ok_or_else(|| std::io::Error::other("the ports file is gone"))?;
    process.until_listening((Ipv4Addr::LOCALHOST, ports.client).into()).await?;
    if let Some(port) = ports.monitoring {
        process.until_http(&format!("http://127.0.0.1:{port}/healthz")).await?;
    }
    Ok((process, ports))
}

fn config_text(options: &NatsOptions, store: &Path, folder: &Path, ports: Option<Ports>) -> String {
    // -1: any free port.
    let client = ports.map_or(-1, |ports| ports.client.into());
    let monitoring = ports.and_then(|ports| ports.monitoring).map_or(-1, i32::from);
    let mut lines =
        vec![format!("listen: \"127.0.0.1:{client}\""), format!("ports_file_dir: {:?}", folder.display())];
    if options.monitoring {
        lines.push(format!("http: \"127.0.0.1:{monitoring}\""));
    }
    lines.push(jetstream_block(options, store));
    lines.push(options.extra.clone());
    lines.join("\n")
}

/// The part of the configuration that is about JetStream.
pub(crate) fn jetstream_block(options: &NatsOptions, store: &Path) -> String {
    let sync = if options.sync_always { "sync_interval: always" } else { "" };
    let storage = options.storage_max;
    format!("jetstream {{ store_dir: {:?}\n {sync}\n max_file_store: {storage} }}", store.display())
}

fn read_ports(file: &Path) -> Option<Ports> {
    let text = std::fs::read(file).ok()?;
    let listeners: serde_json::Value = serde_json::from_slice(&text).ok()?;
    let port = |of: &str| {
        let url = listeners.get(of)?.get(0)?.as_str()?;
        url.rsplit(':').next()?.parse().ok()
    };
    Some(Ports { client: port("nats")?, monitoring: port("monitoring") })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn jetstream(server: &NatsServer) -> serde_json::Value {
        let url = format!("{}/jsz?config=1", server.monitoring_url().unwrap());
        reqwest::get(url).await.unwrap().json().await.unwrap()
    }

    #[tokio::test]
    async fn a_restarted_server_has_its_ports_and_its_store() {
        let mut server = NatsServer::start(NatsOptions::default()).await.unwrap();
        let (address, before) = (server.address(), jetstream(&server).await);
        server.kill();
        assert!(TcpStream::connect(address).await.is_err());
        server.restart().await.unwrap();
        let after = jetstream(&server).await;
        assert_eq!(server.address(), address);
        assert_eq!(before["config"]["store_dir"], after["config"]["store_dir"]);
        assert_ne!(before["server_id"], after["server_id"]);
    }

    #[tokio::test]
    async fn syncing_before_acknowledging_is_a_choice() {
        for sync_always in [true, false] {
            let options = NatsOptions { sync_always, ..NatsOptions::default() };
            let server = NatsServer::start(options).await.unwrap();
            assert_eq!(jetstream(&server).await["config"]["sync_always"] == true, sync_always);
        }
    }
}

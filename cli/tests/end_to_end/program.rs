//! One process of Daypass, which can be killed and started again on its configuration.

use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use test_servers::process::{Process, StartError};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// How often a start is tried when something else holds the port for a moment.
const START_TRIES: usize = 5;

/// A program that serves.
pub(crate) struct Program {
    name: &'static str,
    path: PathBuf,
    arguments: Vec<PathBuf>,
    address: String,
    /// Who vouches for its certificate, if it has one.
    ca: Option<PathBuf>,
    process: Option<Process>,
}

impl Program {
    /// `name` with these arguments, which will answer at `address`. Does not run yet.
    pub(crate) fn new(name: &'static str, arguments: Vec<PathBuf>, address: String) -> Self {
        Self { name, path: program(name), arguments, address, ca: None, process: None }
    }

    /// The same, with a certificate of this CA.
    pub(crate) fn under(self, ca: Option<PathBuf>) -> Self {
        Self { ca, ..self }
    }

    /// From the next start on, the program at `path` runs in its place, with a configuration of its own.
    pub(crate) fn becomes(&mut self, path: PathBuf, config: PathBuf) {
        self.path = path;
        self.arguments = vec!["--config".into(), config];
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Starts the process; it may not be ready yet.
    pub(crate) fn launch(&mut self) {
        let mut command = Command::new(&self.path);
        // What is configured is in the file: nothing comes from the environment of whoever runs the tests.
        command.args(&self.arguments).env_clear();
        self.process = Some(Process::spawn(self.name, &mut command, TempDir::new().unwrap()).unwrap());
    }

    /// Waits until the process, which was launched, says by `grpc.health.v1` that it is ready. Nobody needs a token for that.
    pub(crate) async fn until_ready(&mut self) {
        for tried in 1.. {
            let endpoint = endpoint(&self.address, self.ca.as_deref());
            let ready = || is_ready(endpoint.clone());
            match self.process.as_mut().unwrap().until(ready).await {
                Ok(()) => return,
                Err(StartError::Ended { log, .. })
                    if tried < START_TRIES && log.contains("cannot listen") =>
                {
                    self.launch();
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// SIGKILL: no goodbye, nothing is written any more.
    pub(crate) fn kill(&mut self) {
        self.process.take().unwrap().kill();
    }

    /// SIGSTOP or SIGCONT: nothing happens in it for a while, and it knows nothing of that. SIGTERM: it is to end.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.process.as_ref().unwrap().pid();
        let sent = Command::new("sh").arg("-c").arg(format!("kill -{signal} {pid}")).status().unwrap();
        assert!(sent.success(), "{signal} to {}", self.name);
    }

    /// Waits until the process, which was told to end, has ended. Gives back what it wrote.
    pub(crate) async fn ended(&mut self) -> String {
        let process = self.process.as_mut().unwrap();
        // It "ends early", as far as a start is concerned.
        let ended = process.until(|| async { false }).await.unwrap_err();
        assert!(matches!(ended, StartError::Ended { .. }), "{ended}");
        let written = process.log();
        self.process = None;
        written
    }

    /// What health says: whether it can be used; `None`: nobody answers.
    pub(crate) async fn health(&self) -> Option<bool> {
        serving(endpoint(&self.address, self.ca.as_deref())).await
    }

    pub(crate) fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// What it wrote last, for the message of a failing test.
    pub(crate) fn log_tail(&self) -> String {
        let tail = self.process.as_ref().map(Process::log_tail).unwrap_or_default();
        format!("--- {}\n{tail}\n", self.name)
    }
}

async fn is_ready(endpoint: Endpoint) -> bool {
    serving(endpoint).await == Some(true)
}

async fn serving(endpoint: Endpoint) -> Option<bool> {
    let channel = endpoint.connect().await.ok()?;
    let answer = HealthClient::new(channel).check(HealthCheckRequest::default()).await.ok()?;
    Some(answer.into_inner().status() == ServingStatus::Serving)
}

/// The way to a server, whose certificate `ca` vouches for.
pub(crate) fn endpoint(address: &str, ca: Option<&Path>) -> Endpoint {
    let endpoint = Endpoint::from_shared(address.to_owned()).unwrap();
    match ca {
        None => endpoint,
        Some(ca) => {
            let ca = Certificate::from_pem(std::fs::read(ca).unwrap());
            endpoint.tls_config(ClientTlsConfig::new().ca_certificate(ca)).unwrap()
        }
    }
}

/// A program of this workspace, as it was built.
pub(crate) fn program(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_daypass")).with_file_name(name);
    assert!(path.exists(), "{} is not there: run `cargo build --workspace --bins` first", path.display());
    path
}

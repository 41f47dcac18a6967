//! A Daypass process to measure: the release binary, as users start it.

use crate::{Failed, memory};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// When waiting until it is ready, or until it has ended, is given up.
const READY_WITHIN: Duration = Duration::from_mins(1);
/// Questions meanwhile, at most: one every 2 ms for a minute, well below what is measured.
const QUESTIONS: u32 = 30_000;

/// Who calls.
pub(crate) type Bearer = MetadataValue<Ascii>;

/// `message`, from `bearer`.
pub(crate) fn with<T>(bearer: &Bearer, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", bearer.clone());
    request
}

/// A running `daypass dev`; ends with this value.
pub(crate) struct Daypass {
    pub(crate) url: String,
    pub(crate) folder: Arc<TempDir>,
    child: Child,
}

impl Daypass {
    /// Starts it on a free port, with `policy` and more arguments.
    pub(crate) async fn start(policy: Option<&str>, more: &[String]) -> Result<Self, Failed> {
        Self::start_in(Arc::new(tempfile::tempdir()?), policy, more).await
    }

    /// Starts it on what an earlier one may have left in `folder`.
    pub(crate) async fn start_in(
        folder: Arc<TempDir>,
        policy: Option<&str>,
        more: &[String],
    ) -> Result<Self, Failed> {
        let mut command = Command::new(program("daypass")?);
        command.args(["dev", "--listen", "127.0.0.1:0", "--dev-folder"]).arg(folder.path()).args(more);
        if let Some(policy) = policy {
            let file = folder.path().join("policy.toml");
            std::fs::write(&file, policy)?;
            command.arg("--policy").arg(file);
        }
        let mut child = command.stdout(Stdio::piped()).stdin(Stdio::null()).kill_on_drop(true).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        let url = loop {
            let line = lines.next_line().await?.ok_or("daypass ended before it was listening")?;
            if let Some(url) = line.split_whitespace().find(|word| word.starts_with("http://")) {
                break url.trim_end_matches([',', '.']).to_owned();
            }
        };
        // Keeps the pipe from filling up.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { url, folder, child })
    }

    /// Returns once its health says SERVING.
    pub(crate) async fn ready(&self) -> Result<(), Failed> {
        self.ready_within(READY_WITHIN).await
    }

    /// The same, of one that has much to read before.
    pub(crate) async fn ready_within(&self, within: Duration) -> Result<(), Failed> {
        let mut health = HealthClient::new(Endpoint::from_shared(self.url.clone())?.connect_lazy());
        let serving = async {
            loop {
                let answer = health.check(HealthCheckRequest::default()).await;
                if answer.is_ok_and(|answer| answer.into_inner().status() == ServingStatus::Serving) {
                    return;
                }
                tokio::time::sleep(within / QUESTIONS).await;
            }
        };
        tokio::time::timeout(within, serving).await.map_err(|_| "daypass was not ready in time".into())
    }

    /// Ends it without a word, and waits until it is gone.
    pub(crate) async fn stop(mut self) -> Result<(), Failed> {
        Ok(self.child.kill().await?)
    }

    /// Asks it to end as an operator does (SIGTERM), and waits until it has.
    pub(crate) async fn end(mut self) -> Result<(), Failed> {
        let pid = self.child.id().ok_or("it has ended")?.to_string();
        if !Command::new("kill").args(["-TERM", &pid]).status().await?.success() {
            return Err("daypass could not be asked to end".into());
        }
        let ended = tokio::time::timeout(READY_WITHIN, self.child.wait()).await;
        ended.map_err(|_| "daypass did not end in time")??;
        Ok(())
    }

    /// The token of a person, as their calls carry it.
    pub(crate) fn bearer(&self, name: &str) -> Result<Bearer, Failed> {
        let token = std::fs::read_to_string(self.folder.path().join("tokens").join(name))?;
        Ok(format!("Bearer {token}").parse()?)
    }

    /// The processor time that it has used so far, in user and kernel mode: what other programs on the machine change least.
    pub(crate) fn processor_time(&self) -> Result<Duration, Failed> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id().ok_or("it has ended")?))?;
        // proc(5): the name, in parentheses, is the second field; these are the 14th and 15th, in hundredths of a second.
        let (_, fields) = stat.rsplit_once(')').ok_or("no name")?;
        let ticks =
            fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
        Ok(Duration::from_millis(ticks * 10))
    }

    /// Resident memory in MiB, and its highest so far.
    pub(crate) fn memory(&self) -> Result<(f64, f64), Failed> {
        memory::of(self.child.id().ok_or("it has ended")?)
    }
}

/// A binary beside this one: the same profile, the same build.
pub(crate) fn program(name: &str) -> Result<PathBuf, Failed> {
    let own = std::env::current_exe()?;
    let path = own.parent().unwrap_or(Path::new(".")).join(name);
    if path.exists() {
        Ok(path)
    } else {
        let package = name.strip_prefix("daypass-").unwrap_or(name);
        Err(format!("build it first: cargo build --release -p {package} ({})", path.display()).into())
    }
}

/// Whether health says SERVING there.
pub(crate) async fn is_serving(endpoint: Endpoint) -> bool {
    let answer = HealthClient::new(endpoint.connect_lazy()).check(HealthCheckRequest::default()).await;
    answer.is_ok_and(|answer| answer.into_inner().status() == ServingStatus::Serving)
}

/// Connections: one for every 16 callers, as a client with a few pods has.
pub(crate) async fn channels(url: &str, callers: usize) -> Result<Vec<Channel>, Failed> {
    let mut channels = Vec::new();
    for _ in 0..callers.div_ceil(16) {
        channels.push(Endpoint::from_shared(url.to_owned())?.tcp_nodelay(true).connect().await?);
    }
    Ok(channels)
}

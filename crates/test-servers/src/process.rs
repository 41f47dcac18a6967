//! One child process: started with its output in a file, waited for until it answers, killed by its own handle when dropped.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

/// How long a server may take until it answers; generous, because test machines are busy.
pub const READY_WITHIN: Duration = Duration::from_mins(1);

/// How often readiness is looked at.
const POLL: Duration = Duration::from_millis(50);

/// The file of a child's output, in its folder.
const LOG: &str = "log";

/// How much of a failed server's output an error repeats.
const LOG_TAIL: usize = 4_000;

/// A server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its program is not there.
    #[error(transparent)]
    Missing(#[from] crate::tools::Missing),
    /// The operating system said no.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// It ended before it answered.
    #[error("{name} ended with {status} before it was ready:\n{log}")]
    Ended {
        /// Which server.
        name: &'static str,
        /// How it ended.
        status: std::process::ExitStatus,
        /// The end of its output.
        log: String,
    },
    /// It did not answer in time.
    #[error("{name} was not ready in time:\n{log}")]
    Late {
        /// Which server.
        name: &'static str,
        /// The end of its output.
        log: String,
    },
}

/// A running child and a folder of its own, for its data and its log. Dropping it kills the one and deletes the other.
#[derive(Debug)]
pub struct Process {
    name: &'static str,
    child: Child,
    folder: TempDir,
    ready_within: Duration,
}

impl Process {
    /// Starts `command`; its output goes to `log` in `folder`.
    pub fn spawn(name: &'static str, command: &mut Command, folder: TempDir) -> Result<Self, StartError> {
        let log = std::fs::File::create(folder.path().join(LOG))?;
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        Ok(Self { name, child, folder, ready_within: READY_WITHIN })
    }

    /// The same, but it may take so long until it is ready.
    #[must_use]
    pub fn ready_within(mut self, within: Duration) -> Self {
        self.ready_within = within;
        self
    }

    /// Waits until `address` accepts connections.
    pub async fn until_listening(&mut self, address: SocketAddr) -> Result<(), StartError> {
        self.until(|| async move {
            matches!(
                timeout(Duration::from_secs(1), tokio::net::TcpStream::connect(address)).await,
                Ok(Ok(_))
            )
        })
        .await
    }

    /// Waits until a GET of `url` succeeds.
    pub async fn until_http(&mut self, url: &str) -> Result<(), StartError> {
        let client = reqwest::Client::builder().no_proxy().build().map_err(std::io::Error::other)?;
        self.until(|| {
            let get = client.get(url).timeout(Duration::from_secs(2)).send();
            async move { get.await.is_ok_and(|answer| answer.status().is_success()) }
        })
        .await
    }

    /// Waits until `ready` says so, the child ends, or time is up.
    pub async fn until<F: Future<Output = bool>>(&mut self, ready: impl Fn() -> F) -> Result<(), StartError> {
        let deadline = Instant::now() + self.ready_within;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Err(StartError::Ended { name: self.name, status, log: self.log_tail() });
            }
            if ready().await {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(StartError::Late { name: self.name, log: self.log_tail() });
            }
            sleep(POLL).await;
        }
    }

    /// The operating system's id of the child, for tests that pause or kill it themselves.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends the child a signal by name, `STOP` or `CONT` mostly.
    pub fn signal(&self, name: &str) -> std::io::Result<()> {
        let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", self.pid())).status()?;
        if sent.success() { Ok(()) } else { Err(std::io::Error::other("the child is gone")) }
    }

    /// The child's own folder; gone when this handle is.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Ends the child at once, as a crash would (SIGKILL), and waits for its end.
    pub fn kill(&mut self) {
        // Either call fails only when the child has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks the child to end (SIGTERM), and waits until it has.
    pub async fn end(mut self) -> Result<(), StartError> {
        self.signal("TERM")?;
        let deadline = Instant::now() + self.ready_within;
        while self.child.try_wait()?.is_none() {
            if Instant::now() >= deadline {
                return Err(StartError::Late { name: self.name, log: self.log_tail() });
            }
            sleep(POLL).await;
        }
        Ok(())
    }

    /// Ends the child and hands its folder back, so that another can be started on the same data.
    pub fn into_folder(self) -> Result<TempDir, StartError> {
        let mut this = self;
        this.kill();
        let empty = tempfile::tempdir()?;
        Ok(std::mem::replace(&mut this.folder, empty))
    }

    /// Where the child's output goes.
    pub fn log_file(&self) -> std::path::PathBuf {
        self.folder.path().join(LOG)
    }

    /// What the child has written.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&self.written()).into_owned()
    }

    /// The end of what the child has written.
    pub fn log_tail(&self) -> String {
        let bytes = self.written();
        let from = bytes.len().saturating_sub(LOG_TAIL);
        String::from_utf8_lossy(bytes.get(from..).unwrap_or_default()).into_owned()
    }

    fn written(&self) -> Vec<u8> {
        std::fs::read(self.log_file()).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A loopback port that was free a moment ago. Whoever starts a server on it checks that the server came up, and tries
/// another port when something else was faster.
pub fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_child_that_ends_early_is_told_with_its_output() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such thing >&2; exit 3"]);
        let mut process = Process::spawn("sh", &mut command, tempfile::tempdir().unwrap()).unwrap();
        let error = process.until(|| async { false }).await.unwrap_err();
        assert!(matches!(&error, StartError::Ended { log, .. } if log.contains("no such thing")), "{error}");
    }

    #[tokio::test]
    async fn dropping_the_handle_ends_the_child() {
        let mut command = Command::new("sleep");
        command.arg("600");
        let process = Process::spawn("sleep", &mut command, tempfile::tempdir().unwrap()).unwrap();
        let alive = format!("/proc/{}/stat", process.pid());
        assert!(std::path::Path::new(&alive).exists());
        drop(process);
        assert!(!std::path::Path::new(&alive).exists());
    }
}

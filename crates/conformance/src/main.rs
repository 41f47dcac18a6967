//! `conformance`: the whole contract of the event log, run against a real server by URL. One static program without anything beside
//! it, for where such a server is and a Rust toolchain is not.
//!
//! ```text
//! conformance --engine sqlite     --url /tmp/folder
//! conformance --engine jetstream  --url nats://127.0.0.1:4222 --replicas 3 --monitoring http://127.0.0.1:8222 --erase
//! conformance --engine kurrentdb  --url 'kurrentdb://127.0.0.1:2113?tls=false' --node http://127.0.0.1:2113
//! ```
//!
//! A line for each case, then `N passed, N failed`; ends with 1 if any failed, with 2 if the server could not be used, or not any
//! more.

#![expect(clippy::expect_used, reason = "a suite: what breaks it is told by panicking")]

mod fixture;

use clap::Parser;
use event_log::LogError;
use event_log::conformance::{Case, Fixture, cases};
use futures::FutureExt as _;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::sync::mpsc;

#[derive(Parser)]
#[command(version, about = "Runs the contract of the event log against a server.")]
struct Arguments {
    /// Which engine.
    #[arg(long, value_enum)]
    engine: Engine,
    /// Where: a folder (sqlite), `nats://host:port` (several with commas), or `kurrentdb://host:port`.
    #[arg(long)]
    url: String,
    /// Only cases whose names contain this.
    #[arg(long)]
    case: Option<String>,
    /// jetstream: a credentials file.
    #[arg(long)]
    credentials: Option<PathBuf>,
    /// jetstream: an nkey seed file.
    #[arg(long, conflicts_with = "credentials")]
    nkey_seed: Option<PathBuf>,
    /// jetstream: a CA that signed the servers' certificates.
    #[arg(long)]
    ca: Option<PathBuf>,
    /// jetstream: on how many servers the log is kept. Fewer than 3 is for development.
    #[arg(long, default_value_t = 1)]
    replicas: usize,
    /// jetstream: a server's monitoring endpoint; once for each.
    #[arg(long)]
    monitoring: Vec<String>,
    /// jetstream: you say that every server has `sync_interval: always`.
    #[arg(long)]
    asserts_sync_always: bool,
    /// jetstream: the stream DAYPASS_LOG is deleted before every case. Without this, a server that has one is refused.
    #[arg(long)]
    erase: bool,
    /// kurrentdb: a user; the password is read from the environment variable `KURRENTDB_PASSWORD`.
    #[arg(long)]
    user: Option<String>,
    /// kurrentdb: a node's HTTP address, to see its options; once for each.
    #[arg(long)]
    node: Vec<String>,
    /// kurrentdb: you say that every node flushes to disk.
    #[arg(long)]
    asserts_flush_to_disk: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Engine {
    Sqlite,
    Jetstream,
    Kurrentdb,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // The engines' clients bring two crypto providers between them, and rustls takes none of its own accord. The first one stays.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let (unusable, mut told) = mpsc::unbounded_channel();
    let fixture = match fixture::make(&arguments, unusable).await {
        Ok(fixture) => fixture,
        Err(error) => return without_server(&error),
    };
    let wanted = |case: &Case| arguments.case.as_ref().is_none_or(|part| case.name.contains(part.as_str()));
    let (mut passed, mut failed) = (0_usize, 0_usize);
    for case in cases().into_iter().filter(wanted) {
        let running = AssertUnwindSafe((case.run)(fixture.as_ref())).catch_unwind();
        let kept = tokio::select! {
            // A broken promise is told by panicking: its message is on standard error already.
            ended = running => ended.is_ok(),
            Some(error) = told.recv() => return without_server(&error),
        };
        say(&format!("{} {}", if kept { "ok    " } else { "FAILED" }, case.name));
        *(if kept { &mut passed } else { &mut failed }) += 1;
    }
    say(&format!("{passed} passed, {failed} failed"));
    if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether promises are kept cannot be told.
fn without_server(error: &LogError) -> ExitCode {
    say(&format!("the server cannot be used: {error}"));
    ExitCode::from(2)
}

#[expect(clippy::print_stdout, reason = "results are what this program is for")]
fn say(line: &str) {
    println!("{line}");
}

/// A fixture, or why there is none.
type Fixed = Result<Box<dyn Fixture>, LogError>;

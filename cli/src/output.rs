//! What is written: tables for people, JSON for programs, complaints on standard error.

pub(crate) mod json;
pub(crate) mod request;
pub(crate) mod table;
pub(crate) mod text;

use crate::error::Error;
use service_runtime::config::TelemetryConfig;
use service_runtime::telemetry;
use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

/// For whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people: names and times, fitting the terminal
    #[default]
    Table,
    /// For programs: one object or array, as protobuf writes JSON
    Json,
}

/// What a shell calls a program that was interrupted: 128 + SIGINT.
const INTERRUPTED: u8 = 130;

/// Waits for a command, and tells how it went. An interruption ends it, and lets it clean up.
pub(crate) async fn finish(format: Format, work: impl Future<Output = Result<(), Error>>) -> ExitCode {
    let outcome = tokio::select! {
        biased;
        outcome = work => outcome,
        _ = tokio::signal::ctrl_c() => return ExitCode::from(INTERRUPTED),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            match (&error, format) {
                (Error::NobodyReads, _) => {}
                (_, Format::Table) => warn(&format!("daypass: {}", error.words())),
                (_, Format::Json) => warn(&json::text(&error.object())),
            }
            error.exit_code()
        }
    }
}

/// Runs a command of an operator, with what libraries warn of on standard error: a copy that lacks something, a server that was not looked
/// at. Verbs for people do without: what a service says no to is all that concerns them.
pub(crate) async fn with_warnings(work: impl Future<Output = ExitCode>) -> ExitCode {
    let telemetry = match telemetry::init(&TelemetryConfig::for_people("warn"), "daypass") {
        Ok(telemetry) => telemetry,
        Err(error) => return crate::error::complain(&error),
    };
    let code = work.await;
    telemetry.shutdown();
    code
}

/// Writes a result, and a line break.
pub(crate) fn print(text: &str) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(|error| {
        if error.kind() == ErrorKind::BrokenPipe {
            Error::NobodyReads
        } else {
            Error::Failed(format!("standard output: {error}"))
        }
    })
}

/// Writes what is not the result: complaints, remarks. Where standard error is gone there is nobody to tell.
pub(crate) fn warn(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

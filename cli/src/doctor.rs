//! `daypass doctor`: looks whether what a configuration names is there and as it must be, and says what to do where it is not.
//!
//! In reading order: [`finding`] is one line of the answer; [`log`], [`stores`] and [`others`] look.
//!
//! INVARIANT: reads only. Nothing is made, and nothing changed. No rule is decided here: engines, stores and services say themselves
//! what they refuse.

mod finding;
mod log;
mod others;
mod stores;

use crate::nats::Service;
use crate::output;
use domain::ports::{SharedClock, SharedEntropy};
use finding::{Finding, State};
use service_runtime::clock::SystemEntropy;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use wiring::Settings;

/// What does not answer for so long is not there.
const WITHIN: Duration = Duration::from_secs(20);

/// Looks whether a deployment is as it must be: with the configuration of a service, on the machine that it runs on. Ends with 1 if
/// something is wrong.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The configuration file.
    #[arg(long, env = "DAYPASS_CONFIG")]
    config: PathBuf,
    /// In whose place: with the configuration, the files and the rights of this service. What it has no part in is not looked at, for a
    /// file that services share names that as well.
    #[arg(long, value_name = "SERVICE", default_value = "serve")]
    service: Service,
    /// For programs: an array of objects.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: Arguments) -> ExitCode {
    let settings = match Settings::read(&arguments.config) {
        Ok(settings) => settings,
        Err(problems) => {
            for problem in &problems.0 {
                let _ = crate::error::complain(problem);
            }
            return ExitCode::from(2);
        }
    };
    let findings = Box::pin(look(&settings, arguments.service)).await;
    let printed = if arguments.json {
        let objects = findings.iter().map(Finding::object).collect();
        output::print(&output::json::text(&serde_json::Value::Array(objects)))
    } else {
        output::print(&findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    };
    match printed {
        Err(error) => error.exit_code(),
        Ok(()) if findings.iter().any(|finding| finding.state == State::Fail) => ExitCode::FAILURE,
        Ok(()) => ExitCode::SUCCESS,
    }
}

async fn look(settings: &Settings, service: Service) -> Vec<Finding> {
    let clock = wiring::machine_clock(settings.clock.skew_max);
    let entropy: SharedEntropy = Arc::new(SystemEntropy);
    let mut findings = in_time("log", Box::pin(log::look(settings, &clock))).await;
    findings.extend(in_time("keys", stores::keys(settings, entropy)).await);
    findings.extend(in_time("bus", stores::bus(settings, service)).await);
    findings.extend(in_time("aws", Box::pin(others::aws(settings, &clock))).await);
    findings.push(others::clock(settings, &clock));
    findings.extend(in_time("issuer", others::issuers(settings, &clock)).await);
    findings.extend(in_time("neighbour", others::neighbours(settings)).await);
    findings.extend(stores::files(settings));
    findings.extend(others::certificates(settings, service, now(&clock)));
    findings.push(stores::write_level(settings));
    findings
}

fn now(clock: &SharedClock) -> domain::Timestamp {
    clock.now()
}

async fn in_time(check: &'static str, looking: impl Future<Output = Vec<Finding>>) -> Vec<Finding> {
    tokio::time::timeout(WITHIN, looking).await.unwrap_or_else(|_| {
        vec![Finding::fail(
            check,
            format!("no answer within {} seconds", WITHIN.as_secs()),
            "is it up, and can this machine reach it?",
        )]
    })
}

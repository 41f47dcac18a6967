//! `daypass serve`: all services in one process, with a real identity provider, a real AWS, SQLite or JetStream.

use crate::all;
use service_runtime::config::LogConfig;
use service_runtime::{shutdown, telemetry};
use std::path::PathBuf;
use std::process::ExitCode;
use wiring::{Built, Settings, StartError, Work};

/// Runs all services in this process. docs/configuration.md describes the file.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The configuration file.
    #[arg(long, env = "DAYPASS_CONFIG")]
    config: PathBuf,
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
    let telemetry = match telemetry::init(&settings.telemetry, "daypass") {
        Ok(telemetry) => telemetry,
        Err(error) => return crate::error::complain(&error),
    };
    let code = match Box::pin(wiring::serve(settings, shutdown::on_signal(), work)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the process ended");
            crate::error::complain(&error)
        }
    };
    telemetry.shutdown();
    code
}

async fn work(built: &Built) -> Result<Work, StartError> {
    let cloud = built.cloud.clone().ok_or_else(|| StartError::Other("aws: is missing".to_owned()))?;
    let policy = wiring::seed_text(&built.settings)?;
    let seed = policy
        .as_deref()
        .map(|text| Ok::<_, StartError>((text, wiring::this_program("serve")?)))
        .transpose()?;
    let external_id = built.settings.role_external_id()?;
    let section = built.settings.activation.clone();
    // Nobody else can be on this log, so whoever starts again is who was here before.
    let alone = matches!(built.settings.log, LogConfig::Sqlite { .. }).then(|| "serve".to_owned());
    let sources = request::Sources::new(&built.settings.signals)
        .map_err(|error| StartError::Other(error.to_string()))?;
    let mut bus = all::Bus::default();
    if let Some(section) = &built.settings.bus {
        let relay = audit::RelaySettings { replica: alone.clone(), ..audit::RelaySettings::default() };
        bus.outgoing = Some((wiring::bus::outgoing(section).await?, relay));
        // Without sources as well: whatever is told is parked then, where operators see it.
        bus.incoming = Some(wiring::bus::incoming(section).await?);
    }
    let activation = activation::Settings {
        external_id,
        console_issuer: section.console_issuer,
        issues_per_request_max: section.issues_per_request_max,
        replica: section.replica.or(alone),
        calls_per_second: section.calls_per_second,
        outstanding_max: section.outstanding_max,
        start_lead_max: section.start_lead_max,
        missing: match section.missing {
            wiring::WhenMissing::Restore => activation::Missing::Restore,
            wiring::WhenMissing::End => activation::Missing::End,
        },
        organisation_sweep_calls_per_second: section.organisation_sweep_calls_per_second,
        ..activation::Settings::default()
    };
    let pending_max = built.settings.requests.pending_per_person_max;
    let folder = built.settings.data.folder.clone();
    let chosen = (pending_max, sources, activation);
    let views = &built.process.views;
    all::work(views, &cloud, &folder, chosen, bus, seed, &built.shutdown).await
}

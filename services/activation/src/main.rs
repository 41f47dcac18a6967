//! The activation service as a process of its own.

use activation::{ActivationService, Ports};
use std::process::ExitCode;
use wiring::{StartError, Work};

#[tokio::main]
async fn main() -> ExitCode {
    Box::pin(wiring::program("activation", async |built| {
        let cloud = built.cloud.clone().ok_or_else(|| StartError::Other("aws: is missing".to_owned()))?;
        let external_id = built.settings.role_external_id()?;
        let section = built.settings.activation.clone();
        let settings = activation::Settings {
            external_id,
            console_issuer: section.console_issuer,
            issues_per_request_max: section.issues_per_request_max,
            replica: section.replica,
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
        let views = built.process.views.clone();
        let ports = Ports::new(cloud.assignments, cloud.sts)
            .with_federation(cloud.federation)
            .with_session_denials(cloud.session_denials);
        let ports = match cloud.account_access {
            Some(account_access) => ports.with_account_access(account_access),
            None => ports,
        };
        let service = ActivationService::new(views, ports, settings);
        let mut work = Work::default();
        service.add_to(&mut work.routes);
        work.services = wiring::services_of("daypass.activation.v1");
        work.ready_without_directory = true;
        let shutdown = built.shutdown.clone();
        work.background.push(Box::pin(async move { service.run(shutdown).await }));
        Ok(work)
    }))
    .await
}

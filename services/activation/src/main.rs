//! The activation service as a process of its own.

use activation::{ActivationService, Ports};
use std::process::ExitCode;
use wiring::{StartError, Work};

#[tokio::main]
async fn main() -> ExitCode {
    Box::pin(wiring::program("activation", async |built| {
        let cloud = built.cloud.clone().ok_or_else(|| StartError::Other("aws: is missing".to_owned()))?;
        let external_id = built.settings.role_external_id()?;
        let issues_per_request_max = built.settings.activation.issues_per_request_max;
        let defaults = activation::Settings::default();
        let settings = activation::Settings { external_id, issues_per_request_max, ..defaults };
        let views = built.process.views.clone();
        let service = ActivationService::new(views, Ports::new(cloud.assignments, cloud.sts), settings);
        let mut work = Work::default();
        service.add_to(&mut work.routes);
        work.services = wiring::services_of("daypass.activation.v1");
        let shutdown = built.shutdown.clone();
        work.background.push(Box::pin(async move { service.run(shutdown).await }));
        Ok(work)
    }))
    .await
}

//! The request service as a process of its own.

use request::{RequestService, Sources};
use std::process::ExitCode;
use wiring::{StartError, Work};

#[tokio::main]
async fn main() -> ExitCode {
    Box::pin(wiring::program("request", async |built| {
        let sources =
            Sources::new(&built.settings.signals).map_err(|error| StartError::Other(error.to_string()))?;
        let service = RequestService::new(built.process.views.clone())
            .with_account_access(built.settings.has_account_access())
            .with_pending_max(built.settings.requests.pending_per_person_max)
            .with_sources(sources);
        let mut work = Work::default();
        service.add_to(&mut work.routes);
        work.services = wiring::services_of("daypass.request.v1");
        // Without sources as well: whatever is told is parked then, where operators see it.
        if let Some(section) = &built.settings.bus {
            let (service, bus) = (service.clone(), wiring::bus::incoming(section).await?);
            let shutdown = built.shutdown.clone();
            work.background.push(Box::pin(async move { service.take_signals(bus, shutdown).await }));
        }
        let shutdown = built.shutdown.clone();
        work.background.push(Box::pin(async move { service.run(shutdown).await }));
        Ok(work)
    }))
    .await
}

//! The audit service as a process of its own.

use audit::{AuditService, RelaySettings};
use std::process::ExitCode;
use wiring::Work;

#[tokio::main]
async fn main() -> ExitCode {
    Box::pin(wiring::program("audit", async |built| {
        let folder = built.settings.data.folder.clone();
        let (service, follower) = AuditService::open(built.process.views.clone(), Some(&folder))?;
        let mut work = Work::default();
        service.add_to(&mut work.routes);
        work.services = wiring::services_of("daypass.audit.v1");
        work.read_models.push(service.events().projection().clone());
        work.ready_without_directory = true;
        work.background.push(Box::pin(follower.run(built.shutdown.clone().cancelled_owned())));
        if let Some(section) = &built.settings.bus {
            let relay = service.relay(wiring::bus::outgoing(section).await?, RelaySettings::default());
            work.background.push(Box::pin(relay.run(built.shutdown.clone().cancelled_owned())));
        }
        Ok(work)
    }))
    .await
}

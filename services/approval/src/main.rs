//! The approval service as a process of its own.

use approval::{ApprovalService, SeedError};
use std::process::ExitCode;
use wiring::{StartError, Work};

#[tokio::main]
async fn main() -> ExitCode {
    Box::pin(wiring::program("approval", async |built| {
        let service = ApprovalService::new(built.process.views.clone());
        if let Some(policy) = wiring::seed_text(&built.settings)? {
            let seeded = service.seed(&policy, wiring::this_program("approval")?).await;
            seeded.map_err(|error| match error {
                SeedError::Log(why) => StartError::Unavailable(why),
                SeedError::Invalid(_) => StartError::Other(error.to_string()),
            })?;
        }
        let mut work = Work::default();
        service.add_to(&mut work.routes);
        work.services = wiring::services_of("daypass.approval.v1");
        let shutdown = built.shutdown.clone();
        work.background.push(Box::pin(async move { service.run(shutdown).await }));
        Ok(work)
    }))
    .await
}

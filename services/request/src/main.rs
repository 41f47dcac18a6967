//! The request service as a process of its own.

use request::RequestService;
use std::process::ExitCode;
use wiring::Work;

#[tokio::main]
async fn main() -> ExitCode {
    Box::pin(wiring::program("request", async |built| {
        let service = RequestService::new(built.process.views.clone())
            .with_account_access(built.settings.has_account_access())
            .with_pending_max(built.settings.requests.pending_per_person_max);
        let mut work = Work::default();
        service.add_to(&mut work.routes);
        work.services = wiring::services_of("daypass.request.v1");
        Ok(work)
    }))
    .await
}

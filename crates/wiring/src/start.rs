//! A start in any order: the process listens first, says that it is there and not ready, and waits for what it rests on.
//!
//! INVARIANT: only what may pass is waited for. What is wrong with the configuration or unsafe about the log ends the process.

use crate::process::{StartError, Work};
use crate::{Built, Settings};
use aws::ErrorKind;
use aws_sdk::ConnectError;
use service_runtime::server::{Bound, WaitsFor};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The first pause before another try; doubled with each, up to the longest.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Serves what `work_of` makes of `settings`, until `shutdown`. Whatever is not there yet is waited for.
pub async fn serve(
    settings: Settings,
    shutdown: CancellationToken,
    work_of: impl AsyncFn(&Built) -> Result<Work, StartError>,
) -> Result<(), StartError> {
    let bound = Bound::new(settings.server.clone())?;
    let waits_for = WaitsFor::default();
    let built = bound.wait(built(settings, &shutdown, work_of, &waits_for), &waits_for).await??;
    let Some((built, work)) = built else { return Ok(()) };
    let announce = |address| tracing::info!(%address, "answering");
    built.process.run(bound, work, shutdown, announce).await
}

/// `None`: the process was asked to end before.
async fn built(
    settings: Settings,
    shutdown: &CancellationToken,
    work_of: impl AsyncFn(&Built) -> Result<Work, StartError>,
    waits_for: &WaitsFor,
) -> Result<Option<(Built, Work)>, StartError> {
    let mut pause = PAUSE_MIN;
    loop {
        let attempt = async {
            let built = Box::pin(Built::from_settings(settings.clone(), shutdown.clone())).await?;
            let work = work_of(&built).await?;
            Ok((built, work))
        };
        let tried = tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ok(None),
            tried = attempt => tried,
        };
        let error: StartError = match tried {
            Ok(done) => return Ok(Some(done)),
            Err(error) => error,
        };
        if !error.may_pass() {
            return Err(error);
        }
        tracing::warn!(why = %error, "not ready: what the process rests on is not there yet");
        waits_for.set(error.to_string());
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ok(None),
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// AWS may come back; what it finds wrong stays wrong.
pub(crate) fn cloud_error(error: &ConnectError) -> StartError {
    let text = error.to_string();
    match error {
        ConnectError::Aws(aws) => match aws.kind {
            ErrorKind::Throttled
            | ErrorKind::QuotaReached
            | ErrorKind::Conflict
            | ErrorKind::Unknown
            | ErrorKind::Unavailable => StartError::Unavailable(text),
            ErrorKind::NotFound | ErrorKind::Denied | ErrorKind::Invalid => StartError::Other(text),
        },
        ConnectError::NoInstance { .. }
        | ConnectError::SeveralInstances { .. }
        | ConnectError::NoApplication { .. }
        | ConnectError::SeveralApplications { .. }
        | ConnectError::AnotherPartition { .. } => StartError::Other(text),
    }
}

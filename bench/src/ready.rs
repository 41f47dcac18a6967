//! From the start of `daypass dev` as a process until its health says SERVING: on an empty folder, and on the same folder again.

use crate::daypass::Daypass;
use crate::{Failed, say};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::Instant;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// What `script/dev` promises.
const BUDGET: Duration = Duration::from_secs(3);
/// Between two questions: well below what is measured.
const PAUSE: Duration = Duration::from_millis(2);
/// When the measurement is given up.
const GIVEN_UP_AFTER: Duration = Duration::from_mins(1);

pub(crate) async fn run(runs: usize) -> Result<(), Failed> {
    let (mut first, mut again) = (Vec::new(), Vec::new());
    for _ in 0..runs.max(1) {
        let folder = Arc::new(tempfile::tempdir()?);
        first.push(ready(&folder).await?);
        again.push(ready(&folder).await?);
    }
    tell("on an empty folder", first);
    tell("on the same folder again", again);
    Ok(())
}

/// How long one start takes. The process ends with this function.
async fn ready(folder: &Arc<TempDir>) -> Result<Duration, Failed> {
    let began = Instant::now();
    let daypass = Daypass::start_in(Arc::clone(folder), None, &[]).await?;
    let mut health = HealthClient::new(Endpoint::from_shared(daypass.url.clone())?.connect_lazy());
    while began.elapsed() < GIVEN_UP_AFTER {
        let answer = health.check(HealthCheckRequest::default()).await;
        if answer.is_ok_and(|answer| answer.into_inner().status() == ServingStatus::Serving) {
            let took = began.elapsed();
            daypass.stop().await?;
            return Ok(took);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err("daypass dev was not ready in time".into())
}

fn tell(what: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let median = took.get(took.len() / 2).copied().unwrap_or_default();
    let most = took.last().copied().unwrap_or_default();
    say(&format!(
        "ready {what:<26} median {median:>8.1?}, at most {most:>8.1?} of {} starts; budget: {BUDGET:?}",
        took.len()
    ));
}

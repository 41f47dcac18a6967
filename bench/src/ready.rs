//! From the start of `daypass dev` as a process until its health says SERVING: on an empty folder, and on the same folder again.

use crate::daypass::Daypass;
use crate::{Failed, say};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::Instant;

/// What `script/dev` promises, and DESIGN §17 of a start with 10 million requests.
const BUDGET: Duration = Duration::from_secs(3);

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
    daypass.ready().await?;
    let took = began.elapsed();
    daypass.stop().await?;
    Ok(took)
}

/// Says how long these starts took.
pub(crate) fn tell(what: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let median = took.get(took.len() / 2).copied().unwrap_or_default();
    let most = took.last().copied().unwrap_or_default();
    say(&format!(
        "ready {what:<26} median {median:>8.1?}, at most {most:>8.1?} of {} starts; budget: {BUDGET:?}",
        took.len()
    ));
}

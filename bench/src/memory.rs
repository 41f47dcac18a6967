//! Resident memory of an idle process with all four services.

use crate::daypass::Daypass;
use crate::{Failed, say};
use std::time::Duration;

/// DESIGN §17, per service.
const BUDGET_MIB: f64 = 40.0;

pub(crate) async fn run() -> Result<(), Failed> {
    let daypass = Daypass::start(None, &[]).await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (now, most) = daypass.memory()?;
    say(&format!(
        "idle: {now:.1} MiB resident (at most {most:.1}) for all four services in one process; budget: {BUDGET_MIB} MiB each"
    ));
    Ok(())
}

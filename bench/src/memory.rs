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

/// Resident memory of a process in MiB, and its highest so far.
pub(crate) fn of(pid: u32) -> Result<(f64, f64), Failed> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<f64>().ok().map(|kib| kib / 1024.0)
    };
    Ok((field("VmRSS:").ok_or("no VmRSS")?, field("VmHWM:").ok_or("no VmHWM")?))
}

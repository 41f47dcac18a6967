//! Resident memory: of an idle process with all four services, or of each service as a process of its own.

use crate::apart::Apart;
use crate::daypass::Daypass;
use crate::{Failed, say};
use std::time::Duration;

/// DESIGN §17, per service.
const BUDGET_MIB: f64 = 40.0;
/// How long nothing is asked of a process before it is looked at.
const IDLE: Duration = Duration::from_secs(5);
/// Requests that are raised between two looks.
const REQUESTS: usize = 1_000;

/// `nats`: each service is a process of its own, on a NATS server.
pub(crate) async fn run(nats: bool) -> Result<(), Failed> {
    if nats { apart().await } else { together().await }
}

async fn together() -> Result<(), Failed> {
    let daypass = Daypass::start(None, &[]).await?;
    tokio::time::sleep(IDLE).await;
    let (now, most) = daypass.memory()?;
    say(&format!(
        "idle: {now:.1} MiB resident (at most {most:.1}) for all four services in one process; budget: {BUDGET_MIB} MiB each"
    ));
    Ok(())
}

async fn apart() -> Result<(), Failed> {
    let services = Apart::start().await?;
    tokio::time::sleep(IDLE).await;
    tell("idle", &services.memory()?);
    services.raise(REQUESTS).await?;
    // Read models are filled meanwhile.
    tokio::time::sleep(IDLE).await;
    tell(&format!("{REQUESTS} requests raised"), &services.memory()?);
    Ok(())
}

fn tell(when: &str, services: &[(&'static str, f64, f64)]) {
    for (name, now, most) in services {
        say(&format!(
            "{name:<20} {when:<21} {now:>6.1} MiB resident (at most {most:.1}); budget when idle: {BUDGET_MIB} MiB"
        ));
    }
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

//! As long as it runs, the accounts of requests that ended early deny their sessions, and nobody else's for longer.

use crate::core::{Core, later};
use domain::{AccountId, Timestamp};
use lifecycle::Request;
use lifecycle::denial::Denied;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often it is looked whether sessions have died: there is nothing that wakes for that.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What came of an account last.
struct Seen {
    wanted: Denied,
    /// When to look again although nothing has changed.
    again_at: Timestamp,
    failures: u32,
}

/// Runs until `shutdown`.
pub(crate) async fn run(core: &Core, shutdown: &CancellationToken) {
    if core.ports.session_denials().is_none() {
        return shutdown.cancelled().await;
    }
    let projection = core.views.requests.projection();
    tokio::select! {
        biased;
        () = shutdown.cancelled() => return,
        () = projection.caught_up() => {}
    }
    let mut changes = projection.changes();
    let mut seen = BTreeMap::new();
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = look(core, &mut seen) => {}
        }
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            _ = changes.changed() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

async fn look(core: &Core, seen: &mut BTreeMap<AccountId, Seen>) {
    let mut accounts: BTreeMap<AccountId, Vec<Request>> = BTreeMap::new();
    for request in core.agenda.closing() {
        accounts.entry(request.raised.target.account().clone()).or_default().push(request);
    }
    seen.retain(|account, _| accounts.contains_key(account));
    for (account, closing) in accounts {
        if let Err(fault) = see_to(core, seen, &account, &closing).await {
            tracing::warn!(%account, %fault, "what is denied could not be seen to; tried again later");
        }
    }
}

async fn see_to(
    core: &Core,
    seen: &mut BTreeMap<AccountId, Seen>,
    account: &AccountId,
    closing: &[Request],
) -> Result<(), crate::fault::Fault> {
    let wanted = core.to_deny(closing).await?;
    let now = core.now();
    if seen.get(account).is_some_and(|seen| seen.wanted == wanted && now < seen.again_at) {
        return Ok(());
    }
    if !core.on_duty().await? {
        return Ok(());
    }
    let failures = seen.get(account).map_or(0, |seen| seen.failures);
    let done = core.see_to_denials(account, closing).await;
    let failures = if done.is_ok() { 0 } else { failures.saturating_add(1) };
    let pause = match failures {
        0 => core.settings.sweep_interval,
        failures => core.settings.backoff(failures).try_into().unwrap_or(core.settings.sweep_interval),
    };
    seen.insert(account.clone(), Seen { wanted, again_at: later(core.now(), pause), failures });
    done?;
    // What was held open for the sake of its sessions may be closed now.
    for request in closing {
        core.agenda.see_again(&request.raised.id, core.now());
    }
    Ok(())
}

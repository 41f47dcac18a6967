//! The reconciler: as long as it runs, AWS is as the log says it should be.
//!
//! It sleeps until something changes or falls due, hands out errands, and asks for the next time. Overlap, extension, early
//! end, retry, restart and upgrade are the same case: an errand looks at what is so now, and does the next thing.

use crate::agenda::{Errand, Extent, Next};
use crate::core::Core;
use crate::fault::Fault;
use domain::SignedDuration;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long errands under way may take to come to a good place when the service is asked to stop.
const DRAIN_WITHIN: Duration = Duration::from_secs(5);

/// When to ask again who has the duty, after the log did not say.
const DUTY_RETRY: Duration = Duration::from_secs(1);

/// When to go on with what could not be taken up.
const FILL_AGAIN: Duration = Duration::from_secs(1);

/// For how long what is urgent comes before filling, and how many times as long as filling it may take until then.
const COURTESY: Duration = Duration::from_secs(3);
const COURTESY_SHARE: u32 = 9;

/// How often it is looked whether something is left in AWS past its time.
const PAGE_EVERY: Duration = Duration::from_secs(1);

/// Runs until `shutdown`.
pub(crate) async fn run(core: &Arc<Core>, shutdown: &CancellationToken) {
    // One task, so that errands and filling take turns.
    let (errands, fill) = (Box::pin(errands(core, shutdown)), Box::pin(fill(core, shutdown)));
    futures::future::join3(errands, fill, Box::pin(page(core, shutdown))).await;
}

/// Tells someone of what is left in AWS past its time. Not with every change: it looks at all that is closing.
async fn page(core: &Core, shutdown: &CancellationToken) {
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            // What an unreachable log does not say is told as it was known.
            looked = tokio::time::timeout(PAGE_EVERY, look_for_left(core)) => {
                if let Ok(Err(fault)) = looked {
                    tracing::debug!(%fault, "whether what was left is gone cannot be told");
                }
            }
        }
        page_late_removals(core);
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(PAGE_EVERY) => {}
        }
    }
}

async fn look_for_left(core: &Core) -> Result<(), Fault> {
    core.note_absent().await?;
    core.settle_left().await
}

/// Takes up what is not due, part by part beside the errands; at first in the pauses that these leave: what fell due while nobody
/// ran is not kept waiting.
async fn fill(core: &Core, shutdown: &CancellationToken) {
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = core.agenda.until_whole(false) => {}
        }
        let courteous_until = Instant::now() + COURTESY;
        loop {
            let began = Instant::now();
            match core.take_up(Extent::All) {
                Ok(true) => break,
                Ok(false) if began < courteous_until && core.agenda.is_pressed(core.now()) => {
                    tokio::time::sleep(began.elapsed() * COURTESY_SHARE).await;
                }
                Ok(false) => tokio::task::yield_now().await,
                Err(fault) => {
                    tracing::debug!(%fault, "what is not due cannot be taken up now");
                    tokio::time::sleep(FILL_AGAIN).await;
                }
            }
            if shutdown.is_cancelled() {
                return;
            }
        }
    }
}

async fn errands(core: &Arc<Core>, shutdown: &CancellationToken) {
    let projection = core.views.requests.projection();
    tokio::select! {
        biased;
        () = shutdown.cancelled() => return,
        () = projection.caught_up() => {}
    }
    let mut changes = projection.changes();
    let mut running = FuturesUnordered::new();
    let mut looking = FuturesUnordered::new();
    loop {
        match core.take_up(Extent::Due) {
            Ok(_) => {}
            Err(Fault::Behind) => tracing::debug!("the read model is being made anew"),
            Err(fault @ (Fault::Aws(_) | Fault::Log(_) | Fault::Views(_) | Fault::GivesWay)) => {
                tracing::warn!(%fault, "what is due cannot be told");
            }
        }
        let now = core.now();
        match core.shift.is_ours(now) {
            Some(true) => {
                running.extend(core.agenda.take_due(now).into_iter().map(|errand| perform(core, errand)));
            }
            // Somebody else does it; what they do not do will be looked at when this is not known any more.
            Some(false) => {}
            None if looking.is_empty() && core.should_look_at_duty(now) => looking.push(see_to_duty(core)),
            None => {}
        }
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            Some((errand, next)) = running.next(), if !running.is_empty() => {
                core.agenda.done(&errand, &next, core.now(), |failures| backoff(core, failures));
            }
            Some(()) = looking.next(), if !looking.is_empty() => {}
            _ = changes.changed() => {}
            () = tokio::time::sleep(core.agenda.sleep(now)) => {}
        }
    }
    let drained = tokio::time::timeout(DRAIN_WITHIN, running.collect::<Vec<_>>()).await;
    tracing::info!(drained = drained.is_ok(), "the reconciler has stopped");
}

/// Looks who has the duty. While that cannot be told, nothing is done, and soon asked again.
async fn see_to_duty(core: &Core) {
    if let Err(fault) = core.see_to_duty().await {
        tracing::warn!(%fault, "who has the duty cannot be told");
        tokio::time::sleep(DUTY_RETRY).await;
    }
}

async fn perform(core: &Core, errand: Errand) -> (Errand, Next) {
    let next = match &errand {
        Errand::Attend(id) => core.attend(*id).await.inspect_err(|fault| {
            tracing::warn!(request = %id, %fault, "tried again later");
        }),
        Errand::Tend(key) => core.tend(key).await,
    };
    (errand, next.unwrap_or(Next::Failed))
}

/// Someone is told once of everything that is left in AWS past its time, by an ended request or needed by nobody; the count stays in the
/// service's health.
fn page_late_removals(core: &Core) {
    let (now, late_after) = (core.now(), core.settings.removal_late_after);
    let overdue = core.agenda.overdue(now, late_after);
    let left = core.agenda.left_for(now, late_after);
    let oldest = core.agenda.oldest_end(&overdue).into_iter().chain(left.iter().copied()).min();
    let age = oldest.map_or(SignedDuration::ZERO, |at| now.duration_since(at));
    core.meters.overdue(overdue.len().saturating_add(left.len()), age);
    for request in core.agenda.newly_overdue(now, late_after) {
        tracing::error!(%request, "access is left in AWS past its end");
    }
    for key in core.agenda.newly_left_for(now, late_after) {
        tracing::error!(target = %key.target, principal = %key.principal, "access that nobody needs is left in AWS");
    }
}

/// Doubles from `backoff_min` to `backoff_max`, less up to a half by chance, so that replicas do not march in step.
fn backoff(core: &Core, failures: u32) -> SignedDuration {
    let longest = core.settings.backoff(failures);
    let mut chance = [0_u8; 4];
    core.views.entropy.fill(&mut chance);
    let share = f64::from(u32::from_be_bytes(chance)) / f64::from(u32::MAX);
    SignedDuration::try_from(longest.mul_f64(1.0 - share / 2.0)).unwrap_or(SignedDuration::from_secs(60))
}

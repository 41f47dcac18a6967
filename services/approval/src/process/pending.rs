//! What nobody has to decide about pending requests: they expire, are approved by rules that ask nobody, and end when their
//! rule is gone.
//!
//! INVARIANT: nothing here is remembered that the log does not say. Every replica may do all of it at once: an event has one id,
//! and the log takes it once. A fault holds up one request, never the others, and is tried again within [`LOOK_AGAIN`].

mod by_rule;
mod expiry;
mod vanished;

use crate::core::Core;
use crate::status::Refused;
use command::CommandError;
use domain::{RequestId, Timestamp};
use event_log::Position;
use futures::StreamExt as _;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The longest pause: clocks jump, and faults pass.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The shortest sleep until an instant: the clock may be a fraction of a millisecond short of it.
const SLEEP_MIN: Duration = Duration::from_millis(1);

/// Requests that are worked on at a time.
const AT_ONCE: usize = 16;

/// Requests that are looked up at a time.
const CHUNK: usize = 256;

/// Does it until `shutdown`.
pub(crate) async fn run(core: &Core, shutdown: &CancellationToken) {
    let mut changes = core.views.requests.projection().changes();
    let mut by_rule = by_rule::Left::default();
    let mut swept = vanished::Swept::default();
    loop {
        changes.mark_unchanged();
        let pass = async {
            let next = expiry::expire(core).await;
            by_rule.approve(core).await;
            swept.reject(core).await;
            next
        };
        let next = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            next = pass => next,
        };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(pause(core.now(), next)) => {}
            // The sender lives as long as the views.
            _ = changes.changed() => {}
        }
    }
}

fn pause(now: Timestamp, next: Option<Timestamp>) -> Duration {
    let until = next.and_then(|next| Duration::try_from(next.duration_since(now)).ok());
    until.map_or(LOOK_AGAIN, |until| until.clamp(SLEEP_MIN, LOOK_AGAIN))
}

/// What became of one request.
type Reaction = (RequestId, Result<Option<Position>, CommandError<Refused>>);

/// Reacts to all of `ids`, some at a time; answers in their order.
async fn react_to<Reacting>(ids: Vec<RequestId>, react: impl Fn(RequestId) -> Reacting) -> Vec<Reaction>
where
    Reacting: Future<Output = Result<Option<Position>, CommandError<Refused>>>,
{
    let reacting = ids.into_iter().map(|id| {
        let reacting = react(id);
        async move { (id, reacting.await) }
    });
    futures::stream::iter(reacting).buffered(AT_ONCE).collect().await
}

/// Waits until the read model shows what was written. Says whether it does.
async fn shown(core: &Core, reactions: &[Reaction]) -> bool {
    let written =
        reactions.iter().filter_map(|(_, reaction)| reaction.as_ref().ok().copied().flatten()).max();
    match written {
        Some(position) => core.views.caught_up_to(position).await,
        None => true,
    }
}

/// Tells of requests that are held up: once for all of them, because what holds up one often holds up all.
fn faults<'a>(what: &str, faults: impl Iterator<Item = &'a CommandError<Refused>>) {
    let faults: Vec<_> = faults.collect();
    if let Some(first) = faults.first() {
        tracing::warn!(what, count = faults.len(), %first, "requests are held up; tried again soon");
    }
}

fn held_up(what: &str, why: &dyn std::fmt::Display) {
    tracing::warn!(what, %why, "held up; tried again soon");
}

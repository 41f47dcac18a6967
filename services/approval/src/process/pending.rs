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
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How often it is asked whether there is something to do: clocks jump, and faults pass.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The longest rest, whatever tells that there is nothing to do.
const REST_MAX: Duration = Duration::from_secs(30);

/// The shortest sleep until an instant: the clock may be a fraction of a millisecond short of it.
const SLEEP_MIN: Duration = Duration::from_millis(1);

/// Requests that are worked on at a time.
const AT_ONCE: usize = 16;

/// Requests that are looked up at a time.
const CHUNK: usize = 256;

/// What a pass has left.
#[derive(Clone, Copy, Debug)]
struct Left {
    /// The next deadline.
    next: Option<Timestamp>,
    /// Whether everything was done that could be: then nothing is to be done before something changes.
    done: bool,
}

/// Does it until `shutdown`.
pub(crate) async fn run(core: &Core, shutdown: &CancellationToken) {
    let mut changes = core.views.requests.projection().changes();
    let mut by_rule = by_rule::Left::default();
    let mut swept = vanished::Swept::default();
    loop {
        changes.mark_unchanged();
        let directory = read_at(core);
        let pass = async {
            let expired = expiry::expire(core).await;
            let approved = by_rule.approve(core).await;
            let rejected = swept.reject(core).await;
            Left { done: expired.done && approved && rejected, ..expired }
        };
        let work = async {
            let left = pass.await;
            rest(core, left, directory, &mut changes).await;
        };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = work => {}
        }
    }
}

/// Rests until there may be something to do; the pass began with the directory of this instant.
async fn rest(
    core: &Core,
    left: Left,
    directory: Option<Timestamp>,
    changes: &mut watch::Receiver<Position>,
) {
    let longest = tokio::time::sleep(REST_MAX);
    tokio::pin!(longest);
    loop {
        tokio::select! {
            biased;
            // The sender lives as long as the views.
            _ = changes.changed() => return,
            () = &mut longest => return,
            () = tokio::time::sleep(pause(core.now(), left.next)) => {}
        }
        let due = left.next.is_some_and(|next| next <= core.now());
        if due || !left.done || read_at(core) != directory {
            return;
        }
    }
}

/// When the directory was read that is used now.
fn read_at(core: &Core) -> Option<Timestamp> {
    core.views.directory.snapshot().map(|directory| directory.fetched_at())
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

/// Tells of requests that are held up, if any are: once for all of them, because what holds up one often holds up all.
fn faults<'a>(what: &str, faults: impl Iterator<Item = &'a CommandError<Refused>>) -> bool {
    let faults: Vec<_> = faults.collect();
    if let Some(first) = faults.first() {
        tracing::warn!(what, count = faults.len(), %first, "requests are held up; tried again soon");
    }
    !faults.is_empty()
}

fn held_up(what: &str, why: &dyn std::fmt::Display) {
    tracing::warn!(what, %why, "held up; tried again soon");
}

//! The last event of the log, found without looking through what others wrote more than once.
//!
//! A server pages through `$all` until an event passes the filter. What was looked through is remembered, by all who share the log's
//! handle: from events of ours that were seen, from subscriptions' checkpoints, and from looks like this.
//!
//! INVARIANT: what is remembered was committed, and is never taken back.

use crate::log::Inner;
use crate::{follow, read};
use event_log::{LogError, Position};
use futures::{FutureExt, StreamExt};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// A look that takes longer leaves behind how far it came: who waits for it may give up before its end.
const LONG_LOOK: Duration = Duration::from_secs(1);

/// What is known of where the log ends. INVARIANT: no event of ours is behind `last` and up to `reached`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// The last event of ours, as far as is known.
    pub(crate) last: Position,
    /// The place of `$all` up to which that is so.
    pub(crate) reached: kurrentdb::Position,
}

impl Default for Known {
    fn default() -> Self {
        Self { last: Position::START, reached: kurrentdb::Position::start() }
    }
}

impl Known {
    /// An event of ours was seen.
    pub(crate) fn saw(&mut self, event: Position) {
        if event > self.last {
            self.last = event;
            self.passed(event, kurrentdb::Position { commit: event.0, prepare: event.0 });
        }
    }

    /// No event of ours is behind `after` and up to `place`. Of what is behind an event that is not known yet this says nothing.
    pub(crate) fn passed(&mut self, after: Position, place: kurrentdb::Position) {
        if after <= self.last {
            self.reached = self.reached.max(place);
        }
    }
}

/// The position of the last event.
pub(crate) async fn head(inner: &Arc<Inner>) -> Result<Position, LogError> {
    let known = inner.known();
    // Seen before the look: what is appended before the call is up to here.
    let Some(end) = read::end(inner).await? else {
        return told(inner, known, kurrentdb::Position::start());
    };
    let head = told(inner, known, end.position)?;
    if inner.namespace.has(&end) {
        inner.saw(Position(end.position.commit));
    } else if end.position > known.reached {
        look(inner, known, end.position).await?;
    } else {
        return Ok(head);
    }
    Ok(inner.known().last)
}

/// What is known by now, where `$all` ends at `end`. A leader that does not know it was replaced tells of a shorter log.
fn told(inner: &Inner, known: Known, end: kurrentdb::Position) -> Result<Position, LogError> {
    if end.commit < known.last.0 {
        return Err(LogError::Unavailable(format!(
            "the server ends at {}, but {} has been seen: an outdated leader, or events were lost",
            end.commit, known.last.0
        )));
    }
    Ok(inner.known().last)
}

/// Looks for what follows what is known, up to `end` at least.
async fn look(inner: &Arc<Inner>, known: Known, end: kurrentdb::Position) -> Result<(), LogError> {
    let looked = async {
        // Of the node that looks: one that was replaced meanwhile may not have what was seen of the other.
        let (last, again) = tokio::try_join!(find(inner, known).boxed(), read::end(inner).boxed())?;
        Ok::<_, LogError>((last, again.map_or_else(kurrentdb::Position::start, |event| event.position)))
    };
    let (last, again) = tokio::select! {
        looked = looked => looked?,
        never = leave_behind(inner, known) => match never {},
    };
    if again < end {
        return Err(LogError::Unavailable(format!(
            "the server ends at {}, but {} has been seen: an outdated leader, or events were lost",
            again.commit, end.commit
        )));
    }
    inner.saw(last);
    inner.passed(last, end);
    Ok(())
}

/// The last event of ours. Nobody looks through more than what is behind what is known, once forwards and once backwards.
async fn find(inner: &Arc<Inner>, known: Known) -> Result<Position, LogError> {
    // Nothing is known yet: the last event is nearer to the end than to the beginning.
    let may_follow = known == Known::default() || read::follows(inner, known).await?;
    // Where something follows, a look backwards ends there at the latest.
    let last = if may_follow { read::last(inner).await? } else { None };
    Ok(last.map_or(known.last, |last| last.max(known.last)))
}

/// Follows the log beside a long look, for the checkpoints: reads have none.
async fn leave_behind(inner: &Arc<Inner>, known: Known) -> Infallible {
    tokio::time::sleep(LONG_LOOK).await;
    follow::go_on(Arc::clone(inner), known).for_each(|_| std::future::ready(())).await;
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(commit: u64) -> kurrentdb::Position {
        kurrentdb::Position { commit, prepare: commit }
    }

    #[test]
    fn what_was_passed_behind_the_last_event_is_known() {
        let mut known = Known::default();
        known.passed(Position::START, place(50));
        assert_eq!(known, Known { last: Position::START, reached: place(50) });
        known.saw(Position(100));
        assert_eq!(known, Known { last: Position(100), reached: place(100) });
        known.passed(Position(100), place(300));
        known.passed(Position(100), place(200));
        assert_eq!(known, Known { last: Position(100), reached: place(300) }, "never back");
    }

    #[test]
    fn what_is_behind_an_event_that_was_not_seen_is_not_known() {
        let mut known = Known::default();
        known.saw(Position(100));
        known.passed(Position(200), place(300));
        assert_eq!(known.reached, place(100), "the log may have something up to 200");
        known.saw(Position(50));
        assert_eq!(known, Known { last: Position(100), reached: place(100) });
    }
}

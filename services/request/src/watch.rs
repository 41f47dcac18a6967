//! Requests as they stand, then as they change.
//!
//! INVARIANT: nothing is kept for a consumer but one chunk; one that is slow hears of the latest state of each request, not of
//! every state in between. Who is looking is looked at again for every chunk, and the watch ends when the token does.

use crate::RequestService;
use crate::filter::Filter;
use api::request::v1::WatchRequestsResponse;
use domain::Timestamp;
use event_log::Position;
use futures::Stream;
use identity::Caller;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::watch;
use tonic::{Code, Status};
use views::requests::Cursor;
use views::{Story, refusal};

/// How many requests are looked at together.
const CHUNK: usize = 100;

/// Clocks jump: how long is slept at most before the clock is read again.
const SLEEP_MAX: Duration = Duration::from_secs(1);

struct Watch {
    service: RequestService,
    caller: Caller,
    filter: Filter,
    stage: Stage,
    /// What is known to the consumer, or in `ready`.
    seen: Position,
    ready: VecDeque<WatchRequestsResponse>,
    changes: watch::Receiver<Position>,
}

#[derive(Clone, Copy)]
enum Stage {
    /// Sending what there is, raised before the cursor.
    Snapshot(Option<Cursor>),
    /// Sending what changes.
    Changes,
}

/// Watches the requests of `filter` for `caller`, who has been checked.
pub(crate) fn watch(
    service: RequestService,
    caller: Caller,
    filter: Filter,
) -> impl Stream<Item = Result<WatchRequestsResponse, Status>> + Send {
    let projection = service.views.requests.projection();
    let (changes, seen) = (projection.changes(), projection.applied());
    let watch = Watch {
        service,
        caller,
        filter,
        stage: Stage::Snapshot(None),
        seen,
        ready: VecDeque::new(),
        changes,
    };
    futures::stream::try_unfold(watch, |mut watch| async move {
        let next = watch.next().await?;
        Ok(Some((next, watch)))
    })
}

impl Watch {
    async fn next(&mut self) -> Result<WatchRequestsResponse, Status> {
        loop {
            let left = self.left()?;
            if let Some(next) = self.ready.pop_front() {
                return Ok(next);
            }
            match self.stage {
                Stage::Snapshot(before) => self.snapshot(before).await?,
                Stage::Changes => self.changes(left).await?,
            }
        }
    }

    /// How long the token is still good.
    fn left(&self) -> Result<Duration, Status> {
        let now: Timestamp = self.service.views.clock.now();
        Duration::try_from(self.caller.expires_at.duration_since(now))
            .ok()
            .filter(|left| !left.is_zero())
            .ok_or_else(|| {
                refusal::with_reason(Code::Unauthenticated, "TOKEN_EXPIRED", "the token has expired")
            })
    }

    async fn snapshot(&mut self, before: Option<Cursor>) -> Result<(), Status> {
        let viewer = self.service.viewer(&self.caller).await?;
        self.filter.check(&viewer)?;
        let page = self.service.page(&viewer, &self.filter, before, CHUNK).await?;
        for story in page.stories {
            let shown = self.told(&story).await;
            self.ready.push_back(shown);
        }
        self.stage = if page.next.is_some() {
            Stage::Snapshot(page.next)
        } else {
            let position = self.service.views.token(self.seen);
            self.ready.push_back(WatchRequestsResponse { request: None, caught_up: true, position });
            Stage::Changes
        };
        Ok(())
    }

    /// Takes up the next changes, or waits for some.
    async fn changes(&mut self, left: Duration) -> Result<(), Status> {
        let applied = *self.changes.borrow_and_update();
        if applied <= self.seen {
            tokio::select! {
                biased;
                // The sender lives in the projection, which lives in the service: it never goes away first.
                _ = self.changes.changed() => {}
                () = tokio::time::sleep(left.min(SLEEP_MAX)) => {}
            }
            return Ok(());
        }
        let found = self.service.views.requests.changed_since(self.seen, CHUNK);
        let found = found.map_err(|error| refusal::status(&error))?;
        let last = found.last().map_or(self.seen, |(cursor, _)| Position(cursor.0.unsigned_abs()));
        // Fewer than asked for: nothing else changed up to `applied`.
        self.seen = if found.len() < CHUNK { last.max(applied) } else { last };
        if !found.is_empty() {
            let viewer = self.service.viewer(&self.caller).await?;
            self.filter.check(&viewer)?;
            for (_, story) in found.iter().filter(|(_, story)| self.filter.holds(&viewer, story)) {
                let shown = self.told(story).await;
                self.ready.push_back(shown);
            }
        }
        Ok(())
    }

    async fn told(&self, story: &Story) -> WatchRequestsResponse {
        WatchRequestsResponse {
            request: Some(self.service.views.show(story).await),
            caught_up: false,
            position: self.service.views.token(story.position),
        }
    }
}

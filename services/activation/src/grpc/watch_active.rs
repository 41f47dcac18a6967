//! WatchActive: the approved requests as they stand, then every change, up to and with their end.
//!
//! INVARIANT: nothing is kept for a consumer but ids and one chunk; one that is slow hears of the latest state of each request.
//! Who is looking is looked at again for every chunk, and the watch ends when the token does.

use super::list_active::Scope;
use crate::core::Core;
use api::activation::v1 as wire;
use domain::{RequestId, Timestamp};
use event_log::Position;
use lifecycle::Request;
use lifecycle::state::Phase;
use service_runtime::Call;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tonic::codegen::BoxStream;
use tonic::{Code, Status};
use views::{Story, refusal};

/// How many requests are looked at together.
const CHUNK: usize = 100;

/// Clocks jump: how long is slept at most before the clock is read again.
const SLEEP_MAX: Duration = Duration::from_secs(1);

struct Watch {
    core: Arc<Core>,
    call: Call,
    scope: i32,
    /// What of the beginning is not told yet; `None`: it is told.
    beginning: Option<VecDeque<RequestId>>,
    /// What is known to the consumer, or in `ready`.
    seen: Position,
    ready: VecDeque<wire::WatchActiveResponse>,
    changes: watch::Receiver<Position>,
}

pub(super) async fn watch_active(
    core: &Arc<Core>,
    call: Call,
    asked: wire::WatchActiveRequest,
) -> Result<BoxStream<wire::WatchActiveResponse>, Status> {
    core.wait_for(&asked.wait_for_position).await?;
    let projection = core.views.requests.projection();
    let (changes, seen) = (projection.changes(), projection.applied());
    let mut watch = Watch {
        core: Arc::clone(core),
        call,
        scope: asked.scope,
        beginning: None,
        seen,
        ready: VecDeque::new(),
        changes,
    };
    watch.begin().await?;
    Ok(Box::pin(futures::stream::try_unfold(watch, |mut watch| async move {
        let next = watch.next().await?;
        Ok(Some((next, watch)))
    })))
}

impl Watch {
    async fn begin(&mut self) -> Result<(), Status> {
        let core = &self.core;
        core.refresh().await.map_err(|fault| crate::status::fault(&fault))?;
        let in_force = core.policy().await?;
        let who = core.who(&self.call, in_force.as_deref())?;
        let scope = Scope::read(self.scope, &who)?;
        let wanted = |request: &Request| core.is_in(scope, &who, request, in_force.as_deref());
        let approved = core.agenda.approved(None, usize::MAX, wanted).await;
        self.beginning = Some(approved.into_iter().map(|(_, id)| id).collect());
        Ok(())
    }

    async fn next(&mut self) -> Result<wire::WatchActiveResponse, Status> {
        loop {
            let left = self.left()?;
            if let Some(next) = self.ready.pop_front() {
                return Ok(next);
            }
            match self.beginning.as_mut().map(VecDeque::pop_front) {
                Some(Some(id)) => {
                    let story = self.core.views.requests.get(&id).map_err(|error| refusal::status(&error))?;
                    if let Some(story) = story {
                        let told = self.told(&story).await;
                        self.ready.push_back(told);
                    }
                }
                Some(None) => {
                    self.beginning = None;
                    let position = self.core.views.token(self.seen);
                    return Ok(wire::WatchActiveResponse { request: None, caught_up: true, position });
                }
                None => self.changes(left).await?,
            }
        }
    }

    /// How long the token is still good.
    fn left(&self) -> Result<Duration, Status> {
        let now: Timestamp = self.core.now();
        Duration::try_from(self.call.caller.expires_at.duration_since(now))
            .ok()
            .filter(|left| !left.is_zero())
            .ok_or_else(|| {
                refusal::with_reason(Code::Unauthenticated, "TOKEN_EXPIRED", "the token has expired")
            })
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
        let found = self.core.views.requests.changed_since(self.seen, CHUNK);
        let found = found.map_err(|error| refusal::status(&error))?;
        let last = found.last().map_or(self.seen, |(_, story)| story.position);
        // Fewer than asked for: nothing else changed up to `applied`.
        self.seen = if found.len() < CHUNK { last.max(applied) } else { last };
        if found.is_empty() {
            return Ok(());
        }
        let in_force = self.core.policy().await?;
        let who = self.core.who(&self.call, in_force.as_deref())?;
        let scope = Scope::read(self.scope, &who)?;
        for (_, story) in &found {
            let request = &story.request;
            if was_granted(request) && self.core.is_in(scope, &who, request, in_force.as_deref()) {
                let told = self.told(story).await;
                self.ready.push_back(told);
            }
        }
        Ok(())
    }

    async fn told(&self, story: &Story) -> wire::WatchActiveResponse {
        wire::WatchActiveResponse {
            request: Some(self.core.views.show(story).await),
            caught_up: false,
            position: self.core.views.token(story.position),
        }
    }
}

/// Whether a request is approved, or was until it ended.
fn was_granted(request: &Request) -> bool {
    match &request.phase {
        Phase::Approved { .. } => true,
        Phase::Ended { grant, .. } => grant.is_some(),
        Phase::Pending | Phase::Expired { .. } | Phase::Rejected { .. } => false,
    }
}

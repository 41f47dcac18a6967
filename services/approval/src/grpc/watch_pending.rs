//! `WatchPending`: what waits for the caller as it stands, then every change, until the token ends (which the gate sees to).

use crate::core::Core;
use crate::waiting;
use api::approval::v1::{PendingRequest, WatchPendingRequest, WatchPendingResponse};
use domain::{EventId, RequestId};
use event_log::Position;
use service_runtime::Call;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tonic::Status;
use tonic::codegen::BoxStream;
use views::{InForce, Who, refusal};

/// Requests that one watch follows, at most: more than anyone decides in a day.
const FOLLOWED_MAX: usize = 1_000;

/// Changed requests that are looked at between two pauses.
const CHUNK: usize = 256;

/// The pause between two looks: people see no difference, and a busy log is not read once for every event.
const PACE: Duration = Duration::from_millis(100);

pub(super) async fn watch_pending(
    core: &Arc<Core>,
    call: Call,
    message: WatchPendingRequest,
) -> Result<BoxStream<WatchPendingResponse>, Status> {
    core.views.reach(&message.wait_for_position).await?;
    let watch = Watch {
        changes: core.views.requests.projection().changes(),
        core: Arc::clone(core),
        call,
        unsent: VecDeque::new(),
        followed: BTreeSet::new(),
        seen: Position::START,
        policy: None,
    };
    Ok(Box::pin(futures::stream::try_unfold(watch, |mut watch| async move {
        Ok(watch.next().await?.map(|message| (message, watch)))
    })))
}

struct Watch {
    core: Arc<Core>,
    call: Call,
    changes: watch::Receiver<Position>,
    unsent: VecDeque<WatchPendingResponse>,
    /// What the caller was told of and not yet that it waits no more.
    followed: BTreeSet<RequestId>,
    /// Changes up to here were looked at.
    seen: Position,
    /// The policy that everything was looked at with; `None` before the first look.
    policy: Option<EventId>,
}

impl Watch {
    async fn next(&mut self) -> Result<Option<WatchPendingResponse>, Status> {
        loop {
            if let Some(message) = self.unsent.pop_front() {
                return Ok(Some(message));
            }
            if self.policy.is_some() {
                if self.changes.changed().await.is_err() {
                    return Ok(None);
                }
                tokio::time::sleep(PACE).await;
            }
            self.look().await?;
        }
    }

    async fn look(&mut self) -> Result<(), Status> {
        let applied = *self.changes.borrow_and_update();
        let core = Arc::clone(&self.core);
        let (in_force, who) = super::who(&core, &self.call).await?;
        if self.policy.is_some() {
            self.look_at_changes(&core, &in_force, &who).await?;
        }
        if self.policy != Some(in_force.event) {
            self.look_at_all(&core, &in_force, &who).await?;
            if self.policy.is_none() {
                self.seen = applied;
                let position = core.views.token(applied);
                self.unsent.push_back(WatchPendingResponse { pending: None, caught_up: true, position });
            }
            self.policy = Some(in_force.event);
        }
        Ok(())
    }

    /// Tells what waits and was not told yet.
    async fn look_at_all(&mut self, core: &Core, in_force: &InForce, who: &Who) -> Result<(), Status> {
        let mut after = None;
        loop {
            let room = FOLLOWED_MAX.saturating_sub(self.followed.len());
            if room == 0 {
                return Ok(());
            }
            let page = waiting::page(core, in_force, who, after, room).await?;
            for (story, pending) in page.items {
                if self.followed.insert(story.request.raised.id) {
                    self.tell(core, pending, story.position);
                }
            }
            let Some(next) = page.next else { return Ok(()) };
            after = Some(next);
            tokio::task::yield_now().await;
        }
    }

    async fn look_at_changes(&mut self, core: &Core, in_force: &InForce, who: &Who) -> Result<(), Status> {
        loop {
            let found = core
                .views
                .requests
                .changed_since(self.seen, CHUNK)
                .map_err(|error| refusal::status(&error))?;
            let more = found.len() == CHUNK;
            for (cursor, story) in found {
                self.seen = Position(cursor.0.unsigned_abs());
                let id = story.request.raised.id;
                let known = self.followed.contains(&id);
                if let Some(pending) = waiting::for_caller(core, in_force, who, &story, core.now()).await? {
                    if known || self.followed.len() < FOLLOWED_MAX {
                        self.followed.insert(id);
                        self.tell(core, pending, story.position);
                    }
                } else if known && story.request.pending().is_err() {
                    self.followed.remove(&id);
                    self.tell(core, waiting::no_longer(core, who, &story).await, story.position);
                }
            }
            if !more {
                return Ok(());
            }
            tokio::task::yield_now().await;
        }
    }

    fn tell(&mut self, core: &Core, pending: PendingRequest, position: Position) {
        let position = core.views.token(position);
        self.unsent.push_back(WatchPendingResponse { pending: Some(pending), caught_up: false, position });
    }
}

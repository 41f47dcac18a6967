//! Requests whose rule is gone from the policy, or no longer allows them.

use super::{CHUNK, faults, held_up, react_to, read_at, shown};
use crate::core::Core;
use crate::current::{self, NoPlan};
use crate::status::Refused;
use domain::{EventId, RequestId, Timestamp};
use event_log::Position;
use lifecycle::state::Status;
use lifecycle::{Request, RequestEvent, review};
use views::policy_book::PolicyUnknown;
use views::requests::{Selection, StoryError};
use views::{InForce, Story};

/// How far pending requests were compared with the policy.
#[derive(Debug)]
pub(super) struct Swept {
    /// The policy that all of them were compared with.
    policy: Option<EventId>,
    /// The directory that they were compared with.
    directory: Option<Timestamp>,
    /// Whether it could not be told of some; those are looked at again with another directory.
    unproved: bool,
    /// Whether some could not be ended; those are looked at again soon.
    failed: bool,
    /// Changes up to here were looked at.
    seen: Position,
}

impl Default for Swept {
    fn default() -> Self {
        Self { policy: None, directory: None, unproved: false, failed: false, seen: Position::START }
    }
}

impl Swept {
    /// Rejects what no longer has a rule, once for every change of policy; and what was raised under an older policy while that
    /// changed. Says whether it could.
    pub(super) async fn reject(&mut self, core: &Core) -> bool {
        let in_force = match core.views.policy.current().await {
            Ok(in_force) => in_force,
            Err(PolicyUnknown::NeverApplied) => return true,
            Err(why) => {
                held_up("the end of requests without a rule", &why);
                return false;
            }
        };
        let directory = read_at(core);
        let known = self.policy == Some(in_force.event)
            && !self.failed
            && !(self.unproved && self.directory != directory);
        let swept = if known {
            self.look_at_changes(core, &in_force).await
        } else {
            let seen = core.views.requests.projection().applied();
            let looked = look_at_all(core, &in_force).await;
            looked.map(|Looked { unproved, failed }| {
                *self = Self { policy: Some(in_force.event), directory, unproved, failed, seen };
            })
        };
        if let Err(error) = &swept {
            held_up("the end of requests without a rule", error);
        }
        swept.is_ok() && !self.failed
    }

    async fn look_at_changes(&mut self, core: &Core, in_force: &InForce) -> Result<(), StoryError> {
        // Whatever was raised under this very policy is allowed by it.
        let others = Selection {
            statuses: [Status::Requested].into(),
            raised_not_under: Some(in_force.event),
            ..Selection::default()
        };
        loop {
            let applied = core.views.requests.projection().applied();
            let found = core.views.requests.selected_since(&others, self.seen, CHUNK)?;
            let more = found.len() == CHUNK;
            let last = found.last().map_or(self.seen, |(cursor, _)| Position(cursor.0.unsigned_abs()));
            let seen = if more { last } else { last.max(applied) };
            let looked = look_at(core, in_force, found.into_iter().map(|(_, story)| story)).await;
            self.unproved |= looked.unproved;
            self.failed |= looked.failed;
            self.seen = seen;
            if !more {
                return Ok(());
            }
            tokio::task::yield_now().await;
        }
    }
}

/// What a look has left to be done.
#[derive(Clone, Copy, Debug, Default)]
struct Looked {
    unproved: bool,
    failed: bool,
}

async fn look_at_all(core: &Core, in_force: &InForce) -> Result<Looked, StoryError> {
    let (mut after, mut all) = (None, Looked::default());
    loop {
        let (found, next) = core.views.requests.pending(after, CHUNK)?;
        let looked = look_at(core, in_force, found.into_iter().map(|(_, story)| story)).await;
        all.unproved |= looked.unproved;
        all.failed |= looked.failed;
        if next.is_none() {
            return Ok(all);
        }
        after = next;
        tokio::task::yield_now().await;
    }
}

/// Rejects those of `stories` whose rule is certainly gone.
async fn look_at(core: &Core, in_force: &InForce, stories: impl Iterator<Item = Story>) -> Looked {
    let mut looked = Looked::default();
    let mut gone: Vec<RequestId> = Vec::new();
    for request in stories.map(|story| story.request) {
        // Whatever was raised under this very policy is allowed by it.
        if request.pending().is_err() || request.raised.grounds.policy_event == in_force.event {
            continue;
        }
        match current::plan(&core.views, in_force, &request, core.now()) {
            Err(NoPlan::Vanished(_)) => gone.push(request.raised.id),
            Err(NoPlan::Unprovable(_)) => looked.unproved = true,
            Ok(_) | Err(NoPlan::Place(_) | NoPlan::Denied(_)) => {}
        }
    }
    let reactions = react_to(gone, |id| {
        core.react(id, "reject-without-rule", |request, _| async move { without_rule(core, &request).await })
    })
    .await;
    let failed = || reactions.iter().filter_map(|(_, reaction)| reaction.as_ref().err());
    looked.failed = failed().next().is_some();
    faults("the end of requests without a rule", failed());
    shown(core, &reactions).await;
    looked
}

async fn without_rule(core: &Core, request: &Request) -> Result<RequestEvent, Refused> {
    request.pending()?;
    let in_force = core.views.policy.current().await?;
    match current::plan(&core.views, &in_force, request, core.now()) {
        Err(NoPlan::Vanished(_)) => Ok(review::reject_without_rule(request, Some(in_force.event))?),
        Err(why) => Err(why.into()),
        Ok(_) => Err(Refused::RuleStands),
    }
}

//! What waits for whom: the pending requests that someone may decide now.

use crate::core::Core;
use crate::{current, evidence};
use api::approval::v1::PendingRequest;
use domain::{Plan, RequestId, Timestamp};
use lifecycle::review;
use tonic::Status;
use views::{InForce, Story, Who, refusal, wire};

/// Pending requests that one call looks at, at most: a page ends early rather than late.
pub(crate) const SCAN_MAX: usize = 500;

/// Requests that are read at a time: as many as are still wanted, within these bounds.
const CHUNK_MIN: usize = 25;
const CHUNK_MAX: usize = 100;

/// Where a list goes on: deadline in milliseconds, and id.
pub(crate) type Place = (i64, RequestId);

/// Some of what waits for a caller, the most urgent first, and where to go on, if there may be more.
pub(crate) struct Page {
    pub(crate) items: Vec<(Story, PendingRequest)>,
    pub(crate) next: Option<Place>,
}

/// Up to `limit` requests that wait for `who`, after `after`.
pub(crate) async fn page(
    core: &Core,
    in_force: &InForce,
    who: &Who,
    mut after: Option<Place>,
    limit: usize,
) -> Result<Page, Status> {
    let (mut items, mut looked_at) = (Vec::new(), 0);
    if !who.acting.actor.is_human() {
        return Ok(Page { items, next: None });
    }
    let now = core.now();
    while looked_at < SCAN_MAX {
        let chunk = limit.saturating_sub(items.len()).clamp(CHUNK_MIN, CHUNK_MAX);
        let part = core.views.requests.pending(after, chunk);
        let (found, next) = part.map_err(|error| refusal::status(&error))?;
        for (place, story) in found {
            after = Some(place);
            looked_at += 1;
            if let Some(pending) = for_caller(core, in_force, who, &story, now).await? {
                items.push((story, pending));
                if items.len() >= limit {
                    return Ok(Page { items, next: after });
                }
            }
        }
        if next.is_none() {
            return Ok(Page { items, next: None });
        }
        after = next;
        tokio::task::yield_now().await;
    }
    Ok(Page { items, next: after })
}

/// The request of `story`, if `who` may decide it now.
pub(crate) async fn for_caller(
    core: &Core,
    in_force: &InForce,
    who: &Who,
    story: &Story,
    now: Timestamp,
) -> Result<Option<PendingRequest>, Status> {
    let request = &story.request;
    if !who.acting.actor.is_human()
        || request.pending().is_err()
        || request.decide_until() <= now
        || request.involves(&who.acting.identities)
    {
        return Ok(None);
    }
    // An empty list would say that nothing waits.
    let groups = who
        .groups
        .known()
        .map_err(|why| refusal::status(&lifecycle::Rejection::Unprovable(why.to_owned())))?;
    let accepts = |plan: &Plan| plan.accepts(who.person(), groups);
    let recorded = &request.raised.grounds.plan;
    let glance = || current::plan_at_a_glance(&core.views, in_force, request, now);
    if !accepts(recorded) && !glance().is_some_and(|plan| accepts(&plan)) {
        return Ok(None);
    }
    let plan = match current::plan_to_show(core, in_force, request, now) {
        Ok(plan) => plan,
        // Whoever decides will hear that it cannot be told; that something waits is true.
        Err(current::NoPlan::Unprovable(_)) if accepts(recorded) => recorded.clone(),
        Err(_) => return Ok(None),
    };
    // Who else they are was just looked up.
    let (people, principal) = (who.acting.identities.people.clone(), who.principal().cloned());
    let identities =
        evidence::among(&core.views, people, principal, request).map_err(|error| refusal::status(&error))?;
    if request.involves(&identities) {
        return Ok(None);
    }
    let endorsers =
        evidence::endorsers(&core.views, request, now, in_force.compiled.settings().group_age_max)
            .map_err(|error| refusal::status(&error))?;
    Ok(Some(PendingRequest {
        request: Some(core.views.show(story).await),
        missing: Some(wire::plan(&review::missing(request, &endorsers, &plan))),
        endorsed_by_caller: review::still_endorsed_by(request, &identities, &endorsers, &plan),
    }))
}

/// A request that waits no more, for those who were told that it did.
pub(crate) async fn no_longer(core: &Core, who: &Who, story: &Story) -> PendingRequest {
    PendingRequest {
        request: Some(core.views.show(story).await),
        missing: Some(wire::plan(&Plan::none())),
        endorsed_by_caller: story.request.endorsed_by(&who.acting.identities),
    }
}

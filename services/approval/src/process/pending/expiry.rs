//! Requests that nobody decided in time.

use super::{CHUNK, Left, faults, held_up, react_to, shown};
use crate::core::Core;
use crate::status::Refused;
use lifecycle::review;
use std::collections::BTreeSet;

/// Expires everything that is due, also what came due while nobody looked.
pub(super) async fn expire(core: &Core) -> Left {
    // What was tried in this pass. Where it stays due (a fault, a read model that is behind), the others do not wait for it.
    let mut tried = BTreeSet::new();
    let (mut limit, mut done) = (CHUNK, true);
    loop {
        let found = core.views.requests.overdue(core.now(), limit);
        let Ok((mut due, next)) = found.inspect_err(|error| held_up("expiry", error)) else {
            return Left { next: None, done: false };
        };
        let full = due.len() == limit;
        due.retain(|id| !tried.contains(id));
        if due.is_empty() {
            if !full {
                return Left { next, done };
            }
            limit += CHUNK;
            continue;
        }
        tried.extend(due.iter().copied());
        let reactions = react_to(due, |id| {
            core.react(id, "expire", |request, at| {
                std::future::ready(review::expire(&request, at).map_err(Refused::from))
            })
        })
        .await;
        done &= !faults("expiry", reactions.iter().filter_map(|(_, reaction)| reaction.as_ref().err()));
        if !shown(core, &reactions).await {
            return Left { next, done: false };
        }
    }
}

//! What the policy said of requests that wait, for lists and watches, which ask again and again for what has not changed.
//!
//! INVARIANT: only what is shown rests on this. Whoever decides asks the policy itself.

use aws::Directory;
use domain::{EventId, Groups, RequestId};
use policy::{Ask, Denied, Match};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use views::{InForce, Place};

/// Requests that are remembered at the same time, at most: a kilobyte each, or as much as the groups of their requester take.
const REMEMBERED_MAX: usize = 5_000;

/// Answers of one policy by one directory.
#[derive(Default)]
pub(crate) struct Said {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    by: Option<(EventId, Arc<Directory>)>,
    /// The groups that the requester had, and the answer. All else that a request asks for never changes.
    said: HashMap<RequestId, (Groups, Result<Match, Denied>)>,
}

impl Known {
    fn is_by(&self, in_force: &InForce, place: &Place) -> bool {
        self.by.as_ref().is_some_and(|(policy, directory)| {
            *policy == in_force.event && Arc::ptr_eq(directory, place.directory())
        })
    }
}

impl Said {
    /// What the policy says of `request`, which asks for `ask` at `place`; `told` asks it.
    pub(crate) fn of(
        &self,
        request: RequestId,
        in_force: &InForce,
        place: &Place,
        ask: &Ask<'_>,
        told: impl FnOnce() -> Result<Match, Denied>,
    ) -> Result<Match, Denied> {
        {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.is_by(in_force, place)
                && let Some((groups, said)) = known.said.get(&request)
                && groups == ask.groups
            {
                return said.clone();
            }
        }
        let said = told();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.is_by(in_force, place) || known.said.len() >= REMEMBERED_MAX {
            known.by = Some((in_force.event, Arc::clone(place.directory())));
            known.said.clear();
        }
        known.said.insert(request, (ask.groups.clone(), said.clone()));
        said
    }
}

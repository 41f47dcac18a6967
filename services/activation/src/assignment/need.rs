//! Which live requests need an assignment now. This is what "desired" means.

use crate::core::Core;
use crate::eligibility::Eligibility;
use crate::fault::Fault;
use domain::{Entitlement, RequestId};
use lifecycle::Request;
use lifecycle::assignment::AssignmentKey;
use lifecycle::event::Bound;

/// The requests that need an assignment.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// Live and active, or live and eligible; the active ones first.
    pub(super) by: Vec<Needed>,
    /// Whether there is a live request of which it cannot be told.
    pub(super) unsure: bool,
}

/// One request that needs it.
#[derive(Debug)]
pub(super) struct Needed {
    /// Which.
    pub(super) id: RequestId,
    /// What its user will be told when it becomes active; `None`: it is.
    pub(super) bound: Option<Bound>,
}

impl Needs {
    pub(super) fn any(&self) -> bool {
        !self.by.is_empty()
    }
}

impl Core {
    /// Who needs the assignment now, as the read model and the policy stand. Ends requests that lost their grounds.
    pub(super) async fn needs(&self, key: &AssignmentKey) -> Result<Needs, Fault> {
        let mut needs = Needs::default();
        for request in self.agenda.requests_of(key) {
            if !request.is_live(self.now()) {
                continue;
            }
            let id = request.raised.id;
            if request.approved().is_ok_and(|(_, active)| active.is_some()) {
                needs.by.insert(0, Needed { id, bound: None });
                continue;
            }
            match self.eligibility(&request).await? {
                Eligibility::Eligible(found) => match bound(&request, &found.place) {
                    Some(bound) => needs.by.push(Needed { id, bound: Some(bound) }),
                    None => needs.unsure = true,
                },
                Eligibility::Lost(reason) => self.no_longer_eligible(&request, &reason).await?,
                Eligibility::Unknown(why) => {
                    self.not_provable(&request, &why);
                    needs.unsure = true;
                }
            }
        }
        Ok(needs)
    }
}

/// Role sessions outlive the assignment, until the permission set's session duration ends; so the user is told.
fn bound(request: &Request, place: &views::Place) -> Option<Bound> {
    let Entitlement::PermissionSet(set) = request.raised.target.entitlement() else { return None };
    let session = place.directory().permission_set(set)?.session_duration;
    let at_end = crate::core::later(request.window()?.end(), session);
    Some(Bound { at_end, after_early_end: session })
}

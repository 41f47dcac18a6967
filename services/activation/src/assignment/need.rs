//! Which live requests need an assignment now. This is what "desired" means.

use crate::core::Core;
use crate::eligibility::Eligibility;
use crate::fault::Fault;
use command::LoadError;
use command::aggregate::RequestAggregate;
use domain::{Entitlement, RequestId};
use journal::Stream;
use lifecycle::Request;
use lifecycle::assignment::AssignmentKey;
use lifecycle::event::Bound;

/// What stands in the way of a request whose history cannot be read.
const DAMAGED: &str = "HistoryDamaged";

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
            if !self.can_be_relied_on(id).await? {
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

    /// Whether the history of a request can be read to its end: nothing is begun on one that cannot.
    async fn can_be_relied_on(&self, id: RequestId) -> Result<bool, Fault> {
        match self.commander.load::<RequestAggregate>(&Stream::Request(id)).await {
            Ok(_) => Ok(true),
            Err(LoadError::Corrupt(_)) => {
                self.agenda.note_obstacle(id, DAMAGED.to_owned());
                Ok(false)
            }
            Err(unavailable @ LoadError::Unavailable(_)) => Err(unavailable.into()),
        }
    }
}

/// Role sessions outlive the assignment, until the permission set's session duration ends; so the user is told.
fn bound(request: &Request, place: &views::Place) -> Option<Bound> {
    let Entitlement::PermissionSet(set) = request.raised.target.entitlement() else { return None };
    let session = place.directory().permission_set(set)?.session_duration;
    let at_end = crate::core::later(request.window()?.end(), session);
    Some(Bound { at_end, after_early_end: session })
}

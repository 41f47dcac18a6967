//! Which sessions ought to be denied in an account and are not, by what its ledger says, and since when.

use crate::core::Core;
use crate::fault::Fault;
use domain::{AccountId, RequestId, Timestamp};
use lifecycle::Request;
use lifecycle::denial::{Denials, Denied};
use lifecycle::state::Phase;
use std::collections::{BTreeMap, BTreeSet};

impl Core {
    /// Those of the closing requests of an account whose sessions ought to be denied and are not known to be, and since when.
    pub(crate) async fn not_denied(
        &self,
        account: &AccountId,
        closing: &[Request],
        wanted: &Denied,
    ) -> BTreeMap<RequestId, Timestamp> {
        // A ledger that cannot be read does not say that anything is denied.
        let loaded = self.denials(account).await.ok().flatten();
        let denials = loaded.as_ref().and_then(|loaded| loaded.state.as_ref());
        let mut found = BTreeMap::new();
        for request in closing {
            let id = request.raised.id;
            let Some(begun_before) = wanted.get(&id) else { continue };
            if let Some(since) = undenied_since(denials, request, *begun_before) {
                found.insert(id, since);
            }
        }
        found
    }

    /// Those whose sessions are denied, but never for long, and since when: others change that again and again.
    pub(crate) async fn denied_in_vain(
        &self,
        account: &AccountId,
        closing: &[Request],
        wanted: &Denied,
    ) -> BTreeMap<RequestId, Timestamp> {
        let loaded = self.denials(account).await.ok().flatten();
        let denials = loaded.as_ref().and_then(|loaded| loaded.state.as_ref());
        let Some(since) = denials.and_then(|denials| denials.in_vain_since(self.now())) else {
            return BTreeMap::new();
        };
        let in_vain = |request: &Request| {
            let Phase::Ended { at, .. } = &request.phase else { return None };
            wanted.contains_key(&request.raised.id).then(|| (request.raised.id, since.max(*at)))
        };
        closing.iter().filter_map(in_vain).collect()
    }

    /// The same as [`not_denied`](Self::not_denied) where AWS does not tell whether sessions are to be denied: by the log they may be.
    pub(crate) async fn perhaps_not_denied(
        &self,
        account: &AccountId,
        closing: &[Request],
        untold: &BTreeSet<RequestId>,
    ) -> Result<BTreeMap<RequestId, Timestamp>, Fault> {
        if untold.is_empty() {
            return Ok(BTreeMap::new());
        }
        let loaded = self.denials(account).await?;
        let denials = loaded.as_ref().and_then(|loaded| loaded.state.as_ref());
        let mut found = BTreeMap::new();
        for request in closing.iter().filter(|request| untold.contains(&request.raised.id)) {
            // What the log does not tell now is told at the next look.
            let Ok(Some(sessions)) = self.sessions_by_log(request).await else { continue };
            if let Some(since) = undenied_since(denials, request, sessions.begun_before) {
                found.insert(request.raised.id, since);
            }
        }
        Ok(found)
    }
}

/// Since when sessions of an ended request are not known to be denied, of those that began before an instant; `None`: all of them are.
fn undenied_since(
    denials: Option<&Denials>,
    request: &Request,
    begun_before: Option<Timestamp>,
) -> Option<Timestamp> {
    let Phase::Ended { at, .. } = &request.phase else { return None };
    let Some(denials) = denials else { return Some(*at) };
    let id = &request.raised.id;
    // Of some that are denied, those that began until the removal may not be.
    let too_short = denials.confirmed.get(id).is_some_and(|confirmed| *confirmed < begun_before);
    let late = begun_before.filter(|_| too_short);
    denials.undenied_since(id, *at).into_iter().chain(late).min()
}

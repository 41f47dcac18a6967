//! GetActivation: when access may be there, what stands in its way, what is left of it past its end.

use crate::agenda::{key_of, never_begun};
use crate::core::Core;
use crate::eligibility::Eligibility;
use crate::fault::Fault;
use crate::lifetime::{UNPROVABLE, past_end_if};
use crate::traffic::Urgency;
use api::activation::v1 as wire;
use aws::GroupId;
use domain::{SignedDuration, Timestamp};
use lifecycle::Request;
use lifecycle::assignment::{AssignmentKey, Ledger, Presence};
use lifecycle::event::{Closed, ClosedHow};
use lifecycle::state::{Closure, Phase};
use service_runtime::Call;
use std::time::Duration;
use tonic::Status;
use views::wire as values;

/// How long a question may take because AWS is asked which groups hold something: they are told for information.
const GROUPS_WITHIN: Duration = Duration::from_secs(2);

/// What stands in the way of access.
struct Obstacle {
    /// As a program reads it.
    code: String,
    /// What it means here, for people; empty where the code says all.
    detail: String,
}

impl Core {
    pub(super) async fn get_activation(
        &self,
        call: &Call,
        asked: wire::GetActivationRequest,
    ) -> Result<wire::GetActivationResponse, Status> {
        let id = super::request_id(&asked.request_id)?;
        self.wait_for(&asked.wait_for_position).await?;
        let in_force = self.policy().await?;
        let who = self.who(call, in_force.as_deref())?;
        let story = self.story(&who, &id, in_force.as_deref())?;
        let shown = self.views.show(&story).await;
        let now = self.now();
        let usual = key_of(&story.request).and_then(|key| self.usual_operation(&key));
        let estimate = self.agenda.estimate(&id, now, usual);
        let obstacle =
            self.obstacle_now(&story.request).await.map_err(|fault| crate::status::fault(&fault))?;
        let (obstacles, obstacle_detail) = match obstacle {
            Some(Obstacle { code, detail }) => (vec![code], detail),
            None => (Vec::new(), String::new()),
        };
        let past_end = self.past_end(&story.request, now).await;
        let fenced_until = self.fenced_until(&story.request).await;
        let active = story.request.approved().is_ok_and(|(_, active)| active.is_some());
        let standing_groups = match key_of(&story.request).filter(|_| active) {
            Some(key) => self.standing_groups(&key).await,
            None => Vec::new(),
        };
        Ok(wire::GetActivationResponse {
            activation: Some(wire::Activation {
                request_id: shown.request_id,
                access_phase: shown.access_phase,
                closure_phase: shown.closure_phase,
                estimate: estimate.map(|estimate| wire::ActivationEstimate {
                    active_in: Some(values::duration(estimate.active_in)),
                    ahead: u32::try_from(estimate.ahead).unwrap_or(u32::MAX),
                }),
                bound: shown.bound,
                obstacles,
                obstacle_detail,
                closing_since: closing_since(&story.request).map(values::time),
                past_end: past_end.map(values::duration),
                fenced_until: fenced_until.map(values::time),
                standing_groups,
            }),
        })
    }

    /// For how long access was left past its end; while something of it may be left, what that is by now.
    async fn past_end(&self, request: &Request, now: Timestamp) -> Option<SignedDuration> {
        if closing_since(request).is_none() {
            return request.past_end();
        }
        // While its ledger cannot be read, it may be there.
        let removed_at = self.gone_at(request).await.unwrap_or_default();
        past_end_if(request, Closed { how: ClosedHow::Deleted, removed_at }, now)
    }

    /// Until when something of a request that is over may still appear, although nothing of it is there.
    async fn fenced_until(&self, request: &Request) -> Option<Timestamp> {
        let key = key_of(request).filter(|_| request.is_closing() && !never_begun(request))?;
        // Where its ledger cannot be read, the request is shown without.
        let loaded = self.ledger(&key).await.ok()?;
        loaded.state.as_ref().and_then(Ledger::absent_until)
    }

    /// The groups through which a user holds the same as by an assignment, by name where they have one. None, where that cannot be
    /// told now.
    pub(super) async fn standing_groups(&self, key: &AssignmentKey) -> Vec<String> {
        let asked = tokio::time::timeout(GROUPS_WITHIN, self.groups_holding(key, Urgency::Check)).await;
        let Ok(Ok(groups)) = asked else {
            tracing::debug!(target = %key.target, "which groups hold the same cannot be told");
            return Vec::new();
        };
        let directory = self.views.directory.snapshot();
        let name = |id: &GroupId| {
            let group = directory.as_ref().and_then(|directory| directory.contents().groups.get(id));
            let named = group.filter(|group| !group.display_name.is_empty());
            named.map_or_else(|| id.as_str().to_owned(), |group| group.display_name.clone())
        };
        groups.iter().map(name).collect()
    }

    /// What stands in the way of access that should be there. It is told as it will be recorded of the request if the window ends so, to
    /// the same people.
    async fn obstacle_now(&self, request: &Request) -> Result<Option<Obstacle>, Fault> {
        if !self.waits(request).await? {
            return Ok(None);
        }
        if let Some(known) = self.obstacle(request).await? {
            let (code, detail) = known.split_once(':').unwrap_or((known.as_str(), ""));
            return Ok(Some(Obstacle { code: code.to_owned(), detail: detail.trim().to_owned() }));
        }
        Ok(match self.eligibility(request).await? {
            Eligibility::Unknown(why) | Eligibility::Outdated(why) => {
                Some(Obstacle { code: UNPROVABLE.to_owned(), detail: why })
            }
            Eligibility::Eligible(_) | Eligibility::Lost(_) => None,
        })
    }

    /// Whether a live request has no access: not yet, or because others removed it in AWS.
    async fn waits(&self, request: &Request) -> Result<bool, Fault> {
        let Ok((_, active)) = request.approved() else { return Ok(false) };
        let live = request.is_live(self.now());
        if !live || active.is_none() {
            return Ok(live);
        }
        let Some(key) = key_of(request) else { return Ok(false) };
        let loaded = self.ledger(&key).await?;
        Ok(loaded.state.as_ref().is_some_and(|ledger| ledger.presence == Presence::Absent))
    }
}

/// Since when it is over, while something of an assignment may be left in AWS.
fn closing_since(request: &Request) -> Option<Timestamp> {
    key_of(request)?;
    let Phase::Ended { at, closure: Closure::Closing, .. } = &request.phase else { return None };
    (!never_begun(request)).then_some(*at)
}

//! GetActivation: when access may be there, what stands in its way, what is left of it past its end.

use crate::agenda::{key_of, never_begun};
use crate::core::Core;
use crate::eligibility::Eligibility;
use crate::fault::Fault;
use api::activation::v1 as wire;
use command::LoadError;
use domain::{SignedDuration, Timestamp};
use lifecycle::Request;
use lifecycle::assignment::{Ledger, Presence};
use lifecycle::event::ClosedHow;
use lifecycle::state::{Closure, Phase};
use service_runtime::Call;
use tonic::Status;
use views::wire as values;

/// Why it cannot be told whether access may be given.
const UNPROVABLE: &str = "Unprovable";

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
        let estimate = self.agenda.estimate(&id, now, self.usual_operation());
        let obstacles = self.obstacles(&story.request).await.map_err(|fault| crate::status::fault(&fault))?;
        let left = left_past_end(&story.request, now);
        let fenced_until = self.fenced_until(&story.request).await?;
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
                closing_since: left.and_then(|(since, closed)| (!closed).then(|| values::time(since.at))),
                past_end: left.map(|(since, _)| values::duration(since.length)),
                fenced_until: fenced_until.map(values::time),
            }),
        })
    }

    /// Until when something of a request that is over may still appear, although nothing of it is there.
    async fn fenced_until(&self, request: &Request) -> Result<Option<Timestamp>, Status> {
        let Some(key) = key_of(request).filter(|_| request.is_closing() && !never_begun(request)) else {
            return Ok(None);
        };
        match self.readable_ledger(&key).await {
            Ok(loaded) => Ok(loaded.state.as_ref().and_then(Ledger::absent_until)),
            // The request is shown all the same.
            Err(LoadError::Corrupt(_)) => Ok(None),
            Err(unavailable @ LoadError::Unavailable(_)) => Err(crate::status::fault(&unavailable.into())),
        }
    }

    /// What stands in the way of access that should be there, as codes.
    async fn obstacles(&self, request: &Request) -> Result<Vec<String>, Fault> {
        if !self.waits(request).await? {
            return Ok(Vec::new());
        }
        if let Some(obstacle) = self.obstacle(request).await? {
            // After the code comes what it means here, which is for the operators' log.
            let code = obstacle.split_once(':').map_or(obstacle.as_str(), |(code, _)| code);
            return Ok(vec![code.to_owned()]);
        }
        Ok(match self.eligibility(request).await? {
            Eligibility::Unknown(_) => vec![UNPROVABLE.to_owned()],
            Eligibility::Eligible(_) | Eligibility::Lost(_) => Vec::new(),
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

/// Something that was left in AWS past the end.
#[derive(Clone, Copy)]
struct Left {
    at: Timestamp,
    length: SignedDuration,
}

/// For how long an assignment was left past its end, and whether that is over.
fn left_past_end(request: &Request, now: Timestamp) -> Option<(Left, bool)> {
    key_of(request)?;
    let Phase::Ended { at, closure, .. } = &request.phase else { return None };
    let left =
        |until: &Timestamp| Left { at: *at, length: until.duration_since(*at).max(SignedDuration::ZERO) };
    match closure {
        Closure::Closing => (!never_begun(request)).then(|| (left(&now), false)),
        Closure::Closed { at: closed_at, how: ClosedHow::Deleted | ClosedHow::Abandoned } => {
            Some((left(closed_at), true))
        }
        Closure::Closed { .. } => None,
    }
}

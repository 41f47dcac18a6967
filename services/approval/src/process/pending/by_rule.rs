//! Requests that their rule asks nobody about.

use super::{CHUNK, faults, held_up, react_to, read_at, shown};
use crate::core::Core;
use crate::current;
use crate::evidence;
use crate::status::Refused;
use command::CommandError;
use domain::{EventId, RequestId, Timestamp};
use lifecycle::{Request, RequestEvent, review};
use std::collections::BTreeSet;
use views::InForce;

/// What was left pending, and what it was looked at with: it is looked at again when that has changed.
#[derive(Debug, Default)]
pub(super) struct Left {
    requests: BTreeSet<RequestId>,
    under: Option<(EventId, Option<Timestamp>)>,
}

impl Left {
    /// Approves what may be approved; what the policy asks people about now, or what cannot be proved, is left. Says whether
    /// nothing else was.
    pub(super) async fn approve(&mut self, core: &Core) -> bool {
        let found = core.views.requests.pending_by_rule(CHUNK + self.requests.len());
        let Ok(mut ids) = found.inspect_err(|error| held_up("approval by rule", error)) else { return false };
        let pending: BTreeSet<RequestId> = ids.iter().copied().collect();
        self.requests.retain(|left| pending.contains(left));
        if ids.is_empty() {
            return true;
        }
        let current = core.views.policy.current().await;
        let Ok(in_force) = current.inspect_err(|why| held_up("approval by rule", why)) else { return false };
        let under = Some((in_force.event, read_at(core)));
        if self.under != under {
            self.under = under;
            self.requests.clear();
        }
        ids.retain(|id| !self.requests.contains(id));
        let reactions = react_to(ids, |id| {
            core.react(id, "approve-by-rule", |request, at| async move { by_rule(core, &request, at).await })
        })
        .await;
        let (mut failed, mut clock_in_doubt) = (Vec::new(), false);
        for (id, reaction) in &reactions {
            match reaction {
                Ok(Some(_)) => {}
                Ok(None) => drop(self.requests.insert(*id)),
                Err(CommandError::Refused(Refused::NoPlan(why))) => {
                    tracing::debug!(request = %id, %why, "left pending");
                    self.requests.insert(*id);
                }
                // Said when it began; tried again.
                Err(CommandError::Refused(Refused::Clock(_))) => clock_in_doubt = true,
                Err(error) => failed.push(error),
            }
        }
        let held_up = faults("approval by rule", failed.into_iter());
        shown(core, &reactions).await && !held_up && !clock_in_doubt
    }
}

async fn by_rule(core: &Core, request: &Request, at: Timestamp) -> Result<RequestEvent, Refused> {
    request.pending()?;
    core.views.certain_of_time()?;
    evidence::is_still_here(&core.views, request)?;
    let in_force = core.views.policy.current().await?;
    let plan = current::plan(&core.views, &in_force, request, core.now())?;
    if wrote_the_rule(core, &in_force, request)? {
        return Err(Refused::OwnRule);
    }
    let duration_min = in_force.compiled.settings().duration_min;
    Ok(review::approve_by_rule(request, &plan, in_force.event, duration_min, at)?)
}

/// Whether the requester, under any identity, last changed the rule. It was refused when the request was raised; the rule may
/// have been changed since.
fn wrote_the_rule(core: &Core, in_force: &InForce, request: &Request) -> Result<bool, Refused> {
    let raised = &request.raised;
    let known =
        evidence::identities(&core.views, &raised.requester, raised.grounds.principal.clone(), request)?;
    let directory = core.views.directory.snapshot();
    Ok(in_force.wrote(&raised.grounds.rule, &known, directory.as_deref()))
}

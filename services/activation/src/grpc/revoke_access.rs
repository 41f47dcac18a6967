//! RevokeAccess: the requester, a current approver of the target, or an administrator ends it now.

use crate::core::Core;
use api::activation::v1 as wire;
use command::aggregate::RequestAggregate;
use journal::{Fact, Stream};
use lifecycle::event::RevokedAs;
use lifecycle::{Rejection, Request, access};
use service_runtime::Call;
use tonic::Status;
use views::policy_book::InForce;
use views::{Story, Who, refusal};

impl Core {
    pub(super) async fn revoke_access(
        &self,
        call: &Call,
        mut asked: wire::RevokeAccessRequest,
    ) -> Result<wire::RevokeAccessResponse, Status> {
        let id = super::request_id(&asked.request_id)?;
        let key = std::mem::take(&mut asked.idempotency_key);
        let in_force = self.policy_if_any().await;
        let who = self.who(call, in_force.as_deref())?;
        let story = self.story(&who, &id, in_force.as_deref())?;
        let capacity = self
            .capacity(&who, &story.request, in_force.as_deref())
            .ok_or_else(|| refusal::status(&Rejection::NotEntitled))?;
        let command = self.command(call, &format!("revoke:{id}"), &key, &asked).await?;
        let comment = self.views.seal_comment(who.person(), &command.event_id, &asked.comment).await?;
        let outcome = self
            .commander
            .execute::<RequestAggregate, Rejection>(Stream::Request(id), command, |loaded, _| {
                let request = loaded.state.as_ref().ok_or(Rejection::NotFound)?;
                access::revoke(request, capacity, comment.clone()).map(Fact::Request)
            })
            .await
            .map_err(refusal::command)?;
        let story = if self.views.caught_up_to(outcome.position).await {
            self.views.requests.get(&id).map_err(|error| refusal::status(&error))?.unwrap_or(story)
        } else {
            // The read model is slow; what was known, and the event, are true.
            let mut events = story.events.clone();
            events.push(outcome.event);
            Story::fold(events, outcome.position).unwrap_or(story)
        };
        Ok(wire::RevokeAccessResponse {
            request: Some(self.views.show(&story).await),
            position: self.views.token(outcome.position),
        })
    }

    /// The policy, if it can be read: without it nobody counts as an approver, but requester and administrators still end
    /// access.
    async fn policy_if_any(&self) -> Option<std::sync::Arc<InForce>> {
        self.views
            .policy
            .current()
            .await
            .inspect_err(|error| tracing::warn!(%error, "access is ended without the policy"))
            .ok()
    }

    /// In which capacity the caller may end this request; the nearest one counts.
    fn capacity(&self, who: &Who, request: &Request, in_force: Option<&InForce>) -> Option<RevokedAs> {
        let raised = &request.raised;
        if who.acting.identities.same_as(&raised.requester, raised.grounds.principal.as_ref()) {
            Some(RevokedAs::Requester)
        } else if in_force.is_some_and(|policy| self.decides_on(who, request, policy)) {
            Some(RevokedAs::Approver)
        } else if who.is_administrator {
            Some(RevokedAs::Administrator)
        } else {
            None
        }
    }
}

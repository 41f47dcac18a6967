//! RevokeAccess: the requester, a current approver of the target, or an administrator ends it now.

use super::Calling;
use crate::core::Core;
use api::activation::v1 as wire;
use command::aggregate::RequestAggregate;
use domain::{EventId, Sealed};
use journal::{Fact, Stream};
use lifecycle::event::RevokedAs;
use lifecycle::{Rejection, Request, access};
use tonic::{Code, Status};
use views::policy_book::InForce;
use views::{Story, Who, refusal, resource};

impl Core {
    pub(super) async fn revoke_access(
        &self,
        calling: &Calling,
        mut asked: wire::RevokeAccessRequest,
    ) -> Result<wire::RevokeAccessResponse, Status> {
        let id = super::request_id(&asked.request_id)?;
        let key = std::mem::take(&mut asked.idempotency_key);
        let in_force = self.policy_if_any().await;
        let who = self.who(calling, in_force.as_deref())?;
        let story = self.story(&who, &id, in_force.as_deref())?;
        let capacity = self
            .capacity(&who, &story.request, in_force.as_deref())
            .ok_or_else(|| refusal::status(&Rejection::NotEntitled))?;
        let command = self.command(calling, &format!("revoke:{id}"), &key, &asked)?;
        let comment = self.sealed_comment(&who, command.event_id, &asked.comment)?;
        let outcome = self
            .commander
            .execute::<RequestAggregate, Rejection>(Stream::Request(id), command, |loaded, _| {
                let request = loaded.state.as_ref().ok_or(Rejection::NotFound)?;
                access::revoke(request, capacity, comment.clone()).map(Fact::Request)
            })
            .await
            .map_err(refusal::command)?;
        let story = if self.caught_up_to(outcome.position).await {
            self.views.requests.get(&id).map_err(|error| refusal::status(&error))?.unwrap_or(story)
        } else {
            // The read model is slow; what was known, and the event, are true.
            let mut events = story.events.clone();
            events.push(outcome.event);
            Story::fold(events, outcome.position).unwrap_or(story)
        };
        Ok(wire::RevokeAccessResponse {
            request: Some(self.shown(&story)),
            position: self.token(outcome.position),
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

    /// The comment, sealed with the writer's own key.
    fn sealed_comment(&self, who: &Who, event: EventId, comment: &str) -> Result<Option<Sealed>, Status> {
        if comment.is_empty() {
            return Ok(None);
        }
        let place = resource::comment_place(&event);
        let unusable = |error: &dyn std::fmt::Display| {
            tracing::error!(%error, "a comment could not be sealed");
            refusal::with_reason(
                Code::Unavailable,
                "KEY_STORE_UNAVAILABLE",
                "the key store cannot be used now",
            )
        };
        let key = self.views.keys.obtain(&who.person().id()).map_err(|error| unusable(&error))?;
        key.seal(&place, comment, self.views.entropy.as_ref()).map(Some).map_err(|error| unusable(&error))
    }
}

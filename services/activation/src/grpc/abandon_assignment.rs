//! AbandonAssignment: what cannot be removed because its account or its user is gone is given up, by two people.

use super::get_assignment::read_key;
use crate::core::Core;
use crate::sweep;
use api::activation::v1 as wire;
use command::aggregate::AssignmentAggregate;
use journal::{Fact, Stream};
use lifecycle::Rejection;
use lifecycle::assignment::{Abandon, AssignmentEvent, AssignmentKey, give_up};
use policy::Settings;
use service_runtime::Call;
use tonic::Status;
use views::policy_book::InForce;
use views::refusal;

impl Core {
    pub(super) async fn abandon_assignment(
        &self,
        call: &Call,
        mut asked: wire::AbandonAssignmentRequest,
    ) -> Result<wire::AbandonAssignmentResponse, Status> {
        let idempotency_key = std::mem::take(&mut asked.idempotency_key);
        let in_force = self.policy().await?;
        let who = self.who(call, in_force.as_deref())?;
        super::administrator(&who)?;
        let key = read_key(asked.key.as_ref().unwrap_or(&wire::AssignmentKey::default()))?;
        let command =
            self.command(call, &format!("abandon:{}", key.digest()), &idempotency_key, &asked).await?;
        let gone = self.is_gone(&key, in_force.as_deref())?;
        self.refresh().await.map_err(|fault| crate::status::fault(&fault))?;
        let now = self.now();
        let abandon = Abandon {
            by: who.acting.actor.clone(),
            identities: who.acting.identities.clone(),
            comment: self.views.seal_comment(who.person(), &command.event_id, &asked.comment).await?,
            gone,
            needed: self.agenda.requests_of(&key).iter().any(|request| request.is_live(now)),
        };
        let outcome = self
            .commander
            .execute::<AssignmentAggregate, Rejection>(Stream::assignment(&key), command, |loaded, at| {
                give_up(loaded.state.as_ref(), abandon.clone(), at).map(Fact::Assignment)
            })
            .await
            .map_err(refusal::command)?;
        let given_up = matches!(&outcome.event.fact, Fact::Assignment(AssignmentEvent::Abandoned { .. }));
        tracing::warn!(target = %key.target, principal = %key.principal, given_up, "asked to give up a removal");
        self.agenda.look_at(&key, self.now());
        let assignment = self.show_assignment(&key).await.map_err(|fault| crate::status::fault(&fault))?;
        Ok(wire::AbandonAssignmentResponse {
            assignment,
            second_person_needed: !given_up,
            position: self.views.token(outcome.position),
        })
    }

    /// Whether the account has left the organisation, or is closed, or the user is gone, by a directory that is fresh enough to say so.
    fn is_gone(&self, key: &AssignmentKey, in_force: Option<&InForce>) -> Result<bool, Status> {
        let age_max = in_force.map_or_else(
            || Settings::default().directory_age_max,
            |policy| policy.compiled.settings().directory_age_max,
        );
        let directory = views::place::fresh(&self.views.directory, self.now(), age_max)
            .map_err(|unknown| refusal::status(&unknown))?;
        Ok(sweep::is_gone(&directory, key))
    }
}

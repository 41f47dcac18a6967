//! `DiscardPolicy`.

use super::{id, key};
use crate::core::Core;
use crate::policies::history::{self, Keep};
use crate::status::{self, PolicyRefused};
use api::approval::v1::{DiscardPolicyRequest, DiscardPolicyResponse};
use command::aggregate::PolicyAggregate;
use domain::EventId;
use journal::{Fact, Stream};
use policy::change::{self, Discard};
use service_runtime::Call;
use tonic::Status;
use views::refusal;

pub(super) async fn discard_policy(
    core: &Core,
    call: &Call,
    message: DiscardPolicyRequest,
) -> Result<DiscardPolicyResponse, Status> {
    let key = key(&message.idempotency_key)?;
    let proposal: EventId = id("proposal_event_id", &message.proposal_event_id)?;
    let message = DiscardPolicyRequest { idempotency_key: String::new(), ..message };
    let command = core.command(call, &format!("discard-policy:{proposal}"), key.as_str(), &message).await?;
    let outcome = core
        .commander
        .execute::<PolicyAggregate, PolicyRefused>(Stream::Policy, command, |loaded, _| {
            let state = loaded.state.clone().unwrap_or_default();
            let discard = Discard { proposal, by: call.caller.actor.clone() };
            Ok(Fact::Policy(change::discard(&state, discard)?))
        })
        .await
        .map_err(status::policy)?;
    let history = history::read(core, Keep::Of(proposal)).await?;
    let record = history.find(proposal).ok_or_else(|| refusal::not_found("policy"))?;
    Ok(DiscardPolicyResponse {
        record: Some(history.show(core, record)),
        position: core.views.token(outcome.position),
    })
}

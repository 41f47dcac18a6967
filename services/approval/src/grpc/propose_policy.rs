//! `ProposePolicy`.

use super::{event_id, key};
use crate::core::Core;
use crate::policies::history::{self, Keep};
use crate::policies::odd;
use crate::status::{self, PolicyRefused};
use api::approval::v1::{ProposePolicyRequest, ProposePolicyResponse};
use command::aggregate::PolicyAggregate;
use command::{CommandError, Outcome};
use domain::EventId;
use event_log::Position;
use journal::{Fact, Stream};
use policy::change::{self, Accept, Propose, Rejection, SourceDigest};
use policy::{Policy, PolicyState};
use service_runtime::Call;
use std::collections::BTreeSet;
use tonic::Status;
use views::{policy_wire, refusal, who};

pub(super) async fn propose_policy(
    core: &Core,
    call: &Call,
    message: ProposePolicyRequest,
) -> Result<ProposePolicyResponse, Status> {
    let key = key(&message.idempotency_key)?;
    let base = event_id("base_event_id", &message.base_event_id)?;
    let policy =
        policy_wire::read("policy", message.policy.as_ref().unwrap_or(&api::approval::v1::Policy::default()))
            .map_err(status::wrong_fields)?;
    let source_digest = source_digest(&message.source_digest, &policy)?;
    let message = ProposePolicyRequest { idempotency_key: String::new(), ..message };
    let command = core.command(call, "propose-policy", key.as_str(), &message).await?;
    let author_principal = who::principal_of_caller(&core.views.directory, &call.caller).unwrap_or_default();
    let author = call.caller.actor.clone();
    let propose = Propose { base, policy, author, author_principal, source_digest };
    let proposed = core
        .commander
        .execute::<PolicyAggregate, PolicyRefused>(Stream::Policy, command, |loaded, _| {
            let state = loaded.state.clone().unwrap_or_default();
            Ok(Fact::Policy(change::propose(&state, propose.clone())?))
        })
        .await
        .map_err(status::policy)?;
    let proposal = proposed.event.id;
    let applied =
        if alone_suffices(&proposed) { apply(core, call, key.as_str(), proposal).await? } else { None };
    let position = applied.unwrap_or(proposed.position);
    let history = history::read(core, Keep::Of(proposal)).await?;
    let record = history.find(proposal).ok_or_else(|| refusal::not_found("policy"))?;
    let directory = core.views.directory.snapshot();
    Ok(ProposePolicyResponse {
        record: Some(history.show(core, record)),
        position: core.views.token(position),
        warnings: directory.map(|directory| odd::warnings(&propose.policy, &directory)).unwrap_or_default(),
    })
}

/// SHA-256 of the source, if the caller has one.
fn source_digest(given: &[u8], policy: &Policy) -> Result<SourceDigest, Status> {
    if given.is_empty() {
        return Ok(policy.digest());
    }
    given.try_into().map_err(|_| refusal::field("source_digest", "must be the 32 bytes of a SHA-256"))
}

/// Whether the policy in force asks for no second administrator. Whether that is so is decided again when it is applied.
fn alone_suffices(proposed: &Outcome<PolicyState>) -> bool {
    let applied = proposed.state.as_ref().and_then(PolicyState::applied);
    applied.is_some_and(|(_, policy)| !policy.settings.second_administrator)
}

/// Puts the proposal in force by its author alone. `None` when that is no longer possible: then it stays a proposal.
async fn apply(core: &Core, call: &Call, key: &str, proposal: EventId) -> Result<Option<Position>, Status> {
    let by = call.caller.actor.clone();
    let operation = format!("apply-policy:{proposal}");
    let command = core.command(call, &operation, key, &()).await?;
    let applied = core
        .commander
        .execute::<PolicyAggregate, PolicyRefused>(Stream::Policy, command, |loaded, _| {
            let state = loaded.state.clone().unwrap_or_default();
            let accept = Accept { proposal, by: by.clone(), linked: BTreeSet::new(), principal: None };
            Ok(Fact::Policy(change::accept(&state, accept)?))
        })
        .await;
    match applied {
        Ok(outcome) => Ok(Some(outcome.position)),
        Err(CommandError::Refused(PolicyRefused(
            Rejection::StaleBase { .. } | Rejection::NotAnotherPerson | Rejection::NothingProposed(_),
        ))) => Ok(None),
        Err(error) => Err(status::policy(error)),
    }
}

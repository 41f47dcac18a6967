//! `AcceptPolicy`.

use super::{id, key};
use crate::core::Core;
use crate::evidence;
use crate::policies::history::{self, Keep};
use crate::status::{self, PolicyRefused};
use api::approval::v1::{AcceptPolicyRequest, AcceptPolicyResponse};
use command::aggregate::PolicyAggregate;
use domain::{EventId, Person, PrincipalId};
use identity::Caller;
use journal::{Fact, Stream};
use policy::PolicyState;
use policy::change::{self, Accept};
use service_runtime::Call;
use std::collections::BTreeSet;
use tonic::Status;
use views::place::PlaceUnknown;
use views::{Views, refusal, who};

pub(super) async fn accept_policy(
    core: &Core,
    call: &Call,
    message: AcceptPolicyRequest,
) -> Result<AcceptPolicyResponse, Status> {
    let key = key(&message.idempotency_key)?;
    let proposal: EventId = id("proposal_event_id", &message.proposal_event_id)?;
    core.up_to_date().await?;
    let caller = &call.caller;
    let linked = core.views.requests.linked(&caller.actor.person).map_err(|error| refusal::status(&error))?;
    let principal = user_of_caller(&core.views, caller)?;
    let message = AcceptPolicyRequest { idempotency_key: String::new(), ..message };
    let command = core.command(call, &format!("accept-policy:{proposal}"), key.as_str(), &message).await?;
    let outcome = core
        .commander
        .execute::<PolicyAggregate, PolicyRefused>(Stream::Policy, command, |loaded, _| {
            let state = loaded.state.clone().unwrap_or_default();
            let mut linked = linked.clone();
            linked.extend(same_user(&core.views, &state, proposal, principal.as_ref()));
            let principal = principal.clone();
            let accept = Accept { proposal, by: caller.actor.clone(), linked, principal };
            Ok(Fact::Policy(change::accept(&state, accept)?))
        })
        .await
        .map_err(status::policy)?;
    let history = history::read(core, Keep::Of(proposal)).await?;
    let record = history.find(proposal).ok_or_else(|| refusal::not_found("policy"))?;
    Ok(AcceptPolicyResponse {
        record: Some(history.show(core, record)),
        position: core.views.token(outcome.position),
    })
}

/// The caller's user in Identity Center. Whether they are another person than the author rests on it: where it cannot be told,
/// nothing is accepted.
fn user_of_caller(views: &Views, caller: &Caller) -> Result<Option<PrincipalId>, Status> {
    if views.directory.snapshot().is_none() {
        return Err(refusal::status(&PlaceUnknown::NoDirectory));
    }
    who::principal_of_caller(&views.directory, caller)
        .map_err(|error| refusal::unavailable("UNPROVABLE", error.to_string()))
}

/// The proposal's author, where they are the same user of Identity Center as the caller.
fn same_user(
    views: &Views,
    state: &PolicyState,
    proposal: EventId,
    principal: Option<&domain::PrincipalId>,
) -> BTreeSet<Person> {
    let author = state.proposals().get(&proposal).map(|proposed| &proposed.author.person);
    let directory = views.directory.snapshot();
    let same = |author: &&Person| {
        principal.is_some() && evidence::user_of(directory.as_deref(), author).as_ref() == principal
    };
    author.filter(same).into_iter().cloned().collect()
}

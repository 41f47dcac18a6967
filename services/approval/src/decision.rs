//! One person's yes or no: may they know of the request, and what becomes of their word.

use crate::core::Core;
use crate::evidence::Decider;
use crate::status::Refused;
use crate::{current, evidence};
use command::aggregate::RequestAggregate;
use command::{Command, Outcome};
use domain::{Groups, Plan, RequestId, Sealed, SignedDuration, Timestamp};
use identity::Caller;
use journal::{Fact, Stream};
use lifecycle::review::{self, Approve, Reject};
use lifecycle::{Rejection, Request, RequestEvent};
use service_runtime::Call;
use tonic::Status;
use views::scheduled::{self, StartNeedsDirectory};
use views::{refusal, visibility};

/// What someone says to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    Yes,
    No,
}

/// Carries out `word` on a request: exactly one event, however often it is given.
pub(crate) async fn decide(
    core: &Core,
    call: &Call,
    id: RequestId,
    word: Word,
    command: Command,
    comment: &str,
) -> Result<Outcome<Request>, Status> {
    core.up_to_date().await?;
    may_know(core, call, &id).await?;
    let comment = core.views.seal_comment(&call.caller.actor.person, &command.event_id, comment).await?;
    let outcome = core
        .commander
        .execute_async::<RequestAggregate, Refused, _>(Stream::Request(id), command, |loaded, at| {
            let (state, comment) = (loaded.state.clone(), comment.clone());
            async move {
                let request = state.ok_or(Rejection::NotFound)?;
                spoken(core, &call.caller, &request, word, comment, at).await.map(Fact::Request)
            }
        })
        .await;
    outcome.map_err(refusal::command)
}

/// Refuses unless the caller may know of the request. Where that cannot be told, the answer is the same whether or not there is
/// such a request.
async fn may_know(core: &Core, call: &Call, id: &RequestId) -> Result<(), Status> {
    let in_force = core.views.policy.current().await.map_err(|why| refusal::status(&why))?;
    let who = core.views.who(&call.caller, in_force.compiled.settings().group_age_max)?;
    let seen = core.story(id)?.is_some_and(|story| {
        visibility::sees(&who, &story, None)
            || current::plan(&core.views, &in_force, &story.request, core.now())
                .is_ok_and(|plan| visibility::sees(&who, &story, Some(&plan)))
    });
    if seen {
        return Ok(());
    }
    who.groups.known().map_err(|why| refusal::status(&Rejection::Unprovable(why.to_owned())))?;
    Err(refusal::not_found("request"))
}

/// What a word comes to, on everything as it is known now.
async fn spoken(
    core: &Core,
    caller: &Caller,
    request: &Request,
    word: Word,
    comment: Option<Sealed>,
    at: Timestamp,
) -> Result<RequestEvent, Refused> {
    request.pending()?;
    let views = &core.views;
    if word == Word::Yes {
        views.certain_of_time()?;
        evidence::is_still_here(views, request)?;
    }
    let in_force = views.policy.current().await?;
    let settings = in_force.compiled.settings();
    let now = core.now();
    let speaker = evidence::decider(views, caller, request, now, settings.group_age_max)?;
    let plan = current::plan(views, &in_force, request, now)?;
    let event = match word {
        Word::Yes => review::approve(
            request,
            Approve {
                groups: groups_at_start(request, &speaker, &plan, now, settings.group_age_max)?,
                approver: speaker.acting,
                endorsers: evidence::endorsers(views, request, now, settings.group_age_max)?,
                current: plan,
                policy_event: in_force.event,
                duration_min: settings.duration_min,
                comment,
                at,
            },
        ),
        Word::No => review::reject(
            request,
            Reject {
                approver: speaker.acting,
                groups: speaker.groups,
                current: plan,
                policy_event: in_force.event,
                comment,
                at,
            },
        ),
    };
    Ok(event?)
}

/// The groups that a yes counts by. Where access begins so much later that those of a token are too old by then, it is told now that
/// they do not suffice, not after weeks.
fn groups_at_start(
    request: &Request,
    speaker: &Decider,
    current: &Plan,
    now: Timestamp,
    age_max: SignedDuration,
) -> Result<Groups, StartNeedsDirectory> {
    if !scheduled::outlasts_tokens(request.raised.asked.start, now, age_max) {
        return Ok(speaker.groups.clone());
    }
    let known_then = scheduled::of_directory(&speaker.groups);
    let person = &speaker.acting.actor.person;
    let accepted = |groups: &Groups| {
        let plans = [&request.raised.grounds.plan, current];
        groups.known().is_ok_and(|groups| plans.into_iter().any(|plan| plan.accepts(person, groups)))
    };
    if accepted(&speaker.groups) && !accepted(&known_then) {
        return Err(StartNeedsDirectory { age_max });
    }
    Ok(known_then)
}

//! Asks for several things at once; each stands or falls by itself.

use crate::RequestService;
use crate::answer::Shown;
use crate::raise::Naming;
use api::request::v1::{CreateRequestsRequest, CreateRequestsResponse, CreateRequestsResult};
use api::types::v1::Problem;
use command::CommandError;
use command::aggregate::RequestAggregate;
use domain::{BatchId, EventId, RequestId};
use event_log::Position;
use futures::{StreamExt as _, TryStreamExt as _};
use journal::Stream;
use lifecycle::Rejection;
use prost::Message as _;
use tonic::{Request, Status};
use tonic_types::StatusExt as _;
use views::refusal;

/// How many of a batch are worked on at one time: enough to share the log's group commits, few enough to leave room for others.
const AT_ONE_TIME: usize = 8;

pub(crate) async fn call(
    service: &RequestService,
    request: Request<CreateRequestsRequest>,
) -> Result<CreateRequestsResponse, Status> {
    let call = service_runtime::call(&request)?.clone();
    let CreateRequestsRequest { idempotency_key: key, asks } = request.into_inner();
    let person = &call.caller.actor.person;
    let batch = BatchId::derive(person, "create-batch", &key);
    // Every item answers for the whole batch: with another ask anywhere, it is another command.
    let whole = CreateRequestsRequest { idempotency_key: String::new(), asks: asks.clone() }.encode_to_vec();
    let digest = Some(service.views.digest(person, &whole).await?);
    let namings: Vec<Naming> = (0..asks.len())
        .map(|index| {
            let operation = format!("create-batch:{index}");
            Naming {
                request: RequestId::derive(person, &operation, &key),
                event: EventId::derive(person, &operation, &key),
                digest,
                batch: Some(batch),
            }
        })
        .collect();
    refuse_another_batch(service, &namings).await?;

    let call = &call;
    let raising = asks.into_iter().zip(namings).enumerate().map(|(index, (ask, naming))| async move {
        service.raise(call, &ask, &format!("asks[{index}]"), naming).await
    });
    let outcomes: Vec<Result<Shown, Status>> =
        futures::stream::iter(raising).buffered(AT_ONE_TIME).collect().await;
    let last = outcomes.iter().flatten().map(|shown| shown.position).max();
    Ok(CreateRequestsResponse {
        batch_id: batch.to_string(),
        results: outcomes.into_iter().map(result).collect(),
        position: service.views.token(last.unwrap_or(Position::START)),
    })
}

/// Before anything is raised: whether the key was used for another batch.
async fn refuse_another_batch(service: &RequestService, namings: &[Naming]) -> Result<(), Status> {
    let looking = namings.iter().copied().map(|naming| async move {
        let stream = Stream::Request(naming.request);
        let loaded = service.commander.load::<RequestAggregate>(&stream).await;
        let loaded = loaded.map_err(|error| refusal::command::<Rejection>(error.into()))?;
        match loaded.commands.get(&naming.event) {
            Some(known) if known.digest != naming.digest => {
                Err(refusal::command::<Rejection>(CommandError::KeyReused))
            }
            Some(_) | None => Ok(()),
        }
    });
    futures::stream::iter(looking).buffered(AT_ONE_TIME).try_collect().await
}

fn result(outcome: Result<Shown, Status>) -> CreateRequestsResult {
    match outcome {
        Ok(shown) => CreateRequestsResult { request: Some(shown.request), problem: None },
        Err(status) => CreateRequestsResult { request: None, problem: Some(problem(&status)) },
    }
}

/// What the status of a single call would have said.
fn problem(status: &Status) -> Problem {
    let info = status.get_details_error_info();
    Problem {
        code: status.code().into(),
        reason: info.as_ref().map(|info| info.reason.clone()).unwrap_or_default(),
        message: status.message().to_owned(),
        metadata: info.map(|info| info.metadata).unwrap_or_default(),
    }
}

//! Events of a range in the log's order. The last message says how far it went; a stream without it was cut short.

use crate::AuditService;
use crate::filter::Filter;
use crate::history::{Accounts, History};
use api::audit::v1::{ReplayRequest, ReplayResponse};
use tonic::Status;
use tonic::codegen::BoxStream;

pub(super) async fn replay(
    service: &AuditService,
    request: &ReplayRequest,
) -> Result<BoxStream<ReplayResponse>, Status> {
    let filter = Filter::read(request.filter.as_ref())?;
    service.wait_for_position(&request.wait_for_position).await?;
    let range = service.range(request.from.as_ref(), request.to.as_ref()).await?;
    let history = service.history(range, filter, Accounts::NotWanted).await?;
    let replay = Replay {
        service: service.clone(),
        history,
        with_envelope: request.with_envelope,
        complete_to: service.views.token(range.to),
    };
    Ok(Box::pin(futures::stream::try_unfold(Some(replay), |replay| async {
        let Some(mut replay) = replay else { return Ok(None) };
        let Some((stored, _)) = replay.history.next().await? else {
            return Ok(Some((ReplayResponse { event: None, complete_to: replay.complete_to }, None)));
        };
        let event = replay.service.show(&stored, replay.with_envelope).await;
        Ok(Some((ReplayResponse { event: Some(event), complete_to: String::new() }, Some(replay))))
    })))
}

struct Replay {
    service: AuditService,
    history: History,
    with_envelope: bool,
    complete_to: String,
}

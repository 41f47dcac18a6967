//! What a command answers with.

use crate::RequestService;
use api::types::v1 as wire;
use command::Outcome;
use domain::RequestId;
use event_log::Position;
use lifecycle::Request;
use tonic::Status;
use views::{Story, refusal};

/// A request after a command, and where in the log the command is.
pub(crate) struct Shown {
    pub(crate) request: wire::Request,
    pub(crate) position: Position,
}

impl RequestService {
    /// What came of a command about `id`. A repeat is answered with what has become of the request since.
    pub(crate) async fn shown(&self, id: RequestId, outcome: Outcome<Request>) -> Result<Shown, Status> {
        let position = outcome.position;
        let known = if outcome.repeated { self.later(&id, position).await? } else { None };
        let story = match (known, outcome.state) {
            (Some(story), _) => story,
            (None, Some(request)) => {
                Story { request, events: vec![outcome.event], revision: outcome.revision, position }
            }
            (None, None) => return Err(Status::internal("a request without a story")),
        };
        Ok(Shown { request: self.views.show(&story).await, position })
    }

    /// The request as the read model has it once that has reached `position`.
    async fn later(&self, id: &RequestId, position: Position) -> Result<Option<Story>, Status> {
        // In time or not: what is known then is shown.
        self.views.caught_up_to(position).await;
        self.views.requests.get(id).map_err(|error| refusal::status(&error))
    }
}

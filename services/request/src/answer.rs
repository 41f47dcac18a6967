//! What a command answers with, and what a query waits for.

use crate::RequestService;
use api::types::v1 as wire;
use command::Outcome;
use domain::RequestId;
use event_log::Position;
use lifecycle::Request;
use std::time::Duration;
use tonic::Status;
use views::{PositionToken, Story, refusal, resource};

/// How long a repeated command waits for the read model to show what has become of its request.
const SHOW_WITHIN: Duration = Duration::from_secs(2);

/// How long a query waits for the position that it names; a caller with less patience has a deadline.
const REACH_WITHIN: Duration = Duration::from_secs(5);

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
        Ok(Shown { request: self.show(&story), position })
    }

    /// The request as the read model has it once that has reached `position`.
    async fn later(&self, id: &RequestId, position: Position) -> Result<Option<Story>, Status> {
        let requests = &self.views.requests;
        // Too late is told below: what is known then is shown.
        let _ = tokio::time::timeout(SHOW_WITHIN, requests.projection().wait_for(position)).await;
        requests.get(id).map_err(|error| refusal::status(&error))
    }

    /// A request, to someone who may see it.
    pub(crate) fn show(&self, story: &Story) -> wire::Request {
        let directory = self.views.directory.snapshot();
        resource::request(story, directory.as_deref(), Some(self.views.keys.as_ref()), self.views.clock.now())
    }

    /// A position of this log, for callers.
    pub(crate) fn token(&self, position: Position) -> String {
        PositionToken::new(self.views.log_id, position).to_string()
    }

    /// Returns once everything up to the position that a query names has been seen.
    pub(crate) async fn reach(&self, token: &str) -> Result<(), Status> {
        if token.is_empty() {
            return Ok(());
        }
        let position = PositionToken::read(token, self.views.log_id)
            .map_err(|error| refusal::position("wait_for_position", error))?;
        tokio::time::timeout(REACH_WITHIN, self.views.requests.projection().wait_for(position)).await.map_err(
            |_| refusal::unavailable("POSITION_NOT_REACHED", "that position has not been seen here yet"),
        )
    }
}

//! What every part of the service shares: what it sees, how it writes, how it waits.

use crate::said::Said;
use crate::status::Refused;
use command::aggregate::RequestAggregate;
use command::{CachedSource, Command, CommandError, Commander, Outcome};
use domain::{EventId, RequestId, Timestamp};
use event_log::Position;
use journal::{Service, Stream};
use lifecycle::Request;
use service_runtime::Call;
use service_runtime::trace;
use std::sync::Arc;
use tonic::Status;
use tracing::Instrument as _;
use views::position::{self, REACHED_WITHIN};
use views::{Story, Views, refusal};

/// Streams whose state is remembered between commands: requests under decision, and the policy (4 KiB each).
const REMEMBERED_STREAMS_MAX: usize = 5_000;

/// What every part shares.
pub(crate) struct Core {
    pub(crate) views: Views,
    pub(crate) commander: Commander,
    pub(crate) said: Said,
}

impl Core {
    pub(crate) fn new(views: Views) -> Self {
        let commander = Commander::new(Arc::clone(&views.log), Service::Approval, Arc::clone(&views.clock))
            .with_source(Arc::new(CachedSource::new(REMEMBERED_STREAMS_MAX)));
        Self { views, commander, said: Said::default() }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.views.clock.now()
    }

    /// Waits until the read model shows everything that the log holds: who is linked with whom must not be told from the past.
    pub(crate) async fn up_to_date(&self) -> Result<(), Status> {
        let reached = tokio::time::timeout(REACHED_WITHIN, self.views.requests.projection().reach_head());
        match reached.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the log cannot be read");
                Err(refusal::unavailable("LOG_UNAVAILABLE", "the log is not available; nothing was done"))
            }
            Err(_) => Err(position::not_reached()),
        }
    }

    /// A person's command. `message` is what they sent, without its idempotency key.
    pub(crate) async fn command(
        &self,
        call: &Call,
        operation: &str,
        key: &str,
        message: &impl prost::Message,
    ) -> Result<Command, Status> {
        self.views.command(&call.caller, call.trace(), operation, key, &message.encode_to_vec()).await
    }

    /// The request as it is after `outcome`, and the position of that.
    pub(crate) async fn answer(
        &self,
        id: &RequestId,
        outcome: Outcome<Request>,
    ) -> Result<(api::types::v1::Request, String), Status> {
        self.views.caught_up_to(outcome.position).await;
        let position = self.views.token(outcome.position);
        let story = self.story(id)?.ok_or_else(|| refusal::not_found("request"))?;
        Ok((self.views.show(&with_event(story, outcome)).await, position))
    }

    pub(crate) fn story(&self, id: &RequestId) -> Result<Option<Story>, Status> {
        self.views.requests.get(id).map_err(|error| refusal::status(&error))
    }

    /// Writes what the service itself decides about a request, once: every replica gives the event of one `verb` on one request
    /// the same id. A refusal means that the story went on meanwhile, and is fine. Answers where it is, if it is there.
    pub(crate) async fn react<Deciding>(
        &self,
        id: RequestId,
        verb: &str,
        decide: impl Fn(Request, Timestamp) -> Deciding,
    ) -> Result<Option<Position>, CommandError<Refused>>
    where
        Deciding: Future<Output = Result<lifecycle::RequestEvent, Refused>>,
    {
        let stream = Stream::Request(id);
        let event_id = EventId::from_parts([stream.to_string().as_bytes(), verb.as_bytes()]);
        let story = self.views.requests.get(&id).ok().flatten();
        let cause = story.as_ref().and_then(Story::trace).map(str::to_owned);
        let span = trace::caused("decide", cause.as_deref());
        let trace = trace::context_of(&span).or(cause);
        let command = Command { event_id, actor: None, digest: None, trace };
        let outcome = self
            .commander
            .execute_async::<RequestAggregate, Refused, _>(stream, command, |loaded, at| {
                let request = loaded.state.clone().ok_or(Refused::Lifecycle(lifecycle::Rejection::NotFound));
                let deciding = request.map(|request| decide(request, at));
                async move { Ok(journal::Fact::Request(deciding?.await?)) }
            })
            .instrument(span)
            .await;
        match outcome {
            Ok(outcome) => {
                if !outcome.repeated {
                    tracing::info!(request = %id, verb, "decided");
                }
                Ok(Some(outcome.position))
            }
            Err(CommandError::Refused(refused)) if refused.is_final() => {
                tracing::debug!(request = %id, verb, %refused, "overtaken");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// The story with the event of `outcome`, where the read model lacks only that one.
fn with_event(story: Story, outcome: Outcome<Request>) -> Story {
    if story.revision.next() != outcome.revision {
        return story;
    }
    let events = story.events.iter().cloned().chain([outcome.event]).collect();
    Story::fold(events, outcome.position).unwrap_or(story)
}

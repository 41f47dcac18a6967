//! What services do alike around a call: name a command and seal its remark, wait for the log, show a request.

use crate::position::SHOWN_WITHIN;
use crate::{PositionToken, Story, Views, position, refusal, resource};
use command::Command;
use domain::{EventId, Person, Sealed};
use event_log::Position;
use identity::Caller;
use journal::key_store::KeyStoreError;
use journal::seal::PersonKey;
use tonic::Status;

impl Views {
    /// The caller's command, unless they have left: the same operation under the same key is the same event. `content` is what they sent, without the
    /// key, in its canonical form; `trace` is the W3C traceparent of the call.
    pub async fn command(
        &self,
        caller: &Caller,
        trace: Option<String>,
        operation: &str,
        key: &str,
        content: &[u8],
    ) -> Result<Command, Status> {
        self.still_here(caller).map_err(|error| refusal::status(&error))?;
        let person = &caller.actor.person;
        Ok(Command {
            event_id: EventId::derive(person, operation, key),
            actor: Some(caller.actor.clone()),
            digest: Some(self.digest(person, content).await?),
            trace,
        })
    }

    /// The digest of a command, under a key of who gives it: the same command again has the same, another one does not.
    pub async fn digest(&self, giver: &Person, content: &[u8]) -> Result<[u8; 32], Status> {
        Ok(self.key_of(giver).await?.digest(content))
    }

    /// A remark, sealed with its writer's key to the event that it belongs to; `None` for an empty one.
    pub async fn seal_comment(
        &self,
        writer: &Person,
        event: &EventId,
        comment: &str,
    ) -> Result<Option<Sealed>, Status> {
        if comment.is_empty() {
            return Ok(None);
        }
        let place = resource::comment_place(event);
        let sealed = self.key_of(writer).await?.seal(&place, comment, self.entropy.as_ref());
        sealed.map(Some).map_err(|error| refusal::key_store(&KeyStoreError::new(error.to_string())))
    }

    async fn key_of(&self, person: &Person) -> Result<PersonKey, Status> {
        self.keys.obtain(&person.id()).await.map_err(|error| refusal::key_store(&error))
    }

    /// The token of a place in the log.
    pub fn token(&self, position: Position) -> String {
        PositionToken::new(self.log_id, position).to_string()
    }

    /// The place that a caller names in the field `name`.
    pub fn position(&self, name: &str, token: &str) -> Result<Position, Status> {
        PositionToken::read(token, self.log_id).map_err(|error| refusal::position(name, error))
    }

    /// Whether the read model of requests has come to `position` in time.
    pub async fn caught_up_to(&self, position: Position) -> bool {
        tokio::time::timeout(SHOWN_WITHIN, self.requests.projection().wait_for(position)).await.is_ok()
    }

    /// Waits until the read model of requests has come to what a query says in `wait_for_position`. Nothing is reached at once.
    pub async fn reach(&self, token: &str) -> Result<(), Status> {
        match self.awaited(token)? {
            Some(position) => position::reach(self.requests.projection(), position).await,
            None => Ok(()),
        }
    }

    /// The position that a query says in `wait_for_position`, if it does.
    pub fn awaited(&self, token: &str) -> Result<Option<Position>, Status> {
        if token.is_empty() { Ok(None) } else { self.position("wait_for_position", token).map(Some) }
    }

    /// The request as the API shows it, to someone who may see it.
    pub async fn show(&self, story: &Story) -> api::types::v1::Request {
        let justification = resource::justification(self.keys.as_ref(), story).await;
        let directory = self.directory.snapshot();
        resource::request(story, directory.as_deref(), justification, self.clock.now())
    }

    /// The same for many, in their order.
    pub async fn show_all(&self, stories: impl IntoIterator<Item = &Story>) -> Vec<api::types::v1::Request> {
        futures::future::join_all(stories.into_iter().map(|story| self.show(story))).await
    }
}

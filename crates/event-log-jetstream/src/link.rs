//! The one connection to the servers, shared by all calls: requests whose loss is noticed at once.

use crate::config::JetStreamConfig;
use crate::servers::refuse_old_server;
use crate::wire::{STREAM, place_before, recorded, recorded_by_direct_get, recorded_or_stray};
use async_nats::client::Request;
use async_nats::connection::State;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::RawMessage;
use async_nats::{Client, HeaderMap, Message, RequestErrorKind, StatusCode};
use bytes::Bytes;
use event_log::{LogError, Recorded};
use futures::StreamExt;
use nats_connection::ConnectionError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// How long an answer may take. A synced append takes well under a millisecond; this covers a cluster that elects a leader.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// How often it is looked whether the connection is there again.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Why a request has no answer.
#[derive(Debug)]
pub(crate) enum Lost {
    /// It reached no JetStream.
    NotSent(String),
    /// It may have been carried out.
    NoAnswer(String),
}

impl From<Lost> for LogError {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::NotSent(why) | Lost::NoAnswer(why) => Self::Unavailable(why),
        }
    }
}

/// JetStream's own no.
pub(crate) type ApiError = async_nats::jetstream::Error;

/// An event, and where it says that the one before it in its stream is.
pub(crate) struct Linked {
    pub(crate) event: Recorded,
    pub(crate) before: Option<u64>,
}

pub(crate) struct Link {
    pub(crate) client: Client,
    /// How often the connection was lost.
    drops: watch::Receiver<u64>,
    /// The server that was looked at last, by its id.
    looked_at: Mutex<String>,
}

impl Link {
    pub(crate) async fn connect(config: &JetStreamConfig) -> Result<Self, LogError> {
        let wrong = |error: ConnectionError| LogError::Unavailable(error.to_string());
        let addresses = config.connection.addresses().map_err(wrong)?;
        let (options, drops) =
            nats_connection::watched(config.connection.options("daypass-log").await.map_err(wrong)?);
        let client = options
            .connect(addresses)
            .await
            .map_err(|error| LogError::Unavailable(format!("cannot connect: {error}")))?;
        let info = client.server_info();
        refuse_old_server(&info.version)?;
        Ok(Self { client, drops, looked_at: Mutex::new(info.server_id) })
    }

    /// Tells when the connection that is there now is lost.
    pub(crate) fn drops(&self) -> watch::Receiver<u64> {
        let mut drops = self.drops.clone();
        drops.mark_unchanged();
        drops
    }

    /// Sends a request and waits for its answer, for the loss of the connection, or [`ANSWER_WITHIN`].
    pub(crate) async fn request(
        &self,
        subject: String,
        headers: Option<HeaderMap>,
        payload: Bytes,
    ) -> Result<Message, Lost> {
        let mut drops = self.drops();
        self.ready()?;
        let mut request = Request::new().payload(payload).timeout(Some(ANSWER_WITHIN));
        if let Some(headers) = headers {
            request = request.headers(headers);
        }
        let answer = tokio::select! {
            biased;
            answer = self.client.send_request(subject, request) => answer,
            _ = drops.changed() => return Err(Lost::NoAnswer("the connection was lost".into())),
        };
        answer.map_err(|error| match error.kind() {
            RequestErrorKind::NoResponders => Lost::NotSent("JetStream does not answer".into()),
            RequestErrorKind::InvalidSubject | RequestErrorKind::MaxPayloadExceeded => {
                Lost::NotSent(error.to_string())
            }
            RequestErrorKind::TimedOut | RequestErrorKind::Other => Lost::NoAnswer(error.to_string()),
        })
    }

    /// Whether requests can be sent now: connected, and to a server that we may work with.
    fn ready(&self) -> Result<(), Lost> {
        if self.client.connection_state() != State::Connected {
            return Err(Lost::NotSent("not connected".into()));
        }
        let info = self.client.server_info();
        let mut looked_at = self.looked_at.lock().unwrap_or_else(PoisonError::into_inner);
        if *looked_at != info.server_id {
            refuse_old_server(&info.version).map_err(|error| Lost::NotSent(error.to_string()))?;
            *looked_at = info.server_id;
        }
        Ok(())
    }

    /// Returns once requests can be sent, or after [`ANSWER_WITHIN`].
    pub(crate) async fn until_ready(&self) {
        let ready = async {
            while self.ready().is_err() {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        let _ = tokio::time::timeout(ANSWER_WITHIN, ready).await;
    }

    /// Calls JetStream's API: `STREAM.INFO.x` and the like.
    pub(crate) async fn api<T: DeserializeOwned>(
        &self,
        call: &str,
        request: &Value,
    ) -> Result<Result<T, ApiError>, Lost> {
        let payload = if request.is_null() { Bytes::new() } else { request.to_string().into() };
        let answer = self.request(format!("$JS.API.{call}"), None, payload).await?;
        match serde_json::from_slice(&answer.payload) {
            Ok(Response::Ok(value)) => Ok(Ok(value)),
            Ok(Response::Err { error }) => Ok(Err(error)),
            Err(error) => Err(Lost::NoAnswer(format!("{call} was answered with something else: {error}"))),
        }
    }

    /// One event, from the leader: the one that the request describes, if there is one.
    pub(crate) async fn get(&self, which: &Value) -> Result<Option<Recorded>, LogError> {
        Ok(self.get_linked(which).await?.map(|linked| linked.event))
    }

    /// The same, with where the one before it is.
    pub(crate) async fn get_linked(&self, which: &Value) -> Result<Option<Linked>, LogError> {
        let Some((message, headers)) = self.message(which).await? else { return Ok(None) };
        let before = place_before(&message.subject, headers.as_ref());
        let event = recorded(&message.subject, headers.as_ref(), message.sequence, message.payload)?;
        Ok(Some(Linked { event, before }))
    }

    /// The same, for those who read the whole log: also what is no event.
    pub(crate) async fn get_whatever(&self, which: &Value) -> Result<Option<Recorded>, LogError> {
        let Some((message, headers)) = self.message(which).await? else { return Ok(None) };
        recorded_or_stray(&message.subject, headers.as_ref(), message.sequence, message.payload).map(Some)
    }

    /// A message, and its headers if they can be read. No connection outlives the delivery of one whose headers cannot; this answer
    /// has them encoded.
    async fn message(&self, which: &Value) -> Result<Option<(StreamMessage, Option<HeaderMap>)>, LogError> {
        #[derive(Deserialize)]
        struct Found {
            message: RawMessage,
        }
        match self.api::<Found>(&format!("STREAM.MSG.GET.{STREAM}"), which).await? {
            Ok(Found { message }) => {
                if let Ok(message) = StreamMessage::try_from(message.clone()) {
                    let headers = message.headers.clone();
                    return Ok(Some((message, Some(headers))));
                }
                let sequence = message.sequence;
                let bare = StreamMessage::try_from(RawMessage { headers: None, ..message })
                    .map_err(|error| LogError::Corrupt(format!("message {sequence}: {error}")))?;
                Ok(Some((bare, None)))
            }
            Err(error) if error.error_code() == ErrorCode::NO_MESSAGE_FOUND => Ok(None),
            Err(error) => Err(unavailable(&error)),
        }
    }

    /// Up to `count` events and about `bytes_max` bytes of some subjects from a sequence on, from any replica: perhaps fewer
    /// than the leader has, even none.
    pub(crate) async fn get_batch(
        &self,
        subjects: &str,
        from: u64,
        count: u64,
        bytes_max: usize,
    ) -> Result<Vec<Recorded>, LogError> {
        let mut drops = self.drops();
        self.ready()?;
        let request =
            json!({ "seq": from, "batch": count, "max_bytes": bytes_max, "next_by_subj": subjects });
        let inbox = self.client.new_inbox();
        let unavailable = |error: &dyn std::error::Error| LogError::Unavailable(error.to_string());
        let mut answers = self.client.subscribe(inbox.clone()).await.map_err(|error| unavailable(&error))?;
        self.client
            .publish_with_reply(format!("$JS.API.DIRECT.GET.{STREAM}"), inbox, request.to_string().into())
            .await
            .map_err(|error| unavailable(&error))?;
        let mut events = Vec::new();
        let deadline = tokio::time::sleep(ANSWER_WITHIN);
        tokio::pin!(deadline);
        loop {
            let answer = tokio::select! {
                biased;
                answer = answers.next() => answer,
                _ = drops.changed() => return Err(LogError::Unavailable("the connection was lost".into())),
                () = &mut deadline => return Err(LogError::Unavailable("a read was not answered in time".into())),
            };
            match answer {
                Some(message) if message.status.is_none() => events.push(recorded_by_direct_get(message)?),
                // 204: the end. 404: none. 503: no direct gets on this stream. What is missing is for the caller to see.
                Some(Message { status: Some(StatusCode::TIMEOUT), .. }) => {
                    return Err(LogError::Unavailable("the server refuses a batch read".into()));
                }
                Some(_) | None => return Ok(events),
            }
        }
    }
}

/// JetStream's no to something that it should be able to do.
pub(crate) fn unavailable(error: &ApiError) -> LogError {
    LogError::Unavailable(error.to_string())
}

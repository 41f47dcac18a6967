//! The bus on NATS JetStream.
//!
//! Needs of the servers' permissions: to publish to `daypass.events.v1.>`, `$JS.API.STREAM.INFO.DAYPASS_EVENTS`,
//! `$JS.API.STREAM.MSG.GET.DAYPASS_EVENTS` and, where the stream is not made by somebody else,
//! `$JS.API.STREAM.CREATE.DAYPASS_EVENTS`; to subscribe to `_INBOX.>`. Signals come in by [`NatsSignals`].

mod incoming;
mod room;

pub use incoming::{NatsSignals, SignalsOptions, parked_config, signals_config};
use room::unreserved;
pub use room::{Room, bounded};

use crate::{
    BusError, EVENTS_STREAM, EVENTS_SUBJECT, Extent, MESSAGE_BYTES_MAX, Origin, OutgoingBus, OutgoingMessage,
    PublishError, Stored,
};
use async_nats::client::Request;
use async_nats::connection::State;
use async_nats::header::{
    HeaderName, NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL, NATS_BATCH_ID, NATS_BATCH_SEQUENCE,
    NATS_EXPECTED_LAST_SEQUENCE, NATS_EXPECTED_STREAM, NATS_MESSAGE_ID,
};
use async_nats::jetstream::context::{Context, CreateStreamError, GetStreamError, GetStreamErrorKind};
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RawMessage, RetentionPolicy, StorageType};
use async_nats::jetstream::{self, ErrorCode};
use async_nats::{Client, ConnectOptions, HeaderMap, Message, ServerAddr};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use nats_connection::{Connection, ConnectionError};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::time::Duration;

/// Which log an event is of.
const LOG_ID: HeaderName = HeaderName::from_static("Daypass-Log-Id");
/// Where it is there.
const POSITION: HeaderName = HeaderName::from_static("Daypass-Position");

/// Messages that are stored together or not at all; a server takes no more.
const BATCH_MAX: usize = 1_000;
/// How long an answer may take: covers a cluster that elects a leader.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Within this time the server recognises a repeated message id by itself. Order and uniqueness come from the expected sequence,
/// so it is short: the server keeps every id that long in memory.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(10);
/// Messages that a stream of our making keeps at most, if their bytes have [`Room`]. Who was away for longer asks `audit`.
const MESSAGES_KEPT: i64 = 10_000_000;
/// Room for headers beside the largest body.
const PAYLOAD_MIN: usize = MESSAGE_BYTES_MAX + 16 * 1024;
/// The same, as a stream's limit: the largest message that it takes, with its headers.
const STORED_BYTES_MAX: i32 = 528 * 1024;

/// What a stream is like that is made here.
#[derive(Clone, Copy, Debug)]
pub struct NatsBusOptions {
    /// On how many servers it is kept.
    pub replicas: usize,
}

/// The bus.
pub struct NatsBus {
    client: Client,
    context: Context,
    options: NatsBusOptions,
}

impl NatsBus {
    /// Begins to connect, and does not wait for it: while the servers are not there, every call says so.
    pub async fn connect(connection: &Connection, options: NatsBusOptions) -> Result<Self, BusError> {
        let (way_there, servers) = way(connection, "daypass-events").await?;
        let (client, context) = connected(way_there.retry_on_initial_connect(), servers).await?;
        Ok(Self { client, context, options })
    }

    fn reach(&self) -> Result<(), BusError> {
        reach(&self.client)
    }

    async fn find_or_create(&self) -> Result<jetstream::stream::Stream, BusError> {
        match self.context.get_stream(EVENTS_STREAM).await {
            Ok(stream) => Ok(stream),
            Err(error) if is_absent(&error) => {
                tracing::warn!(
                    stream = EVENTS_STREAM,
                    "there is no stream for events: it is made without a limit of bytes; `daypass nats setup` bounds it"
                );
                let config = unreserved(events_config(self.options.replicas, Room::default()));
                let created = self.context.create_stream(config).await;
                created.map_err(|error: CreateStreamError| unavailable(&error))
            }
            Err(error) => Err(unavailable(&error)),
        }
    }
}

/// How a client of this name connects, and where.
async fn way(connection: &Connection, name: &str) -> Result<(ConnectOptions, Vec<ServerAddr>), BusError> {
    let wrong = |error: ConnectionError| BusError::Unavailable(error.to_string());
    Ok((connection.options(name).await.map_err(wrong)?, connection.addresses().map_err(wrong)?))
}

async fn connected(options: ConnectOptions, servers: Vec<ServerAddr>) -> Result<(Client, Context), BusError> {
    let client = options
        .connect(servers)
        .await
        .map_err(|error| BusError::Unavailable(format!("cannot connect: {error}")))?;
    let context = jetstream::ContextBuilder::new().timeout(ANSWER_WITHIN).build(client.clone());
    Ok((client, context))
}

/// Asked before anything is sent: the client would keep it for later.
fn reach(client: &Client) -> Result<(), BusError> {
    if client.connection_state() != State::Connected {
        return Err(BusError::Unavailable("not connected".to_owned()));
    }
    if client.max_payload() < PAYLOAD_MIN {
        return Err(BusError::Unsafe(format!("max_payload must be {PAYLOAD_MIN} bytes at least")));
    }
    Ok(())
}

/// The stream as it is made here.
pub fn events_config(replicas: usize, room: Room) -> Config {
    Config {
        name: EVENTS_STREAM.into(),
        description: Some("Events of Daypass, for others.".into()),
        subjects: vec![EVENTS_SUBJECT.into()],
        storage: StorageType::File,
        num_replicas: replicas,
        retention: RetentionPolicy::Limits,
        // By count and size, never by age: the last message tells where to go on.
        discard: DiscardPolicy::Old,
        max_messages: MESSAGES_KEPT,
        max_bytes: room.events(),
        max_message_size: STORED_BYTES_MAX,
        max_age: Duration::ZERO,
        duplicate_window: DUPLICATE_WINDOW,
        allow_direct: true,
        allow_atomic_publish: true,
        ..Config::default()
    }
}

/// What must be so of a stream that somebody else made; more is their choice.
fn look_at(config: &Config) -> Result<(), BusError> {
    let checks = [
        (config.subjects == [EVENTS_SUBJECT], "subjects must be daypass.events.v1.> alone"),
        (config.retention == RetentionPolicy::Limits, "retention must be limits"),
        (config.max_age.is_zero(), "max_age must be unlimited: the last message tells where to go on"),
        (config.allow_atomic_publish, "allow_atomic must be on: events are stored together or not at all"),
        (!config.allow_message_ttl, "allow_msg_ttl must be off"),
        (!config.no_ack, "no_ack must be off"),
        (!config.sealed, "sealed must be off"),
        (config.mirror.is_none(), "mirror must be none"),
        (config.sources.as_ref().is_none_or(Vec::is_empty), "sources must be none"),
        (config.subject_transform.is_none(), "subject_transform must be none"),
    ];
    judged(&format!("the stream {EVENTS_STREAM}"), checks)
}

/// What is wrong with `what`, all of it.
fn judged(what: &str, checks: impl IntoIterator<Item = (bool, &'static str)>) -> Result<(), BusError> {
    let wrong: Vec<&str> = checks.into_iter().filter(|(right, _)| !right).map(|(_, must)| must).collect();
    if wrong.is_empty() {
        return Ok(());
    }
    Err(BusError::Unsafe(format!("{what}: {}", wrong.join(", "))))
}

#[async_trait::async_trait]
impl OutgoingBus for NatsBus {
    async fn extent(&self) -> Result<Extent, BusError> {
        self.reach()?;
        let stream = self.find_or_create().await?;
        let info = stream.cached_info();
        look_at(&info.config)?;
        Ok(Extent { first: info.state.first_sequence, last: info.state.last_sequence })
    }

    async fn message(&self, sequence: u64) -> Result<Option<Stored>, BusError> {
        self.reach()?;
        let kept = kept(&self.context, EVENTS_STREAM, &json!({ "seq": sequence })).await?;
        Ok(kept.map(|Kept { message, .. }| Stored {
            origin: origin(&message.headers),
            subject: message.subject.to_string(),
            body: message.payload,
        }))
    }

    async fn publish(&self, after: u64, messages: Vec<OutgoingMessage>) -> Result<(), PublishError> {
        let (mut after, mut rest) = (after, messages.into_iter().peekable());
        loop {
            // A server takes no batch that has an id twice, which two streams of the log may bear; within a few seconds nor does it take
            // the second one alone, and the relay comes again.
            let mut ids = HashSet::new();
            let next =
                || rest.next_if(|message| ids.len() < BATCH_MAX && ids.insert(message.origin.event_id));
            let batch: Vec<OutgoingMessage> = std::iter::from_fn(next).collect();
            let size = batch.len() as u64;
            if batch.is_empty() {
                return Ok(());
            }
            self.reach()?;
            self.publish_together(after, batch).await?;
            after += size;
        }
    }
}

impl NatsBus {
    /// Publishes a batch of which all is stored, or nothing. Were its messages published one by one, each with the sequence that
    /// it expects, another's message could take the place of one, and those after it would be stored without it.
    async fn publish_together(&self, after: u64, batch: Vec<OutgoingMessage>) -> Result<(), PublishError> {
        let size = batch.len();
        // A name that no other batch has.
        let inbox = self.client.new_inbox();
        let batch_id = inbox.rsplit('.').next().unwrap_or(&inbox);
        for (message, ordinal) in batch.into_iter().zip(1..) {
            let mut headers = headers_of(&message);
            if ordinal == 1 {
                headers.insert(NATS_EXPECTED_LAST_SEQUENCE, after.to_string());
            }
            if size > 1 {
                headers.insert(NATS_BATCH_ID, batch_id);
                headers.insert(NATS_BATCH_SEQUENCE, ordinal.to_string());
            }
            if ordinal < size {
                let sent = self.client.publish_with_headers(message.subject, headers, message.body).await;
                sent.map_err(|error| unavailable(&error))?;
                continue;
            }
            if size > 1 {
                headers.insert(NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL);
            }
            let request = Request::new().headers(headers).payload(message.body).timeout(Some(ANSWER_WITHIN));
            let answer = self.client.send_request(message.subject, request).await;
            return stored(&answer.map_err(|error| unavailable(&error))?, after + size as u64);
        }
        Ok(())
    }
}

fn headers_of(message: &OutgoingMessage) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(LOG_ID, message.origin.log_id.to_string());
    headers.insert(POSITION, message.origin.position.to_string());
    headers.insert(NATS_MESSAGE_ID, message.origin.event_id.to_string());
    headers.insert(NATS_EXPECTED_STREAM, EVENTS_STREAM);
    headers.insert("Content-Type", "application/cloudevents+json");
    headers
}

/// A message as its stream has it.
struct Kept {
    message: StreamMessage,
    /// Whether a consumer can bring it: no connection outlives one whose headers or subject the client does not understand.
    deliverable: bool,
}

/// The message that is meant by `which`, by the server's own answer, in which headers are encoded; `None`: there is none. What nobody can
/// read of its headers is left out: whoever wrote them holds up nobody.
async fn kept(context: &Context, stream: &str, which: &Value) -> Result<Option<Kept>, BusError> {
    #[derive(Deserialize)]
    struct Found {
        message: RawMessage,
    }
    let answer = context.request(format!("STREAM.MSG.GET.{stream}"), which).await;
    match answer.map_err(|error| unavailable(&error))? {
        Response::Ok(Found { message }) => {
            // What is no UTF-8 in a subject, the answer replaces.
            let plain = |c: char| !c.is_whitespace() && c != char::REPLACEMENT_CHARACTER;
            let deliverable = message.subject.chars().all(plain) && !has_status(&message);
            if let Ok(message) = StreamMessage::try_from(message.clone()) {
                return Ok(Some(Kept { message, deliverable }));
            }
            let bare = StreamMessage::try_from(RawMessage { headers: None, ..message });
            let message = bare.map_err(|error| BusError::Unavailable(error.to_string()))?;
            Ok(Some(Kept { message, deliverable: false }))
        }
        Response::Err { error } if error.error_code() == ErrorCode::NO_MESSAGE_FOUND => Ok(None),
        Response::Err { error } => Err(unavailable(&error)),
    }
}

/// Whether the first line of the headers says more than their version: that is for servers, and the client takes what has it for their word.
fn has_status(message: &RawMessage) -> bool {
    let headers =
        message.headers.as_ref().and_then(|headers| BASE64.decode(headers).ok()).unwrap_or_default();
    let first = headers.split(|byte| *byte == b'\n').next().unwrap_or_default();
    !first.is_empty() && first.trim_ascii() != b"NATS/1.0"
}

/// Whether the server stored a batch, of which the last message has this sequence.
fn stored(answer: &Message, last: u64) -> Result<(), PublishError> {
    match serde_json::from_slice(&answer.payload) {
        Ok(Response::Ok(PublishAck { sequence, duplicate: false, .. })) if sequence == last => Ok(()),
        // It is there already: another published it, or it came again.
        Ok(Response::Ok(PublishAck { .. })) => Err(PublishError::Overtaken),
        Ok(Response::Err { error }) => Err(match error.error_code() {
            ErrorCode::STREAM_WRONG_LAST_SEQUENCE
            | ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT
            | ErrorCode::ATOMIC_PUBLISH_CONTAINS_DUPLICATE_MESSAGE => PublishError::Overtaken,
            _ => unavailable(&error).into(),
        }),
        Err(error) => Err(unavailable(&error).into()),
    }
}

fn origin(headers: &HeaderMap) -> Option<Origin> {
    let header = |name: HeaderName| headers.get_last(name).map(async_nats::HeaderValue::as_str);
    Some(Origin {
        log_id: header(LOG_ID)?.parse().ok()?,
        position: header(POSITION)?.parse().ok()?,
        event_id: header(NATS_MESSAGE_ID)?.parse().ok()?,
    })
}

fn is_absent(error: &GetStreamError) -> bool {
    match error.kind() {
        GetStreamErrorKind::JetStream(error) => error.error_code() == ErrorCode::STREAM_NOT_FOUND,
        GetStreamErrorKind::EmptyName
        | GetStreamErrorKind::InvalidStreamName
        | GetStreamErrorKind::Request => false,
    }
}

fn unavailable(error: &dyn std::error::Error) -> BusError {
    BusError::Unavailable(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_here_is_as_it_must_be() {
        assert_eq!(look_at(&events_config(3, Room::default())), Ok(()));
    }

    #[test]
    fn the_largest_event_fits_with_its_headers() {
        assert_eq!(usize::try_from(STORED_BYTES_MAX), Ok(PAYLOAD_MIN));
    }

    #[test]
    fn a_stream_that_forgets_by_age_is_refused() {
        let config = Config { max_age: Duration::from_hours(24), ..events_config(1, Room::default()) };
        let Err(BusError::Unsafe(why)) = look_at(&config) else { panic!("it was not refused") };
        assert!(why.contains("max_age"), "{why}");
    }
}

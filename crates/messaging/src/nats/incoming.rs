//! Signals on NATS JetStream: a stream that gives each message to one durable consumer until it is done, and a stream beside it
//! for those that were not believed.
//!
//! Needs of the servers' permissions, to receive: `$JS.API.STREAM.{INFO,MSG.GET,MSG.DELETE}.DAYPASS_SIGNALS`,
//! `$JS.API.CONSUMER.{INFO,CREATE,MSG.NEXT}` and `$JS.ACK` of the consumer `daypass-request` there,
//! `$JS.API.STREAM.{MSG.GET,MSG.DELETE}.DAYPASS_PARKED`, to publish to `daypass.parked.v1.>`; to look after what is parked: the latter two calls, to publish to `daypass.replay.v1.*`.

use super::{
    ANSWER_WITHIN, Kept, Room, connected, is_absent, judged, kept, reach, unavailable, unreserved, way,
};
use crate::BusError;
use crate::incoming::{
    Incoming, IncomingBus, Message, PARKED_STREAM, PARKED_SUBJECT, Parked, Parking, REPLAY_PREFIX,
    REPLAY_SUBJECT, SIGNALS_CONSUMER, SIGNALS_STREAM, SIGNALS_SUBJECT, SIGNATURE_BYTES_MAX, SIGNATURE_HEADER,
};
use async_nats::client::Request;
use async_nats::header::{HeaderName, NATS_EXPECTED_STREAM, NATS_MESSAGE_ID};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::context::Context;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType, Stream};
use async_nats::{Client, ConnectOptions, HeaderMap, ServerAddr};
use bytes::Bytes;
use futures::StreamExt as _;
use jiff::Timestamp;
use nats_connection::Connection;
use serde::Deserialize;
use serde_json::json;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// Why a message is parked.
const WHY: HeaderName = HeaderName::from_static("Daypass-Why");
/// The subject that it came under.
const SUBJECT: HeaderName = HeaderName::from_static("Daypass-Subject");
/// When the bus took it.
const SENT_AT: HeaderName = HeaderName::from_static("Daypass-Sent-At");
/// When it was first read.
const READ_AT: HeaderName = HeaderName::from_static("Daypass-Read-At");

/// How long the server holds a call for the next message; for as long a signal may lie that came while the call was lost on the way.
const NEXT_WITHIN: Duration = Duration::from_secs(5);

/// Signals that wait at most. Further ones are refused to their source, which sees it; none is forgotten.
const SIGNALS_MAX: i64 = 1_000_000;
/// The largest message with its headers, far larger than a signal is. What is taken can be parked: with the headers that come
/// with that it is smaller than the smallest `max_payload` that is accepted.
const SIGNAL_BYTES_MAX: i32 = 256 * 1024;
/// Parked messages of one source; the oldest goes first, so that a source that tells nonsense without end forgets its own alone, as long as
/// it tells little at a time: of all sources together the oldest goes, once they have no [`Room`].
const PARKED_MAX: i64 = 10_000;

/// Within this time the server takes a message with a repeated `Nats-Msg-Id` for the one before, **whoever sent either**, and answers
/// as if it had stored it. It is the shortest that servers have: signals are told apart by source and id when they are recorded.
const DUPLICATE_WINDOW: Duration = Duration::from_millis(100);
/// The same for what is parked, which nobody but us writes: longer than an answer may take, so that a lost one parks nothing twice.
const PARKED_DUPLICATE_WINDOW: Duration = Duration::from_mins(2);

/// How signals are received.
#[derive(Clone, Copy, Debug)]
pub struct SignalsOptions {
    /// On how many servers streams are kept that are made here.
    pub replicas: usize,
    /// How long one may take to see to a message before it comes again, to anybody.
    pub done_within: Duration,
}

impl SignalsOptions {
    /// The usual patience: longer than an election, short enough that a process that died holds up signals for no longer.
    pub fn on(replicas: usize) -> Self {
        Self { replicas, done_within: Duration::from_secs(30) }
    }
}

/// Signals, and those that were not believed.
pub struct NatsSignals {
    client: Client,
    context: Context,
    /// How often the connection was lost.
    losses: watch::Receiver<u64>,
    /// The message that was the first one when the consumer was asked last and brought nothing; 0: there is none.
    passed_over: AtomicU64,
    options: SignalsOptions,
}

/// The stream of signals as it is made here. A message leaves it when it is done, and in no other way.
pub fn signals_config(replicas: usize, room: Room) -> Config {
    Config {
        name: SIGNALS_STREAM.into(),
        description: Some("Signals from others, until they are recorded.".into()),
        subjects: vec![SIGNALS_SUBJECT.into(), REPLAY_SUBJECT.into()],
        storage: StorageType::File,
        num_replicas: replicas,
        retention: RetentionPolicy::WorkQueue,
        discard: DiscardPolicy::New,
        max_messages: SIGNALS_MAX,
        max_bytes: room.signals(),
        max_message_size: SIGNAL_BYTES_MAX,
        duplicate_window: DUPLICATE_WINDOW,
        ..Config::default()
    }
}

/// The stream of what was not believed, as it is made here.
pub fn parked_config(replicas: usize, room: Room) -> Config {
    Config {
        name: PARKED_STREAM.into(),
        description: Some("Messages that were no signals to believe, with the reason.".into()),
        subjects: vec![PARKED_SUBJECT.into()],
        storage: StorageType::File,
        num_replicas: replicas,
        // Neither a full stream nor a limit of one message's size may keep a message from being parked: that would hold up all signals.
        discard: DiscardPolicy::Old,
        max_messages_per_subject: PARKED_MAX,
        max_bytes: room.parked(),
        duplicate_window: PARKED_DUPLICATE_WINDOW,
        ..Config::default()
    }
}

fn look_at(config: &Config) -> Result<(), BusError> {
    let taken = |subject: &str| config.subjects.iter().any(|other| other == subject);
    judged(
        &format!("the stream {SIGNALS_STREAM}"),
        [
            (taken(SIGNALS_SUBJECT), "subjects must have daypass.signals.v1.>"),
            (taken(REPLAY_SUBJECT), "subjects must have daypass.replay.v1.*"),
            (config.storage == StorageType::File, "storage must be file"),
            (config.retention == RetentionPolicy::WorkQueue, "retention must be workqueue"),
            (config.discard == DiscardPolicy::New, "discard must be new: nothing is lost unseen"),
            (
                config.max_messages_per_subject <= 0 || config.discard_new_per_subject,
                "max_msgs_per_subject goes with discard_new_per_subject alone: nothing is lost unseen",
            ),
            (
                config.duplicate_window <= DUPLICATE_WINDOW,
                "duplicate_window must be 100ms: one source's message is not a repeat of another's",
            ),
            (!config.allow_rollup, "allow_rollup_hdrs must be off: a source would empty the stream"),
            (config.max_age.is_zero(), "max_age must be unlimited"),
            (!config.allow_message_ttl, "allow_msg_ttl must be off"),
            (!config.no_ack, "no_ack must be off"),
            (config.mirror.is_none(), "mirror must be none"),
            (config.sources.as_ref().is_none_or(Vec::is_empty), "sources must be none"),
            (
                config.subject_transform.is_none(),
                "subject_transform must be none: the subject says who tells",
            ),
        ],
    )
}

fn look_at_parked(config: &Config) -> Result<(), BusError> {
    judged(
        &format!("the stream {PARKED_STREAM}"),
        [
            (config.subjects == [PARKED_SUBJECT], "subjects must be daypass.parked.v1.> alone"),
            (config.storage == StorageType::File, "storage must be file"),
            (config.retention == RetentionPolicy::Limits, "retention must be limits"),
            (!config.allow_rollup, "allow_rollup_hdrs must be off"),
            (!config.no_ack, "no_ack must be off"),
            (config.mirror.is_none(), "mirror must be none"),
        ],
    )
}

impl NatsSignals {
    /// Begins to connect, and does not wait for it: while the servers are not there, every call says so.
    pub async fn connect(connection: &Connection, options: SignalsOptions) -> Result<Self, BusError> {
        let (way_there, servers) = way(connection, "daypass-signals").await?;
        Self::on(way_there.retry_on_initial_connect(), servers, options).await
    }

    /// Connects, or says why not: for somebody who waits for it.
    pub async fn sign_in(connection: &Connection, options: SignalsOptions) -> Result<Self, BusError> {
        let (way_there, servers) = way(connection, "daypass-operator").await?;
        Self::on(way_there, servers, options).await
    }

    async fn on(
        way_there: ConnectOptions,
        servers: Vec<ServerAddr>,
        options: SignalsOptions,
    ) -> Result<Self, BusError> {
        let (way_there, losses) = nats_connection::watched(way_there);
        let (client, context) = connected(way_there, servers).await?;
        Ok(Self { client, context, losses, passed_over: AtomicU64::new(0), options })
    }

    async fn find_or_create(&self, config: Config) -> Result<Stream, BusError> {
        match self.context.get_stream(&config.name).await {
            Ok(stream) => Ok(stream),
            Err(error) if is_absent(&error) => {
                tracing::warn!(
                    stream = config.name,
                    "there is no stream for signals: it is made; `daypass nats setup` bounds the streams of the bus"
                );
                self.context.create_stream(config).await.map_err(|error| unavailable(&error))
            }
            Err(error) => Err(unavailable(&error)),
        }
    }

    async fn consumer(&self, stream: &Stream) -> Result<PullConsumer, BusError> {
        let made = pull::Config {
            durable_name: Some(SIGNALS_CONSUMER.into()),
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::Explicit,
            ack_wait: self.options.done_within,
            // Without end, and one at a time: the next waits for the one before, so no signal overtakes another.
            max_deliver: -1,
            max_ack_pending: 1,
            ..pull::Config::default()
        };
        let consumer = stream
            .get_or_create_consumer(SIGNALS_CONSUMER, made)
            .await
            .map_err(|error| unavailable(&error))?;
        let found = &consumer.cached_info().config;
        judged(
            &format!("the consumer {SIGNALS_CONSUMER}"),
            [
                (found.ack_policy == AckPolicy::Explicit, "ack_policy must be explicit"),
                (found.max_ack_pending == 1, "max_ack_pending must be 1: signals come in order"),
                (found.max_deliver == -1, "max_deliver must be unlimited"),
                (found.filter_subject.is_empty() && found.filter_subjects.is_empty(), "filters must be none"),
            ],
        )?;
        Ok(consumer)
    }

    /// The message of this number, if no consumer can bring it, or none did although it was there: whatever the reason, those behind it
    /// would wait for ever. Another replica may have it; then it is seen to twice, which is as good as once.
    async fn by_hand(&self, number: u64) -> Result<Option<Incoming>, BusError> {
        let found = kept(&self.context, SIGNALS_STREAM, &json!({ "seq": number })).await?;
        let wanted = |kept: &Kept| !kept.deliverable || self.passed_over.load(Ordering::Relaxed) == number;
        let Some(Kept { message, .. }) = found.filter(wanted) else { return Ok(None) };
        let StreamMessage { subject, sequence, headers, payload, time } = message;
        let message = Message {
            subject: subject.to_string(),
            sent_at: instant(time.unix_timestamp_nanos())?,
            signature: signature(&headers),
            body: payload,
        };
        Ok(Some(Incoming { sequence, receipt: None, message }))
    }

    /// Publishes, and waits until the stream has it.
    async fn store(&self, subject: String, headers: HeaderMap, body: Bytes) -> Result<(), BusError> {
        reach(&self.client)?;
        let acknowledged = self
            .context
            .publish_with_headers(subject, headers, body)
            .await
            .map_err(|error| unavailable(&error))?;
        acknowledged.await.map_err(|error| unavailable(&error))?;
        Ok(())
    }
}

#[async_trait::async_trait]
impl IncomingBus for NatsSignals {
    async fn next(&self) -> Result<Option<Incoming>, BusError> {
        reach(&self.client)?;
        let stream = self.find_or_create(signals_config(self.options.replicas, Room::default())).await?;
        look_at(&stream.cached_info().config)?;
        let state = &stream.cached_info().state;
        let first = if state.messages == 0 { 0 } else { state.first_sequence };
        if first > 0
            && let Some(incoming) = self.by_hand(first).await?
        {
            return Ok(Some(incoming));
        }
        let consumer = self.consumer(&stream).await?;
        self.passed_over.store(first, Ordering::Relaxed);
        let mut losses = self.losses.clone();
        losses.mark_unchanged();
        let mut messages = consumer
            .batch()
            .max_messages(1)
            .expires(NEXT_WITHIN)
            .messages()
            .await
            .map_err(|error| unavailable(&error))?;
        let found = tokio::select! {
            biased;
            found = messages.next() => found,
            _ = losses.changed() => return Err(BusError::Unavailable("the connection was lost".to_owned())),
        };
        let Some(found) = found else { return Ok(None) };
        let found = found.map_err(|error| BusError::Unavailable(error.to_string()))?;
        let info = found.info().map_err(|error| BusError::Unavailable(error.to_string()))?;
        let (sequence, sent_at) = (info.stream_sequence, instant(info.published.unix_timestamp_nanos())?);
        let receipt = found.reply.as_ref().map(ToString::to_string);
        self.passed_over.store(0, Ordering::Relaxed);
        let message = Message {
            subject: found.subject.to_string(),
            sent_at,
            signature: found.headers.as_ref().and_then(signature),
            body: found.payload.clone(),
        };
        Ok(Some(Incoming { sequence, receipt, message }))
    }

    async fn done(&self, incoming: &Incoming) -> Result<(), BusError> {
        reach(&self.client)?;
        let Some(receipt) = &incoming.receipt else {
            return forget(&self.context, SIGNALS_STREAM, incoming.sequence).await;
        };
        let request = Request::new().payload(Bytes::from_static(b"+ACK")).timeout(Some(ANSWER_WITHIN));
        let answer = self.client.send_request(receipt.clone(), request).await;
        answer.map(drop).map_err(|error| unavailable(&error))
    }

    async fn park(
        &self,
        incoming: &Incoming,
        message: &Message,
        why: &str,
        read_at: Timestamp,
    ) -> Result<(), BusError> {
        reach(&self.client)?;
        let stream =
            self.find_or_create(unreserved(parked_config(self.options.replicas, Room::default()))).await?;
        look_at_parked(&stream.cached_info().config)?;
        let mut headers = HeaderMap::new();
        headers.insert(WHY, why);
        headers.insert(SUBJECT, message.subject.as_str());
        headers.insert(SENT_AT, message.sent_at.to_string());
        headers.insert(READ_AT, read_at.to_string());
        if let Some(signature) = &message.signature {
            headers.insert(SIGNATURE_HEADER, signature.as_str());
        }
        headers.insert(NATS_EXPECTED_STREAM, PARKED_STREAM);
        // The stream of signals may be made anew, and count from one again.
        let id = format!("{}-{}", incoming.sequence, incoming.message.sent_at.as_nanosecond());
        headers.insert(NATS_MESSAGE_ID, id);
        self.store(PARKED_SUBJECT.replace('>', place(&message.subject)), headers, message.body.clone()).await
    }
}

#[async_trait::async_trait]
impl Parking for NatsSignals {
    async fn list(&self, after: u64, max: usize) -> Result<Vec<Parked>, BusError> {
        reach(&self.client)?;
        let (mut found, mut after) = (Vec::new(), after);
        while found.len() < max {
            let next = json!({ "seq": after.saturating_add(1), "next_by_subj": PARKED_SUBJECT });
            let Some(Kept { message, .. }) = kept(&self.context, PARKED_STREAM, &next).await? else { break };
            after = message.sequence;
            found.push(parked(message)?);
        }
        Ok(found)
    }

    async fn find(&self, number: u64) -> Result<Option<Parked>, BusError> {
        // To the server that would be no number.
        if number == 0 {
            return Ok(None);
        }
        reach(&self.client)?;
        let found = kept(&self.context, PARKED_STREAM, &json!({ "seq": number })).await?;
        found.map(|kept| parked(kept.message)).transpose()
    }

    async fn remove(&self, number: u64) -> Result<(), BusError> {
        reach(&self.client)?;
        forget(&self.context, PARKED_STREAM, number).await
    }

    async fn replay(&self, number: u64) -> Result<(), BusError> {
        let mut headers = HeaderMap::new();
        headers.insert(NATS_EXPECTED_STREAM, SIGNALS_STREAM);
        self.store(format!("{REPLAY_PREFIX}{number}"), headers, Bytes::new()).await
    }
}

/// Takes a message out of a stream. One that is not there is out of it already.
async fn forget(context: &Context, stream: &str, number: u64) -> Result<(), BusError> {
    #[derive(Deserialize)]
    struct Deleted {}
    let which = json!({ "seq": number });
    let answer = context.request(format!("STREAM.MSG.DELETE.{stream}"), &which).await;
    match answer.map_err(|error| unavailable(&error))? {
        Response::Ok(Deleted {}) => Ok(()),
        Response::Err { error } => match kept(context, stream, &which).await? {
            None => Ok(()),
            Some(_) => Err(unavailable(&error)),
        },
    }
}

/// Where a message with this subject is parked: under its source, if that can be one.
fn place(subject: &str) -> &str {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    let source = subject.split('.').nth(3).filter(|source| source.bytes().all(plain));
    source.filter(|source| !source.is_empty()).unwrap_or("unknown")
}

fn signature(headers: &HeaderMap) -> Option<String> {
    let text = headers.get_last(SIGNATURE_HEADER)?.as_str();
    (text.len() <= SIGNATURE_BYTES_MAX).then(|| text.to_owned())
}

fn instant(nanoseconds: i128) -> Result<Timestamp, BusError> {
    Timestamp::from_nanosecond(nanoseconds).map_err(|error| unavailable(&error))
}

/// A parked message, from the stream. What its headers do not say, the stream does: nobody but us should write to it.
fn parked(stored: StreamMessage) -> Result<Parked, BusError> {
    let StreamMessage { subject, sequence, headers, payload, time } = stored;
    let stored_at = instant(time.unix_timestamp_nanos())?;
    let text = |name: HeaderName| headers.get_last(name).map(|value| value.as_str().to_owned());
    let at = |name: HeaderName| text(name).and_then(|text| text.parse().ok()).unwrap_or(stored_at);
    let signature = signature(&headers);
    Ok(Parked {
        number: sequence,
        why: text(WHY).unwrap_or_default(),
        read_at: at(READ_AT),
        message: Message {
            subject: text(SUBJECT).unwrap_or_else(|| subject.to_string()),
            sent_at: at(SENT_AT),
            signature,
            body: payload,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_here_is_as_it_must_be() {
        assert_eq!(look_at(&signals_config(3, Room::default())), Ok(()));
        assert_eq!(look_at_parked(&parked_config(3, Room::default())), Ok(()));
        assert_eq!(look_at_parked(&unreserved(parked_config(3, Room::default()))), Ok(()));
    }

    #[test]
    fn a_message_is_parked_under_its_source() {
        for (subject, expected) in [
            ("daypass.signals.v1.hr.person_left", "hr"),
            ("daypass.signals.v1.hr", "hr"),
            ("daypass.signals.v1.*.person_left", "unknown"),
            ("daypass.signals.v1", "unknown"),
        ] {
            assert_eq!(place(subject), expected);
        }
    }

    #[test]
    fn a_stream_that_loses_signals_unseen_is_refused() {
        for config in [
            Config { discard: DiscardPolicy::Old, ..signals_config(1, Room::default()) },
            Config { max_age: Duration::from_hours(1), ..signals_config(1, Room::default()) },
            Config { retention: RetentionPolicy::Limits, ..signals_config(1, Room::default()) },
            Config { storage: StorageType::Memory, ..signals_config(1, Room::default()) },
            Config { max_messages_per_subject: 1, ..signals_config(1, Room::default()) },
            Config { duplicate_window: Duration::from_mins(2), ..signals_config(1, Room::default()) },
            Config { allow_rollup: true, ..signals_config(1, Room::default()) },
        ] {
            assert!(matches!(look_at(&config), Err(BusError::Unsafe(_))), "{config:?}");
        }
        for config in [
            Config { storage: StorageType::Memory, ..parked_config(1, Room::default()) },
            Config { allow_rollup: true, ..parked_config(1, Room::default()) },
            Config { retention: RetentionPolicy::WorkQueue, ..parked_config(1, Room::default()) },
        ] {
            assert!(matches!(look_at_parked(&config), Err(BusError::Unsafe(_))), "{config:?}");
        }
    }
}

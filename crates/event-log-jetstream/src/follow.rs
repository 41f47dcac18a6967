//! The whole log in order: once to its head, or for ever.
//!
//! A consumer of our own pushes events; its numbering shows what got lost on the way, the log's numbering what must not be
//! lost at all. When anything is wrong with the consumer, another one begins after the last event that was handed on. Flow
//! control bounds what is under way to a slow reader (the server's limit is 32 MiB), so it holds up nobody.

use crate::link::unavailable;
use crate::log::Inner;
use crate::told;
use crate::wire::{Delivery, STREAM, recorded_or_stray};
use async_nats::header::NATS_LAST_CONSUMER;
use async_nats::{Client, Message, StatusCode, Subscriber};
use bytes::Bytes;
use event_log::{EventStream, LogError, Position, Recorded, Revision};
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How often an idle consumer shows that it lives.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// After so much silence it does not: it is on one server of the cluster, and ends with it.
const SILENCE_MAX: Duration = Duration::from_secs(3);
/// When the server forgets a consumer that nobody listens to. Nothing else ends one: whoever may delete consumers may delete those of others.
const INACTIVE_MAX: Duration = Duration::from_secs(5);
/// Pauses between tries to get a consumer.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// How long a log may seem to end before the events that were read of it, as while its cluster recovers.
const BEHIND_MAX: Duration = Duration::from_secs(5);
/// Near the head, readers remember what they pass, for appends that follow on it; far from it, that would only cost.
const REMEMBER_PENDING_MAX: u64 = 256;

/// All events after a position, up to the head.
pub(crate) fn read_all(inner: Arc<Inner>, after: Position) -> EventStream {
    let begin = async move {
        let head = inner.head().await?;
        Ok::<_, LogError>(Follower::new(inner, after, Some(head)).events())
    };
    stream::once(begin).try_flatten().boxed()
}

/// All events after a position, and those to come.
pub(crate) fn subscribe(inner: Arc<Inner>, after: Position) -> EventStream {
    Follower::new(inner, after, None).events()
}

/// A reader of the log, with or without a consumer at the moment.
struct Follower {
    inner: Arc<Inner>,
    /// The sequence handed on last.
    last: u64,
    /// The sequence to end at.
    until: Option<u64>,
    feed: Option<Feed>,
    pause: Duration,
    behind_since: Option<Instant>,
    /// Where the log's numbering had a gap, which another consumer may not show.
    gap_after: Option<u64>,
    /// Whether the connection was lost while a consumer was there.
    cut_off: bool,
    /// Whether that was before the consumer had brought anything: as it is by a message that no connection outlives.
    by_hand: bool,
}

/// A consumer that is there.
struct Feed {
    messages: Subscriber,
    drops: watch::Receiver<u64>,
    /// The consumer's own number of the last message.
    delivered: u64,
}

/// What a consumer brings.
enum Fed {
    Event(Recorded, Delivery),
    /// It went with the connection.
    CutOff,
    /// It is of no use any more.
    Lost(&'static str),
}

impl Follower {
    fn new(inner: Arc<Inner>, after: Position, until: Option<u64>) -> Self {
        Self {
            inner,
            last: after.0,
            until,
            feed: None,
            pause: PAUSE_MIN,
            behind_since: None,
            gap_after: None,
            cut_off: false,
            by_hand: false,
        }
    }

    fn events(self) -> EventStream {
        stream::try_unfold(self, Self::next).boxed()
    }

    async fn next(mut self) -> Result<Option<(Recorded, Self)>, LogError> {
        loop {
            if self.until.is_some_and(|until| self.last >= until) {
                return Ok(None);
            }
            let Some(feed) = &mut self.feed else {
                if let Some(event) = self.begin_again().await? {
                    return Ok(Some((event, self)));
                }
                continue;
            };
            match feed.next(&self.inner.link.client).await? {
                Fed::Event(event, delivery) => {
                    if self.takes(&event, delivery)? {
                        return Ok(Some((event, self)));
                    }
                    self.rest().await;
                }
                Fed::CutOff => {
                    self.cut_off = true;
                    self.by_hand = feed.delivered == 0;
                    self.lose("the connection was lost").await;
                }
                Fed::Lost(why) => self.lose(why).await,
            }
        }
    }

    /// Whether this is the next event. If not, the consumer is given up; a second one that skips the same events shows that
    /// they are not there.
    fn takes(&mut self, event: &Recorded, delivery: Delivery) -> Result<bool, LogError> {
        let (expected, found) = (self.last + 1, delivery.stream_sequence);
        if found != expected {
            if found > expected && self.gap_after == Some(self.last) {
                return Err(LogError::Corrupt(format!(
                    "events are missing from {expected} to {}",
                    found - 1
                )));
            }
            // Too early: the consumer is on a replica that lags behind, and began at its end.
            self.gap_after = (found > expected).then_some(self.last);
            self.feed = None;
            return Ok(false);
        }
        self.last = found;
        self.pause = PAUSE_MIN;
        self.inner.saw(found);
        // A message that is no event has no place to append after.
        if delivery.pending <= REMEMBER_PENDING_MAX && event.revision != Revision(u64::MAX) {
            self.inner.known().note(event);
        }
        Ok(true)
    }

    async fn lose(&mut self, why: &'static str) {
        tracing::debug!(why, after = self.last, "a reader of the log needs another consumer");
        if self.feed.take().is_some_and(|feed| feed.delivered == 0) {
            self.rest().await;
        }
    }

    async fn rest(&mut self) {
        tokio::time::sleep(self.pause).await;
        self.pause = self.pause.saturating_mul(2).min(PAUSE_MAX);
    }

    /// Gets a consumer, or one event without any; or waits before the next try. A read that is to end does not wait, but for the
    /// connection that it had.
    async fn begin_again(&mut self) -> Result<Option<Recorded>, LogError> {
        if std::mem::take(&mut self.cut_off) {
            self.inner.link.until_ready().await;
        }
        let drops = self.inner.link.drops();
        let begun = if self.by_hand { self.take_by_hand().await } else { self.take_feed().await };
        match begun {
            // What a consumer brings may come before its maker hears that it is there.
            Err(LogError::Unavailable(_)) if !self.by_hand && drops.has_changed().unwrap_or(false) => {
                self.cut_off = true;
                self.by_hand = true;
                Ok(None)
            }
            Err(LogError::Unavailable(why)) if self.until.is_none() => {
                tracing::debug!(why, after = self.last, "a subscription waits for the log");
                self.rest().await;
                Ok(None)
            }
            begun => begun,
        }
    }

    async fn take_feed(&mut self) -> Result<Option<Recorded>, LogError> {
        self.feed = Some(self.open().await?);
        Ok(None)
    }

    /// The next event, if it is there, from the leader, whose answer has its headers encoded.
    async fn take_by_hand(&mut self) -> Result<Option<Recorded>, LogError> {
        let next = self.last + 1;
        let event = self.inner.link.get_whatever(&json!({ "seq": next })).await?;
        self.by_hand = false;
        if event.is_some() {
            self.last = next;
            self.inner.saw(next);
        }
        Ok(event)
    }

    /// A consumer of what follows.
    async fn open(&mut self) -> Result<Feed, LogError> {
        #[derive(Deserialize)]
        struct Created {}
        let link = &self.inner.link;
        let drops = link.drops();
        let inbox = link.client.new_inbox();
        let messages = link
            .client
            .subscribe(inbox.clone())
            .await
            .map_err(|error| LogError::Unavailable(error.to_string()))?;
        let nanoseconds = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let wanted = json!({ "stream_name": STREAM, "config": {
            "deliver_subject": inbox,
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": self.last + 1,
            "ack_policy": "none",
            "max_deliver": 1,
            "replay_policy": "instant",
            "flow_control": true,
            "idle_heartbeat": nanoseconds(HEARTBEAT),
            "inactive_threshold": nanoseconds(INACTIVE_MAX),
            "mem_storage": true,
            "num_replicas": 1,
        }});
        let created = link.api::<Created>(&format!("CONSUMER.CREATE.{STREAM}"), &wanted).await?;
        let Created {} = created.map_err(|error| unavailable(&error))?;
        // Only now: a stream that is replaced from here on takes the consumer with it.
        self.refuse_shorter_log().await?;
        Ok(Feed { messages, drops, delivered: 0 })
    }

    /// A log that ends before what was read of it is another log, or lost events.
    async fn refuse_shorter_log(&mut self) -> Result<(), LogError> {
        let head = told::ask(&self.inner).await?.map_or(0, |told| told.head());
        if head >= self.last {
            self.behind_since = None;
            return Ok(());
        }
        let message = format!("the log ends at {head}, before {}, which was read of it", self.last);
        if self.behind_since.get_or_insert_with(Instant::now).elapsed() > BEHIND_MAX {
            return Err(LogError::Corrupt(message));
        }
        Err(LogError::Unavailable(message))
    }
}

impl Feed {
    async fn next(&mut self, client: &Client) -> Result<Fed, LogError> {
        loop {
            // Mostly the next message is here already; else it is worth a timer.
            let message = if let Some(message) = self.messages.next().now_or_never() {
                message
            } else {
                tokio::select! {
                    biased;
                    message = self.messages.next() => message,
                    _ = self.drops.changed() => return Ok(Fed::CutOff),
                    () = tokio::time::sleep(SILENCE_MAX) => return Ok(Fed::Lost("the consumer is silent")),
                }
            };
            match message {
                None => return Ok(Fed::Lost("the subscription ended")),
                Some(message) if message.status.is_none() => return self.event(message),
                Some(message) if message.status == Some(StatusCode::IDLE_HEARTBEAT) => {
                    if !self.answer(client, &message).await {
                        return Ok(Fed::Lost("messages got lost"));
                    }
                }
                Some(_) => return Ok(Fed::Lost("the consumer is gone")),
            }
        }
    }

    fn event(&mut self, message: Message) -> Result<Fed, LogError> {
        let Some(delivery) = message.reply.as_deref().and_then(Delivery::parse) else {
            return Ok(Fed::Lost("something else was delivered"));
        };
        if delivery.consumer_sequence != self.delivered + 1 {
            return Ok(Fed::Lost("messages got lost"));
        }
        self.delivered = delivery.consumer_sequence;
        let headers = message.headers.as_ref();
        let event = recorded_or_stray(&message.subject, headers, delivery.stream_sequence, message.payload)?;
        Ok(Fed::Event(event, delivery))
    }

    /// Lets the server go on that waits for its reader. Says whether the consumer and we agree on what was delivered.
    async fn answer(&self, client: &Client, message: &Message) -> bool {
        /// On a heartbeat: the server waits for an answer on this subject, because the flow control message got lost.
        const STALLED: &str = "Nats-Consumer-Stalled";
        let header = |name: &str| message.headers.as_ref().and_then(|headers| headers.get_last(name));
        let stalled = header(STALLED).map(|subject| subject.as_str().into());
        if let Some(subject) = message.reply.clone().or(stalled) {
            // When the connection is gone, so is the consumer.
            let _ = client.publish(subject, Bytes::new()).await;
        }
        let last = header(NATS_LAST_CONSUMER.as_ref()).map(|last| last.as_str().parse());
        last.is_none_or(|last| last == Ok(self.delivered))
    }
}

//! The whole log in order, for ever: the server's catch-up subscription, begun again where it came to when it breaks off.
//!
//! INVARIANT: what was handed on is never handed on again, and a checkpoint is only moved to by the server's word that everything
//! of ours before it was sent.

use crate::head::Known;
use crate::link::{Numbered, asked_of_leader, is_of_no_place, not_read};
use crate::log::Inner;
use crate::read::{filter, place};
use event_log::{EventStream, LogError, Position, Recorded};
use futures::{StreamExt, stream};
use kurrentdb::{Error, StreamPosition, SubscribeToAllOptions, Subscription, SubscriptionEvent};
use std::sync::Arc;
use std::time::Duration;

/// Pauses between tries to subscribe.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// All events after a position, and those to come.
pub(crate) fn subscribe(inner: Arc<Inner>, after: Position) -> EventStream {
    follow(inner, after, place(after))
}

/// All events behind what is known, and those to come.
pub(crate) fn go_on(inner: Arc<Inner>, known: Known) -> EventStream {
    let reached = if known == Known::default() {
        StreamPosition::Start
    } else {
        StreamPosition::Position(known.reached)
    };
    follow(inner, known.last, reached)
}

fn follow(
    inner: Arc<Inner>,
    handed_on: Position,
    reached: StreamPosition<kurrentdb::Position>,
) -> EventStream {
    let follower = Follower { inner, handed_on, reached, feed: None, pause: PAUSE_MIN };
    stream::try_unfold(follower, Follower::next).boxed()
}

struct Follower {
    inner: Arc<Inner>,
    /// The event that was handed on last.
    handed_on: Position,
    /// Where the server's search has come to: that event, or a checkpoint behind it.
    reached: StreamPosition<kurrentdb::Position>,
    feed: Option<(Numbered, Subscription)>,
    pause: Duration,
}

impl Follower {
    async fn next(mut self) -> Result<Option<(Recorded, Self)>, LogError> {
        loop {
            let (of, mut feed) = match self.feed.take() {
                Some(feed) => feed,
                None => begin(&self.inner, self.reached).await,
            };
            match feed.next_subscription_event().await {
                Ok(SubscriptionEvent::EventAppeared(event)) => {
                    self.feed = Some((of, feed));
                    let event =
                        event.event.ok_or_else(|| LogError::Corrupt("an event without content".into()))?;
                    self.reached = StreamPosition::Position(event.position);
                    self.pause = PAUSE_MIN;
                    let event = self.inner.namespace.recorded_or_stray(&event)?;
                    // Some servers send the event at the place that was asked for, too.
                    if event.position > self.handed_on {
                        self.handed_on = event.position;
                        self.inner.saw(event.position);
                        return Ok(Some((event, self)));
                    }
                }
                Ok(SubscriptionEvent::Checkpoint(checkpoint)) => {
                    self.feed = Some((of, feed));
                    self.reached = StreamPosition::Position(checkpoint);
                    self.inner.passed(self.handed_on, checkpoint);
                    self.pause = PAUSE_MIN;
                }
                Ok(
                    SubscriptionEvent::Confirmed(_)
                    | SubscriptionEvent::FirstStreamPosition(_)
                    | SubscriptionEvent::LastStreamPosition(_)
                    | SubscriptionEvent::LastAllPosition(_)
                    | SubscriptionEvent::CaughtUp(_)
                    | SubscriptionEvent::FellBehind(_),
                ) => self.feed = Some((of, feed)),
                Err(error) => {
                    if is_for_good(&error) {
                        return Err(not_read(&error));
                    }
                    self.inner.link.look_at(&of, &error);
                    tracing::debug!(%error, after = self.handed_on.0, "a subscription waits for the log");
                    tokio::time::sleep(self.pause).await;
                    self.pause = self.pause.saturating_mul(2).min(PAUSE_MAX);
                }
            }
        }
    }
}

/// A subscription to what follows. It connects when first asked.
async fn begin(inner: &Inner, after: StreamPosition<kurrentdb::Position>) -> (Numbered, Subscription) {
    let options = SubscribeToAllOptions::default().position(after).filter(filter(inner));
    let options = asked_of_leader!(inner.link, options);
    let of = inner.link.client();
    let feed = of.client.subscribe_to_all(&options).await;
    (of, feed)
}

/// Whether the same subscription would fail again.
fn is_for_good(error: &Error) -> bool {
    matches!(error, Error::AccessDenied | Error::UnsupportedFeature | Error::ResourceDeleted)
        || is_of_no_place(error)
}

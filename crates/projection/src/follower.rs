//! Fills a read model from the log, for as long as the service lives.

use crate::database::{self, Checkpoint, Wal};
use crate::fold::{FoldError, fold};
use crate::projection::Shared;
use crate::{Health, Item, ReadModel};
use event_log::{EventStream, LogError, Position};
use futures::{FutureExt, StreamExt};
use journal::Event;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::sleep;

/// Events in one transaction, at most. Large, because a commit costs as much as tens of rows; bounded, because the task and
/// the in-memory readers wait for it (some 10 ms).
const BATCH_EVENTS_MAX: usize = 4_096;
/// Bytes of events in one transaction, at most; bounds memory when events are large.
const BATCH_BYTES_MAX: usize = 8 << 20;
/// The first pause after a fault; doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Who is told of new events.
type Hear = Box<dyn Fn(&Event) + Send + Sync>;

/// What fills a [`crate::Projection`].
pub struct Follower<M> {
    shared: Arc<Shared>,
    model: M,
    /// The WAL is being moved into the file.
    moving: Option<JoinHandle<rusqlite::Result<()>>>,
    hear: Option<Hear>,
}

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("the log ended its subscription")]
    Ended,
    #[error(transparent)]
    Fold(#[from] FoldError),
    #[error("the database cannot be used: {0}")]
    Database(#[from] rusqlite::Error),
    #[error("a reader found the database damaged")]
    Damaged,
}

impl<M: ReadModel> Follower<M> {
    pub(crate) fn new(shared: Arc<Shared>, model: M) -> Self {
        Self { shared, model, moving: None, hear: None }
    }

    /// Tells `hear` of every event that is written from now on: of none that was there when following began. Some may be told
    /// twice, after faults.
    #[must_use]
    pub fn hearing(self, hear: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self { hear: Some(Box::new(hear)), ..self }
    }

    /// Follows the log until `shutdown`; faults are waited out. May be dropped at any time: nothing is half done.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let mut pause = PAUSE_MIN;
        loop {
            let before = *self.shared.applied.borrow();
            let fault = tokio::select! {
                biased;
                () = &mut shutdown => break,
                fault = self.follow() => fault,
            };
            tracing::warn!(model = self.shared.name, %fault, "a read model is held up");
            self.shared.health.send_replace(Health::Failing { why: fault.to_string() });
            if fault.is_damage() || self.shared.lost.load(Ordering::Relaxed) {
                self.make_anew();
            }
            if *self.shared.applied.borrow() != before {
                pause = PAUSE_MIN;
            }
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                () = sleep(pause) => {}
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
        self.shared.health.send_replace(Health::Idle);
    }

    /// From the checkpoint on, until something goes wrong.
    async fn follow(&mut self) -> Fault {
        match self.try_follow().await {
            Ok(never) => match never {},
            Err(fault) => fault,
        }
    }

    async fn try_follow(&mut self) -> Result<std::convert::Infallible, Fault> {
        let shared = self.shared.clone();
        let log_id = shared.log.id().await?;
        let mut checkpoint = self.verified_checkpoint(log_id).await?;
        let position = checkpoint.map_or(Position::START, |checkpoint| checkpoint.position);
        self.publish(position);
        let target = shared.log.head().await?;
        self.note_caught_up(position, target)?;
        let mut events = shared.log.subscribe(position);
        if position >= target {
            shared.health.send_replace(Health::Following);
        }
        loop {
            let (batch, fault) = tokio::select! {
                biased;
                () = shared.damaged.notified() => return Err(Fault::Damaged),
                batch = next_batch(&mut events) => batch,
            };
            if *shared.caught_up.borrow() {
                self.tell(&batch);
            }
            if !batch.is_empty() {
                let model = &mut self.model;
                let before = checkpoint;
                checkpoint =
                    shared.with_writer(|connection| fold(connection, model, log_id, before, &batch))?;
                shared.health.send_replace(Health::Following);
                if let Some(checkpoint) = checkpoint {
                    self.publish(checkpoint.position);
                    self.note_caught_up(checkpoint.position, target)?;
                }
                self.see_to_wal().await?;
            }
            if let Some(fault) = fault {
                return Err(fault);
            }
            // A backlog never lets a subscription pause; others have work too.
            tokio::task::yield_now().await;
        }
    }

    /// The checkpoint, if it is one of this log; else starts over.
    async fn verified_checkpoint(&mut self, log_id: uuid::Uuid) -> Result<Option<Checkpoint>, Fault> {
        let Some(checkpoint) = self.shared.with_writer(|connection| database::checkpoint(connection))? else {
            return Ok(None);
        };
        if checkpoint.log_id == log_id {
            let there = self.shared.log.event_at(checkpoint.position).await?;
            if there.is_some_and(|event| event.envelope.event_id == checkpoint.event_id) {
                return Ok(Some(checkpoint));
            }
        }
        tracing::warn!(
            model = self.shared.name,
            "the checkpoint is of another log: the read model is made anew"
        );
        self.publish(Position::START);
        self.shared.caught_up.send_replace(false);
        self.model.forget();
        self.shared.make_anew()?;
        Ok(None)
    }

    /// Keeps the WAL short. Moving it takes tens of milliseconds, for which nobody waits who writes or reads.
    async fn see_to_wal(&mut self) -> Result<(), Fault> {
        let wal = self.shared.place.wal(!*self.shared.caught_up.borrow());
        if let Some(moving) = self.moving.take_if(|moving| wal == Wal::TooLong || moving.is_finished()) {
            // A panic of it is told by its hook.
            moving.await.unwrap_or(Ok(()))?;
        } else if wal != Wal::Short && self.moving.is_none() {
            let shared = self.shared.clone();
            self.moving = Some(spawn_blocking(move || shared.move_wal()));
        }
        Ok(())
    }

    fn make_anew(&mut self) {
        self.publish(Position::START);
        self.shared.caught_up.send_replace(false);
        self.model.forget();
        if let Err(error) = self.shared.make_anew() {
            tracing::error!(model = self.shared.name, %error, "a damaged read model could not be made anew");
        }
    }

    fn tell(&self, batch: &[Item]) {
        let events = || batch.iter().filter_map(|item| item.event.as_ref().ok());
        if let Some(hear) = &self.hear {
            events().for_each(hear);
        }
        if self.shared.heard.receiver_count() > 0 {
            for event in events() {
                // Whoever listened may be gone by now.
                drop(self.shared.heard.send(Arc::new(event.clone())));
            }
        }
    }

    fn publish(&self, position: Position) {
        self.shared.applied.send_if_modified(|applied| {
            let moved = *applied != position;
            *applied = position;
            moved
        });
        self.shared.moved.notify_waiters();
    }

    /// At the head for the first time: makes what queries need, and only then says so.
    fn note_caught_up(&self, position: Position, target: Position) -> Result<(), Fault> {
        if position < target || *self.shared.caught_up.borrow() {
            return Ok(());
        }
        self.shared.with_writer(|connection| connection.execute_batch(self.model.indices()))?;
        self.shared.caught_up.send_replace(true);
        self.shared.place.delete_others();
        Ok(())
    }
}

impl Fault {
    fn is_damage(&self) -> bool {
        match self {
            Self::Damaged => true,
            Self::Database(error) | Self::Fold(FoldError::Storage(error)) => database::is_damage(error),
            Self::Log(_) | Self::Ended | Self::Fold(FoldError::Model(_) | FoldError::Moved) => false,
        }
    }
}

/// What is ready, once something is; and the fault that ends the subscription, if it is next.
async fn next_batch(events: &mut EventStream) -> (Vec<Item>, Option<Fault>) {
    let mut batch = Vec::new();
    let mut bytes = 0;
    let mut next = events.next().await;
    loop {
        match next {
            None => return (batch, Some(Fault::Ended)),
            Some(Err(error)) => return (batch, Some(error.into())),
            Some(Ok(recorded)) => {
                bytes += recorded.envelope.body.len();
                batch.push(Item::new(recorded));
            }
        }
        if batch.len() >= BATCH_EVENTS_MAX || bytes >= BATCH_BYTES_MAX {
            return (batch, None);
        }
        // Beyond tokio's budget of a task, which would make small batches of a backlog; bounded by the batch.
        next = match tokio::task::unconstrained(events.next()).now_or_never() {
            Some(next) => next,
            None => return (batch, None),
        };
    }
}

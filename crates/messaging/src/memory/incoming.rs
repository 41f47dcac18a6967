//! Signals in memory. Clones share them, as replicas share a consumer; they can be down, and forget nothing.

use crate::BusError;
use crate::incoming::{Incoming, IncomingBus, Message, Parked, Parking, REPLAY_PREFIX};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::timeout;

/// How long the next message is waited for.
const NEXT_WITHIN: Duration = Duration::from_secs(5);

/// The signals that came, and those that were not believed.
#[derive(Clone, Debug, Default)]
pub struct MemorySignals {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    waiting: BTreeMap<u64, Message>,
    last: u64,
    parked: BTreeMap<u64, Parked>,
    last_parked: u64,
    /// By which message each number came to be.
    parked_by: BTreeMap<u64, u64>,
    down: bool,
}

impl MemorySignals {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Somebody tells something.
    pub fn tell(&self, message: Message) {
        let mut state = self.lock();
        state.last += 1;
        let sequence = state.last;
        state.waiting.insert(sequence, message);
        self.changed.notify_waiters();
    }

    /// Whether it can be reached, from now on.
    pub fn set_down(&self, down: bool) {
        self.lock().down = down;
        self.changed.notify_waiters();
    }

    /// How many messages are not done.
    pub fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reach(&self) -> Result<MutexGuard<'_, State>, BusError> {
        let state = self.lock();
        if state.down { Err(BusError::Unavailable("it is down".to_owned())) } else { Ok(state) }
    }
}

#[async_trait::async_trait]
impl IncomingBus for MemorySignals {
    /// The first message comes to whoever asks, until it is done.
    async fn next(&self) -> Result<Option<Incoming>, BusError> {
        loop {
            let changed = self.changed.notified();
            let mut changed = std::pin::pin!(changed);
            // From here on nothing is missed.
            changed.as_mut().enable();
            if let Some((sequence, message)) = self.reach()?.waiting.first_key_value() {
                let receipt = Some(sequence.to_string());
                return Ok(Some(Incoming { sequence: *sequence, receipt, message: message.clone() }));
            }
            if timeout(NEXT_WITHIN, changed).await.is_err() {
                return Ok(None);
            }
        }
    }

    async fn done(&self, incoming: &Incoming) -> Result<(), BusError> {
        self.reach()?.waiting.remove(&incoming.sequence);
        self.changed.notify_waiters();
        Ok(())
    }

    async fn park(
        &self,
        incoming: &Incoming,
        message: &Message,
        why: &str,
        read_at: Timestamp,
    ) -> Result<(), BusError> {
        let mut state = self.reach()?;
        if state.parked_by.contains_key(&incoming.sequence) {
            return Ok(());
        }
        state.last_parked += 1;
        let number = state.last_parked;
        let parked = Parked { number, why: why.to_owned(), read_at, message: message.clone() };
        state.parked.insert(number, parked);
        state.parked_by.insert(incoming.sequence, number);
        Ok(())
    }
}

#[async_trait::async_trait]
impl Parking for MemorySignals {
    async fn list(&self, after: u64, max: usize) -> Result<Vec<Parked>, BusError> {
        let state = self.reach()?;
        let above = (std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded);
        Ok(state.parked.range(above).take(max).map(|(_, parked)| parked.clone()).collect())
    }

    async fn find(&self, number: u64) -> Result<Option<Parked>, BusError> {
        Ok(self.reach()?.parked.get(&number).cloned())
    }

    async fn remove(&self, number: u64) -> Result<(), BusError> {
        self.reach()?.parked.remove(&number);
        Ok(())
    }

    async fn replay(&self, number: u64) -> Result<(), BusError> {
        drop(self.reach()?);
        self.tell(Message {
            subject: format!("{REPLAY_PREFIX}{number}"),
            sent_at: Timestamp::UNIX_EPOCH,
            signature: None,
            body: bytes::Bytes::new(),
        });
        Ok(())
    }
}

//! A bus in memory, for simulation and fast tests. Clones share it. It can be down, be lost, and hold what others wrote.

mod incoming;

pub use incoming::MemorySignals;

use crate::{BusError, Extent, OutgoingBus, OutgoingMessage, PublishError, Stored};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The bus.
#[derive(Clone, Debug, Default)]
pub struct MemoryBus {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    messages: Vec<Stored>,
    down: bool,
}

impl MemoryBus {
    /// An empty bus.
    pub fn new() -> Self {
        Self::default()
    }

    /// Everything on it, in order.
    pub fn messages(&self) -> Vec<Stored> {
        self.lock().messages.clone()
    }

    /// Whether it can be reached, from now on.
    pub fn set_down(&self, down: bool) {
        self.lock().down = down;
    }

    /// Adds a message that somebody else wrote.
    pub fn put(&self, message: Stored) {
        self.lock().messages.push(message);
    }

    /// Loses everything, and begins anew.
    pub fn lose(&self) {
        self.lock().messages.clear();
    }

    fn publish_one(&self, after: u64, message: OutgoingMessage) -> Result<(), PublishError> {
        let mut state = self.reach()?;
        if state.last() != after {
            return Err(PublishError::Overtaken);
        }
        let OutgoingMessage { subject, origin, body } = message;
        state.messages.push(Stored { subject, origin: Some(origin), body });
        Ok(())
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
impl OutgoingBus for MemoryBus {
    async fn extent(&self) -> Result<Extent, BusError> {
        let state = self.reach()?;
        Ok(Extent { first: 1, last: state.last() })
    }

    async fn message(&self, sequence: u64) -> Result<Option<Stored>, BusError> {
        let state = self.reach()?;
        let index = sequence.checked_sub(1).and_then(|index| usize::try_from(index).ok());
        Ok(index.and_then(|index| state.messages.get(index)).cloned())
    }

    async fn publish(&self, after: u64, messages: Vec<OutgoingMessage>) -> Result<(), PublishError> {
        for (message, after) in messages.into_iter().zip(after..) {
            self.publish_one(after, message)?;
            // Others publish in between, as they do on a network.
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}

impl State {
    fn last(&self) -> u64 {
        self.messages.len() as u64
    }
}

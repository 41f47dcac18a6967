//! The scheduler: every task of the simulated process, polled one at a time, in an order that the seed chooses.
//!
//! INVARIANT: what runs next depends on the seed and on which tasks are ready, never on the order in which they were woken:
//! tokio wakes those that wait for the same `watch` in a random order. Tasks can be dropped between any two polls: a crash; or
//! left alone for a time while the world goes on, timers and answers included: a pause (SIGSTOP, SIGCONT).

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};

/// Which process a task belongs to; zero: to the world, which does not crash.
pub(crate) type Owner = u64;

/// The world's tasks.
pub(crate) const WORLD: Owner = 0;

struct Task {
    owner: Owner,
    future: Pin<Box<dyn Future<Output = ()>>>,
    waker: Waker,
}

/// Which tasks are ready, and who drives them.
#[derive(Default)]
struct Ready {
    tasks: Mutex<BTreeSet<u64>>,
    driver: Mutex<Option<Waker>>,
}

struct TaskWaker {
    id: u64,
    ready: Arc<Ready>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.ready.tasks.lock().unwrap_or_else(PoisonError::into_inner).insert(self.id);
        if let Some(driver) = &*self.ready.driver.lock().unwrap_or_else(PoisonError::into_inner) {
            driver.wake_by_ref();
        }
    }
}

/// All tasks.
pub(crate) struct Scheduler {
    tasks: BTreeMap<u64, Task>,
    ready: Arc<Ready>,
    /// Whose tasks are not polled.
    frozen: BTreeSet<Owner>,
    chance: ChaCha8Rng,
    last_id: u64,
}

impl Scheduler {
    pub(crate) fn new(chance: ChaCha8Rng) -> Self {
        Self { tasks: BTreeMap::new(), ready: Arc::default(), frozen: BTreeSet::new(), chance, last_id: 0 }
    }

    /// Adds a task; it is ready.
    pub(crate) fn spawn(&mut self, owner: Owner, future: impl Future<Output = ()> + 'static) {
        self.last_id += 1;
        let id = self.last_id;
        let waker = Waker::from(Arc::new(TaskWaker { id, ready: Arc::clone(&self.ready) }));
        self.tasks.insert(id, Task { owner, future: Box::pin(future), waker: waker.clone() });
        waker.wake();
    }

    /// Drops every task of `owner`, wherever it is.
    pub(crate) fn crash(&mut self, owner: Owner) {
        self.tasks.retain(|_, task| task.owner != owner);
        self.frozen.remove(&owner);
    }

    /// Polls no task of `owner` until [`thaw`](Self::thaw).
    pub(crate) fn freeze(&mut self, owner: Owner) {
        self.frozen.insert(owner);
    }

    /// What became ready meanwhile is polled, in whatever order.
    pub(crate) fn thaw(&mut self, owner: Owner) {
        self.frozen.remove(&owner);
    }

    /// From now on `driver` is woken when a task becomes ready.
    pub(crate) fn driven_by(&self, driver: &Waker) {
        let mut current = self.ready.driver.lock().unwrap_or_else(PoisonError::into_inner);
        if !current.as_ref().is_some_and(|waker| waker.will_wake(driver)) {
            *current = Some(driver.clone());
        }
    }

    /// Polls one of the tasks that are ready, and says whose it is; `None`: none is.
    pub(crate) fn turn(&mut self) -> Option<Owner> {
        let id = self.choose()?;
        let task = self.tasks.get_mut(&id)?;
        let owner = task.owner;
        let waker = task.waker.clone();
        if task.future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            self.tasks.remove(&id);
        }
        Some(owner)
    }

    fn choose(&mut self) -> Option<u64> {
        let mut ready = self.ready.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        // Ids of tasks that are over, or crashed, may still be woken.
        ready.retain(|id| self.tasks.contains_key(id));
        let awake = |id: &&u64| {
            self.frozen.is_empty()
                || self.tasks.get(*id).is_some_and(|task| !self.frozen.contains(&task.owner))
        };
        let count = ready.iter().filter(awake).count();
        let nth = if count > 1 { self.chance.random_range(0..count) } else { 0 };
        let id = ready.iter().filter(awake).nth(nth).copied()?;
        ready.remove(&id);
        Some(id)
    }
}

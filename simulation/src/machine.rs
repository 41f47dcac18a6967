//! One machine: a process runs on it, crashes, is paused and started again. What it has of its own is its clock and its line to
//! the log; the log, AWS and the key store are everybody's.

use crate::process::Process;
use crate::schedule::Owner;
use crate::seams::LocalClock;
use crate::witness::WitnessedLog;
use aws::Directory;
use domain::{RequestId, SignedDuration, Timestamp};
use std::cell::Cell;
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What machines are called; their number is the seed's.
pub(crate) const NAMES: [&str; 3] = ["alpha", "beta", "gamma"];

/// From a decision to its call, at the longest, while the process is not paused.
const DECIDED_WITHIN: SignedDuration = SignedDuration::from_mins(1);

/// Snapshots of the directory that are remembered of a process.
const SNAPSHOTS_MAX: usize = 4;

/// A machine.
pub(crate) struct Machine {
    pub(crate) name: &'static str,
    pub(crate) clock: Arc<LocalClock>,
    pub(crate) log: Arc<WitnessedLog>,
    pub(crate) process: Option<Process>,
    /// Polls of its process until it crashes.
    pub(crate) crash_in: Option<u32>,
    /// Polls of its process until it is paused.
    pub(crate) pause_in: Option<u32>,
    pub(crate) paused: bool,
    /// Set when the process is to be started.
    pub(crate) start: Rc<Cell<bool>>,
    /// Set when the process is to go on.
    pub(crate) wake: Rc<Cell<bool>>,
    /// When the process last began or went on.
    pub(crate) awake_since: Timestamp,
    /// When its clock was last changed.
    pub(crate) clock_since: Timestamp,
    /// By how much it was ahead lately.
    pub(crate) was_ahead: SignedDuration,
    /// When AWS last answered its process, as the world's clock says: from then on a wrong clock is known to be.
    pub(crate) told_at: Arc<Mutex<Option<Timestamp>>>,
    /// Whether AWS does not take its calls, although it takes others'.
    pub(crate) cut_from_aws: Arc<AtomicBool>,
    /// Requests that changed since its read model was last compared.
    pub(crate) unseen: BTreeSet<RequestId>,
    /// What its process knew of the organisation lately, and since when.
    pub(crate) snapshots: VecDeque<(Timestamp, Arc<Directory>)>,
}

impl Machine {
    pub(crate) fn new(
        name: &'static str,
        clock: Arc<LocalClock>,
        log: Arc<WitnessedLog>,
        now: Timestamp,
    ) -> Self {
        Self {
            name,
            clock,
            log,
            process: None,
            crash_in: None,
            pause_in: None,
            paused: false,
            start: Rc::new(Cell::new(true)),
            wake: Rc::default(),
            awake_since: now,
            clock_since: now,
            was_ahead: SignedDuration::ZERO,
            told_at: Arc::default(),
            cut_from_aws: Arc::default(),
            unseen: BTreeSet::new(),
            snapshots: VecDeque::new(),
        }
    }

    /// Whose tasks its process's are.
    pub(crate) fn owner(&self) -> Option<Owner> {
        self.process.as_ref().map(|process| process.owner)
    }

    /// When AWS last answered its process, by the world's clock.
    pub(crate) fn told_at(&self) -> Option<Timestamp> {
        *self.told_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets its clock.
    pub(crate) fn set_clock(&mut self, ahead: SignedDuration, now: Timestamp) {
        self.was_ahead = self.ahead_lately(now);
        self.clock.set_ahead(ahead);
        self.clock_since = now;
    }

    /// By how much its clock is ahead, or was when what it does now was decided.
    pub(crate) fn ahead_lately(&self, now: Timestamp) -> SignedDuration {
        let ahead = self.clock.ahead().max(SignedDuration::ZERO);
        let settled = now.duration_since(self.clock_since.max(self.awake_since)) > DECIDED_WITHIN;
        if settled { ahead } else { ahead.max(self.was_ahead) }
    }

    /// Whether its process runs, on time that can be relied on, with the log and AWS in reach.
    pub(crate) fn is_well(&self) -> bool {
        self.is_up() && !self.cut_from_aws.load(Ordering::Relaxed)
    }

    /// Whether its process runs, on time that can be relied on, with the log in reach.
    pub(crate) fn is_up(&self) -> bool {
        self.process.is_some() && !self.paused && self.clock.ahead().is_zero() && !self.log.is_cut()
    }

    /// One poll of its process is over. Says whether it is to crash, and whether it is to be paused, now.
    pub(crate) fn polled(&mut self) -> (bool, bool) {
        (count_down(&mut self.crash_in), count_down(&mut self.pause_in))
    }

    /// Notes what its process knows of the organisation.
    pub(crate) fn note_snapshot(&mut self, now: Timestamp) {
        let Some(process) = &self.process else { return };
        let Some(snapshot) = process.views.directory.snapshot() else { return };
        if self.snapshots.back().is_none_or(|(_, last)| !Arc::ptr_eq(last, &snapshot)) {
            self.snapshots.push_back((now, snapshot));
            if self.snapshots.len() > SNAPSHOTS_MAX {
                self.snapshots.pop_front();
            }
        }
    }
}

/// Counts down to nothing, once.
fn count_down(left: &mut Option<u32>) -> bool {
    let Some(polls) = left else { return false };
    *polls = polls.saturating_sub(1);
    let over = *polls == 0;
    if over {
        *left = None;
    }
    over
}

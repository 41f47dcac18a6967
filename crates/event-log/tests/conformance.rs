//! The in-memory log keeps the contract, with and without planted faults.
#![expect(clippy::unwrap_used, reason = "tests")]

use event_log::conformance::{self, Fixture};
use event_log::memory::{AppendFault, Faults, MemoryLog};
use event_log::{Envelope, EventLog, StreamName};
use std::sync::{Arc, Mutex};
use uuid::Uuid;

/// Keeps the log that was opened last. `faults`: whether answers and calls get lost.
struct Memory {
    last: Mutex<MemoryLog>,
    faults: bool,
}

impl Memory {
    fn new(faults: bool) -> Self {
        let last = Mutex::new(MemoryLog::with_id(Uuid::nil()));
        Self { last, faults }
    }
}

#[async_trait::async_trait]
impl Fixture for Memory {
    async fn open(&self) -> Arc<dyn EventLog> {
        let log = MemoryLog::with_id(Uuid::from_u128(1));
        if self.faults {
            log.set_faults(Box::new(EveryKind(0)));
        }
        *self.last.lock().unwrap() = log.clone();
        Arc::new(log)
    }

    async fn reopen(&self) -> Arc<dyn EventLog> {
        Arc::new(self.last.lock().unwrap().clone())
    }

    fn takes_several_clients(&self) -> bool {
        true
    }
}

event_log::conformance_tests!(Memory::new(false));

/// Two of three answers are lost, half of those with the call.
struct EveryKind(u64);

impl Faults for EveryKind {
    fn append(&mut self, _: &StreamName, _: &Envelope) -> AppendFault {
        // A fixed scramble, so that no caller's rhythm meets the same fault for ever.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        match self.0 >> 62 {
            0 => AppendFault::LoseAnswer,
            1 => AppendFault::LoseCall,
            _ => AppendFault::Proceed,
        }
    }
}

#[tokio::test]
async fn with_lost_answers_and_calls_every_promise_about_retries_is_kept() {
    let lossy = Memory::new(true);
    conformance::a_lost_answer_is_retried_into_one_event(&lossy).await;
    conformance::one_event_from_many_callers_is_written_once(&lossy).await;
    conformance::racing_appends_have_one_winner_per_revision(&lossy).await;
    conformance::every_contender_that_looks_again_gets_its_turn(&lossy).await;
    conformance::subscribers_go_live_without_gap_or_repeat(&lossy).await;
}

#[tokio::test]
async fn the_whole_suite_runs_in_turn() {
    for case in conformance::cases() {
        (case.run)(&Memory::new(false)).await;
    }
}

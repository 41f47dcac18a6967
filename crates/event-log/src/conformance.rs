//! The contract of the port as a suite that every engine runs: one function per promise.
//!
//! An engine's test file implements [`Fixture`] and writes `event_log::conformance_tests!(MyFixture::start().await);`, which
//! makes one test of every case. [`cases`] lists them, for a program that runs them against an engine that is reached by URL.
//!
//! INVARIANT: no case sleeps to synchronise, and none looks at an engine's insides; all end within [`CASE_SECONDS_MAX`].

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test suite: a broken promise is told by panicking"
)]
#![expect(clippy::disallowed_methods, reason = "contenders of the suite are tasks of their own")]

mod appending;
mod following;
mod given;
pub mod history;
mod keeping;
mod reading;

pub use appending::{
    a_body_at_the_limit_is_taken_and_one_byte_more_is_not,
    a_conflict_tells_the_actual_revision_and_writes_nothing, a_repeat_answers_with_the_first_place,
    an_id_is_taken_once_in_a_stream_and_may_stand_in_another, another_body_under_a_known_id_is_refused,
    bodies_and_writers_come_back_byte_for_byte, every_contender_that_looks_again_gets_its_turn,
    one_event_from_many_callers_is_written_once, racing_appends_have_one_winner_per_revision,
    streams_with_similar_names_are_apart,
};
pub use following::{
    a_slow_reader_holds_up_nobody, a_subscription_to_an_empty_log_waits_for_the_first_event,
    every_subscriber_sees_the_one_order, subscribers_go_live_without_gap_or_repeat,
};
pub use keeping::{
    a_lost_answer_is_retried_into_one_event, a_reopened_log_is_the_same_log, several_clients_share_one_log,
};
pub use reading::{
    an_acknowledged_event_is_seen_at_once, an_empty_log_reads_as_empty,
    head_and_event_at_agree_with_the_order, read_all_covers_everything_acknowledged_and_ends,
    read_stream_begins_after_a_revision,
};

use crate::EventLog;
use futures::future::LocalBoxFuture;
use std::sync::Arc;

/// No case takes longer, on a slow machine with slow disks.
pub const CASE_SECONDS_MAX: u64 = 120;

/// How the suite gets hold of an engine.
#[async_trait::async_trait]
pub trait Fixture: Send + Sync {
    /// A fresh, empty log.
    async fn open(&self) -> Arc<dyn EventLog>;

    /// The log that was opened last, through a new client, as after a restart. Unless the fixture
    /// [takes several clients](Self::takes_several_clients), the suite has dropped everything of the one before.
    async fn reopen(&self) -> Arc<dyn EventLog>;

    /// Whether several clients can have the log open for appending at the same time.
    fn takes_several_clients(&self) -> bool;
}

/// One `#[tokio::test]` per case. The expression makes the [`Fixture`]; it is evaluated in each
/// test, and may `.await`.
#[macro_export]
macro_rules! conformance_tests {
    (@cases $mode:tt $fixture:expr) => {
        $crate::conformance_tests! { @$mode $fixture;
            racing_appends_have_one_winner_per_revision
            every_contender_that_looks_again_gets_its_turn
            one_event_from_many_callers_is_written_once
            a_repeat_answers_with_the_first_place
            another_body_under_a_known_id_is_refused
            an_id_is_taken_once_in_a_stream_and_may_stand_in_another
            a_conflict_tells_the_actual_revision_and_writes_nothing
            a_body_at_the_limit_is_taken_and_one_byte_more_is_not
            bodies_and_writers_come_back_byte_for_byte
            streams_with_similar_names_are_apart
            an_empty_log_reads_as_empty
            an_acknowledged_event_is_seen_at_once
            read_stream_begins_after_a_revision
            read_all_covers_everything_acknowledged_and_ends
            head_and_event_at_agree_with_the_order
            a_subscription_to_an_empty_log_waits_for_the_first_event
            every_subscriber_sees_the_one_order
            subscribers_go_live_without_gap_or_repeat
            a_slow_reader_holds_up_nobody
            a_reopened_log_is_the_same_log
            several_clients_share_one_log
            a_lost_answer_is_retried_into_one_event
        }
    };
    (@test $fixture:expr; $($case:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let fixture = $fixture;
                $crate::conformance::$case(&fixture).await;
            }
        )+
    };
    (@list $fixture:expr; $($case:ident)+) => {
        vec![$( Case { name: stringify!($case), run: |fixture| Box::pin($crate::conformance::$case(fixture)) } ),+]
    };
    ($fixture:expr) => {
        $crate::conformance_tests! { @cases test $fixture }
    };
}

/// One promise.
pub struct Case {
    /// Its name.
    pub name: &'static str,
    /// Runs it on a fresh log; panics if the promise is broken.
    pub run: for<'a> fn(&'a dyn Fixture) -> LocalBoxFuture<'a, ()>,
}

/// Every case, in the order of this suite.
pub fn cases() -> Vec<Case> {
    crate::conformance_tests! { @cases list () }
}

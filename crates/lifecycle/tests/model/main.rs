//! What holds in every order of events, exhausted to a bound: a model checker tries every interleaving of people, replicas,
//! crashes, pauses and AWS that fits, where the stories try some and the properties try some at random.
//!
//! - `reconciler`: two overlapping requests on one assignment, its ledger, the duty of working on it, two replicas of the
//!   activation service with views of their own that lag, and an AWS that answers late, wrongly or never.
//! - `races`: several people who decide on one request at once, through replicas that decided on what they had loaded.
//!
//! Every decision and every fold is the real one. What the services do between two decisions is mirrored in
//! `reconciler/shell.rs` and `reconciler/process.rs`, in the order in which they do it, each step naming the code that it stands for:
//! whoever changes the order of steps in `services/activation/src/assignment` changes it there too. What is left out is said there.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests"
)]

#[path = "../behaviour/support.rs"]
#[expect(dead_code, reason = "shared with the stories, which need more of it")]
mod support;

mod pool;
mod races;
mod reconciler;

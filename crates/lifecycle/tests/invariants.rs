//! What holds in every history of a request, an assignment and a duty, whoever does whatever, in whichever order.
//!
//! Histories are made of random commands by random people at random times, against clocks that disagree; what the deciders
//! accept is applied, as the log would.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[path = "behaviour/support.rs"]
#[expect(dead_code, reason = "shared with the stories, which need more of it")]
mod support;

#[path = "invariants/assignment.rs"]
mod assignment;
#[path = "invariants/duty.rs"]
mod duty;
#[path = "invariants/events.rs"]
mod events;
#[path = "invariants/history.rs"]
mod history;
#[path = "invariants/request.rs"]
mod request;

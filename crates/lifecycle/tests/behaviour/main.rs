//! What the deciders decide: given a story, when someone does something, then one event or a refusal.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod access;
mod assignment;
mod deadline;
mod deciders;
mod denial;
mod emergency;
mod giving_up;
mod matrix;
mod raise;
mod refusals;
mod review;
mod signal;
mod support;

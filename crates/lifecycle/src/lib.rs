//! What may happen to a request, to an assignment in AWS, and to a duty: pure decisions over pure state.
//!
//! A decision is a function of state and command that gives exactly one event or a [`Rejection`]; `evolve` folds events into
//! state and cannot fail. INVARIANT: no I/O, no clock, no randomness; what a rule needs arrives on the command. No wildcard
//! arms: a new state or event breaks the build until every decision has considered it.
//!
//! Reading order: [`event`] (the facts), [`state`] (evolve), [`raise`] (what the request service decides), [`review`]
//! (approval), [`access`] (activation), [`assignment`] (the ledger of what was done in AWS), [`denial`] (of what is denied there), [`duty`], [`signal`],
//! [`log`] (what becomes of a restored one).

pub mod access;
pub mod assignment;
pub mod denial;
pub mod duty;
pub mod event;
pub mod log;
pub mod raise;
mod rejection;
pub mod review;
pub mod signal;
pub mod state;

pub use event::RequestEvent;
pub use rejection::Rejection;
pub use state::Request;

//! One assignment in Identity Center, made to agree with what requests need.
//!
//! - `need`: which live requests need it; `ledger`: what was attempted, and what came of it;
//! - `look`: whether it is there; `tend`: one errand: look, decide, and do the next thing until nothing is left to do;
//! - `attempt`: one attempt, from its event to its outcome; `observe`: what became of an attempt whose outcome is not known.
//!
//! INVARIANT: a call is made only after an `attempted` event that the read model has seen, and only if it is still what
//! requests need. Only a final status or an observation confirms. A standing assignment is never touched.

mod attempt;
pub(crate) mod ledger;
mod look;
mod need;
mod observe;
mod tend;

pub(crate) use look::LOOK_AHEAD;

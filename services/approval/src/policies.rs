//! The policy's own story: what was proposed, and what became of it; and the first policy, from a file.

pub(crate) mod history;
pub(crate) mod odd;
pub(crate) mod seed;

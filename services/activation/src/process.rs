//! What happens by itself.

pub(crate) mod duty;
pub(crate) mod reconcile;

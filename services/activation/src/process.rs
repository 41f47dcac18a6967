//! What happens by itself.

pub(crate) mod reconcile;

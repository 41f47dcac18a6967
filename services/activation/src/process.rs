//! What happens by itself.

pub(crate) mod deny;
pub(crate) mod duty;
pub(crate) mod heed;
pub(crate) mod reconcile;
pub(crate) mod sweep;

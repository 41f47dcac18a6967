//! What goes on by itself.

pub(crate) mod relay;

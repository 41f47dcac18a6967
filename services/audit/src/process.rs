//! What goes on by itself.

pub mod relay;

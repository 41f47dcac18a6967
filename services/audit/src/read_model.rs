//! What the service looks things up in.

pub mod events;

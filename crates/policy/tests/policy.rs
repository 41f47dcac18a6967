//! The policy as its users meet it.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "policy/agreement.rs"]
mod agreement;
#[path = "policy/files.rs"]
mod files;
#[path = "policy/rules.rs"]
mod rules;
#[path = "policy/sessions.rs"]
mod sessions;
#[path = "policy/world.rs"]
mod world;

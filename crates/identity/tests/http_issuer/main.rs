//! Tokens and keys against a real HTTP issuer on loopback.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail by panicking")]

mod callers;
mod hostile_input;
mod issuer;
mod key_attacks;
mod message_keys;
mod token_attacks;

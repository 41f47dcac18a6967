//! What happens without anyone asking: from what is in the log to commands.

pub(crate) mod pending;

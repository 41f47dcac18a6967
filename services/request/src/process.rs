//! What happens without anyone asking: from what is in the log to commands.

pub(crate) mod raise_for_person;

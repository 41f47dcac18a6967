//! What happens without anyone calling: from what is in the log, or on the bus, to commands.

pub(crate) mod raise_for_person;
pub(crate) mod take_signals;

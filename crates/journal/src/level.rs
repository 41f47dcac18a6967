//! Write levels: what may be written while processes of the release before read the same log (ADR 18).
//!
//! A new stored type, or a new value of an old one, is readable in the release that brings it, and written by default in the next.
//! Each such release raises [`NEWEST`] by one and says here what it brought; [`DEFAULT`] is the `NEWEST` of the release before.
//!
//! INVARIANT: reading knows no level. A program reads whatever it knows.

use crate::Fact;

/// A write level.
pub type WriteLevel = u32;

/// The first level. Everything that is not listed in `SINCE` is of it.
pub const FIRST: WriteLevel = 1;

/// What this program writes at most.
pub const NEWEST: WriteLevel = 2;

/// What it writes where nothing else is configured: all that the release before can read. There was none before this one.
pub const DEFAULT: WriteLevel = NEWEST;

/// The stored types that came after the first level, and the level that writes them.
const SINCE: &[(&str, WriteLevel)] = &[
    ("assignment.adopted.v1", 2),
    ("assignment.abandon_asked.v1", 2),
    ("assignment.abandoned.v1", 2),
    ("log.restored.v1", 2),
    ("log.swept.v1", 2),
];

/// The level from which on a fact is written.
pub fn of(fact: &Fact) -> WriteLevel {
    let type_name = crate::types::type_name(fact);
    SINCE.iter().find(|(name, _)| *name == type_name).map_or(FIRST, |(_, level)| *level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_those_of_types_that_exist() {
        for (name, level) in SINCE {
            assert!(crate::types::TYPES.iter().any(|(known, _)| known == name), "{name}");
            assert!((FIRST + 1..=NEWEST).contains(level), "{name}");
        }
        assert!((FIRST..=NEWEST).contains(&DEFAULT));
    }
}

//! How often each kind of fault has struck: one that never does finds nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts by kind. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally(Arc<Mutex<BTreeMap<String, u32>>>);

impl Tally {
    /// Once more.
    pub(crate) fn count(&self, kind: &str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get_mut(kind) {
            Some(count) => *count += 1,
            None => drop(counts.insert(kind.to_owned(), 1)),
        }
    }

    /// All of them.
    pub(crate) fn counts(&self) -> BTreeMap<String, u32> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

//! Values by number: a state of the model holds numbers, so that it stays small, and looks the values up to decide.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

/// The number of a value in its pool. Equal values have equal numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Id(u32);

struct Known<T> {
    ids: BTreeMap<Arc<T>, Id>,
    values: Vec<Arc<T>>,
}

/// Every value that has come up. Grows only; shared by the checker's threads.
pub(crate) struct Pool<T> {
    known: RwLock<Known<T>>,
}

impl<T: Ord> Pool<T> {
    pub(crate) fn new() -> Self {
        Self { known: RwLock::new(Known { ids: BTreeMap::new(), values: Vec::new() }) }
    }

    pub(crate) fn id(&self, value: T) -> Id {
        if let Some(id) = self.known.read().unwrap().ids.get(&value) {
            return *id;
        }
        let mut known = self.known.write().unwrap();
        if let Some(id) = known.ids.get(&value) {
            return *id;
        }
        let id = Id(u32::try_from(known.values.len()).unwrap());
        let value = Arc::new(value);
        known.values.push(Arc::clone(&value));
        known.ids.insert(value, id);
        id
    }

    pub(crate) fn get(&self, id: Id) -> Arc<T> {
        Arc::clone(&self.known.read().unwrap().values[usize::try_from(id.0).unwrap()])
    }
}

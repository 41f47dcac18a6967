//! Where the keys of people live: beside the log, never in it, and backed up apart from it.
//!
//! This store is not derived from the log. Deleting a person's key is how their words are erased.
//!
//! - [`KeyStore`]: the port. [`SqliteKeyStore`]: a file, for the processes of one machine. [`MemoryKeyStore`]: for simulation
//!   and tests. A store for several machines is a crate of its own, for it names a server.
//! - [`conformance`]: what all of them must do.

pub mod conformance;
mod sqlite;

pub use sqlite::SqliteKeyStore;

use crate::seal::PersonKey;
use domain::PersonId;
use domain::ports::SharedEntropy;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Why there is no key to be had. Never repeats anything secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyStoreError {
    /// The store could not be used, for anybody's key. Later it may.
    #[error("the key store cannot be used: {0}")]
    Unavailable(String),
    /// The store, or what it is opened with, is not as it must be. It says what. Trying again will not help.
    #[error("the key store is refused: {0}")]
    Unsafe(String),
    /// What is stored for this person is no key, or none that can be read here. Asking again gives the same, and others' keys are
    /// none the worse.
    #[error("the key of {person} cannot be used: {why}")]
    Unusable {
        /// Whose.
        person: PersonId,
        /// Why not.
        why: String,
        /// Whether a wrapping key that is not here may read it yet. Else nothing ever will.
        wrapping_key_missing: bool,
    },
}

impl KeyStoreError {
    /// The store could not be used, and why.
    pub fn new(why: impl Into<String>) -> Self {
        Self::Unavailable(why.into())
    }

    /// What is stored for `person` is no key, and why.
    pub fn unusable(person: &PersonId, why: impl Into<String>) -> Self {
        Self::Unusable { person: person.clone(), why: why.into(), wrapping_key_missing: false }
    }

    /// What is stored for `person` was wrapped with a key that is not here, and why that is known.
    pub fn wrapped_with_another(person: &PersonId, why: impl Into<String>) -> Self {
        Self::Unusable { person: person.clone(), why: why.into(), wrapping_key_missing: true }
    }
}

/// The keys of people. No implementation remembers a key: an erased one is gone for every replica from that moment on.
#[async_trait::async_trait]
pub trait KeyStore: Send + Sync + 'static {
    /// The person's key; made, durably, if there is none. Of several that make it at once, all get the same.
    async fn obtain(&self, person: &PersonId) -> Result<PersonKey, KeyStoreError>;

    /// Keeps this key, which comes out of a backup, for its person if there is none. Gives back the one that is there now.
    async fn keep(&self, key: &PersonKey) -> Result<PersonKey, KeyStoreError>;

    /// Everyone who has a key, or for whom something is stored that is none: for backups. What is stored under no person's id is
    /// passed over, with a warning.
    async fn people(&self) -> Result<BTreeSet<PersonId>, KeyStoreError>;

    /// The person's key; `None` when there never was one or it was erased.
    async fn find(&self, person: &PersonId) -> Result<Option<PersonKey>, KeyStoreError>;

    /// Deletes the person's key. Says whether there was one.
    async fn erase(&self, person: &PersonId) -> Result<bool, KeyStoreError>;
}

/// Keys in memory, for tests and simulation.
pub struct MemoryKeyStore {
    /// `None`: what is stored there is no key.
    keys: Mutex<BTreeMap<PersonId, Option<PersonKey>>>,
    entropy: SharedEntropy,
    down: AtomicBool,
}

impl MemoryKeyStore {
    /// An empty store.
    pub fn new(entropy: SharedEntropy) -> Self {
        Self { keys: Mutex::default(), entropy, down: AtomicBool::new(false) }
    }

    /// Whether it cannot be used, from now on.
    pub fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::Relaxed);
    }

    /// From now on something is stored for the person that is no key.
    pub fn damage(&self, person: &PersonId) {
        self.lock().insert(person.clone(), None);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PersonId, Option<PersonKey>>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reach(&self) -> Result<MutexGuard<'_, BTreeMap<PersonId, Option<PersonKey>>>, KeyStoreError> {
        if self.down.load(Ordering::Relaxed) {
            Err(KeyStoreError::new("it is down"))
        } else {
            Ok(self.lock())
        }
    }
}

fn damaged(person: &PersonId) -> KeyStoreError {
    KeyStoreError::unusable(person, "it is damaged")
}

#[async_trait::async_trait]
impl KeyStore for MemoryKeyStore {
    async fn obtain(&self, person: &PersonId) -> Result<PersonKey, KeyStoreError> {
        let mut keys = self.reach()?;
        let key = keys
            .entry(person.clone())
            .or_insert_with(|| Some(PersonKey::generate(person.clone(), self.entropy.as_ref())));
        key.clone().ok_or_else(|| damaged(person))
    }

    async fn keep(&self, key: &PersonKey) -> Result<PersonKey, KeyStoreError> {
        let mut keys = self.reach()?;
        let kept = keys.entry(key.person().clone()).or_insert_with(|| Some(key.clone()));
        kept.clone().ok_or_else(|| damaged(key.person()))
    }

    async fn people(&self) -> Result<BTreeSet<PersonId>, KeyStoreError> {
        Ok(self.reach()?.keys().cloned().collect())
    }

    async fn find(&self, person: &PersonId) -> Result<Option<PersonKey>, KeyStoreError> {
        let keys = self.reach()?;
        keys.get(person).map(|key| key.clone().ok_or_else(|| damaged(person))).transpose()
    }

    async fn erase(&self, person: &PersonId) -> Result<bool, KeyStoreError> {
        Ok(self.reach()?.remove(person).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU8, Ordering};

    #[derive(Default)]
    pub(super) struct Different(AtomicU8);
    impl domain::ports::Entropy for Different {
        fn fill(&self, bytes: &mut [u8]) {
            let round = self.0.fetch_add(1, Ordering::Relaxed);
            (0..).zip(bytes).for_each(|(i, byte): (u8, _)| *byte = 0x5a ^ round ^ i.wrapping_mul(7));
        }
    }

    #[test]
    fn memory_conforms() {
        let store: Arc<dyn KeyStore> = Arc::new(MemoryKeyStore::new(Arc::new(Different::default())));
        futures::executor::block_on(conformance::holds(store.as_ref(), store.as_ref()));
    }
}

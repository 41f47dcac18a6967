//! Where the keys of people live: beside the log, never in it, and backed up apart from it.
//!
//! This store is not derived from the log. Deleting a person's key is how their words are erased.

use crate::seal::PersonKey;
use domain::PersonId;
use domain::ports::SharedEntropy;
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// The key store could not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key store cannot be used: {0}")]
pub struct KeyStoreError(String);

impl From<rusqlite::Error> for KeyStoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self(error.to_string())
    }
}

/// The keys of people.
pub trait KeyStore: Send + Sync + 'static {
    /// The person's key; made, durably, if there is none.
    fn obtain(&self, person: &PersonId) -> Result<PersonKey, KeyStoreError>;

    /// The person's key; `None` when there never was one or it was erased.
    fn find(&self, person: &PersonId) -> Result<Option<PersonKey>, KeyStoreError>;

    /// Deletes the person's key. Says whether there was one.
    fn erase(&self, person: &PersonId) -> Result<bool, KeyStoreError>;
}

/// Keys in memory, for tests and simulation.
pub struct MemoryKeyStore {
    keys: Mutex<BTreeMap<PersonId, PersonKey>>,
    entropy: SharedEntropy,
}

impl MemoryKeyStore {
    /// An empty store.
    pub fn new(entropy: SharedEntropy) -> Self {
        Self { keys: Mutex::default(), entropy }
    }
}

impl KeyStore for MemoryKeyStore {
    fn obtain(&self, person: &PersonId) -> Result<PersonKey, KeyStoreError> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let key = keys
            .entry(person.clone())
            .or_insert_with(|| PersonKey::generate(person.clone(), self.entropy.as_ref()));
        Ok(key.clone())
    }

    fn find(&self, person: &PersonId) -> Result<Option<PersonKey>, KeyStoreError> {
        Ok(self.keys.lock().unwrap_or_else(PoisonError::into_inner).get(person).cloned())
    }

    fn erase(&self, person: &PersonId) -> Result<bool, KeyStoreError> {
        Ok(self.keys.lock().unwrap_or_else(PoisonError::into_inner).remove(person).is_some())
    }
}

/// Keys in a SQLite file that the processes of one machine share. Keys that were read are kept in memory.
pub struct SqliteKeyStore {
    connection: Mutex<Connection>,
    known: Mutex<BTreeMap<PersonId, PersonKey>>,
    entropy: SharedEntropy,
}

/// How many keys are kept in memory: 10,000 at under 200 bytes each.
const KNOWN_MAX: usize = 10_000;

impl SqliteKeyStore {
    /// Opens or makes the store at `path`, readable by its owner alone.
    pub fn open(path: &Path, entropy: SharedEntropy) -> Result<Self, KeyStoreError> {
        let connection = Connection::open(path)?;
        restrict(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        // What is deleted is overwritten, not left in free pages.
        connection.pragma_update(None, "secure_delete", "ON")?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS person_key (person TEXT PRIMARY KEY, secret BLOB NOT NULL) STRICT, WITHOUT ROWID",
        )?;
        Ok(Self { connection: Mutex::new(connection), known: Mutex::default(), entropy })
    }

    fn read(connection: &Connection, person: &PersonId) -> Result<Option<PersonKey>, KeyStoreError> {
        let secret: Option<[u8; 32]> = connection
            .prepare_cached("SELECT secret FROM person_key WHERE person = ?1")?
            .query_row([person.as_str()], |row| row.get(0))
            .optional()?;
        Ok(secret.map(|secret| PersonKey::from_secret(person.clone(), secret)))
    }

    fn remember(&self, key: &PersonKey, person: &PersonId) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(person.clone(), key.clone());
    }
}

#[cfg(unix)]
fn restrict(path: &Path) -> Result<(), KeyStoreError> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
        .map_err(|e| KeyStoreError(e.to_string()))
}

#[cfg(not(unix))]
fn restrict(_path: &Path) -> Result<(), KeyStoreError> {
    Ok(())
}

impl KeyStore for SqliteKeyStore {
    fn obtain(&self, person: &PersonId) -> Result<PersonKey, KeyStoreError> {
        if let Some(key) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(person) {
            return Ok(key.clone());
        }
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = Self::read(&connection, person)? {
            self.remember(&key, person);
            return Ok(key);
        }
        let fresh = PersonKey::generate(person.clone(), self.entropy.as_ref());
        connection.execute(
            "INSERT INTO person_key (person, secret) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            params![person.as_str(), fresh.secret()],
        )?;
        // Another process may have been first; its key counts.
        let key =
            Self::read(&connection, person)?.ok_or_else(|| KeyStoreError("a key was not kept".into()))?;
        self.remember(&key, person);
        Ok(key)
    }

    /// Always asks the file: another process may have erased the key.
    fn find(&self, person: &PersonId) -> Result<Option<PersonKey>, KeyStoreError> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        Self::read(&connection, person)
    }

    fn erase(&self, person: &PersonId) -> Result<bool, KeyStoreError> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(person);
        let erased = connection.execute("DELETE FROM person_key WHERE person = ?1", [person.as_str()])?;
        // The write-ahead log still holds the page with the key until it is written back.
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(erased > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::Unreadable;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU8, Ordering};

    #[derive(Default)]
    struct Different(AtomicU8);
    impl domain::ports::Entropy for Different {
        fn fill(&self, bytes: &mut [u8]) {
            let round = self.0.fetch_add(1, Ordering::Relaxed);
            (0..).zip(bytes).for_each(|(i, byte): (u8, _)| *byte = 0x5a ^ round ^ i.wrapping_mul(7));
        }
    }

    fn ada() -> PersonId {
        PersonId::new("a".repeat(32)).unwrap()
    }

    fn keeps_and_erases(store: &dyn KeyStore) {
        assert_eq!(store.find(&ada()).unwrap(), None);
        let key = store.obtain(&ada()).unwrap();
        assert_eq!(store.obtain(&ada()).unwrap(), key);
        assert_eq!(store.find(&ada()).unwrap(), Some(key.clone()));
        let sealed = key.seal("p", "words", &Different::default()).unwrap();
        assert!(store.erase(&ada()).unwrap());
        assert_eq!(store.find(&ada()).unwrap(), None);
        assert!(!store.erase(&ada()).unwrap());
        assert_eq!(store.obtain(&ada()).unwrap().open("p", &sealed), Err(Unreadable::Foreign));
    }

    #[test]
    fn memory_keeps_and_erases() {
        keeps_and_erases(&MemoryKeyStore::new(Arc::new(Different::default())));
    }

    #[test]
    fn sqlite_keeps_and_erases() {
        let folder = tempfile::tempdir().unwrap();
        keeps_and_erases(
            &SqliteKeyStore::open(&folder.path().join("keys.db"), Arc::new(Different::default())).unwrap(),
        );
    }

    #[test]
    fn two_processes_of_one_machine_agree_on_a_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.db");
        let entropy: SharedEntropy = Arc::new(Different::default());
        let one = SqliteKeyStore::open(&path, entropy.clone()).unwrap();
        let other = SqliteKeyStore::open(&path, entropy).unwrap();
        assert_eq!(one.obtain(&ada()).unwrap(), other.obtain(&ada()).unwrap());
    }

    #[test]
    fn an_erased_key_is_in_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.db");
        let store = SqliteKeyStore::open(&path, Arc::new(Different::default())).unwrap();
        let secret = *store.obtain(&ada()).unwrap().secret();
        store.erase(&ada()).unwrap();
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            assert!(!bytes.windows(32).any(|window| window == secret));
        }
    }
}

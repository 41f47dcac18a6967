//! Keys in a SQLite file that the processes of one machine share.

use super::{KeyStore, KeyStoreError};
use crate::seal::PersonKey;
use domain::PersonId;
use domain::ports::SharedEntropy;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

impl From<rusqlite::Error> for KeyStoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::new(error.to_string())
    }
}

/// The file. Every call asks it, which takes microseconds: another process may have erased the key.
pub struct SqliteKeyStore {
    connection: Mutex<Connection>,
    entropy: SharedEntropy,
}

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
        Ok(Self { connection: Mutex::new(connection), entropy })
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose key a row is; `None`: nobody's, for its name is no person's id, or no text at all.
fn whose(row: &Row<'_>) -> rusqlite::Result<Option<PersonId>> {
    let name = row.get_ref(0)?.as_str().ok();
    Ok(name.and_then(|name| PersonId::new(name).ok()))
}

fn read(connection: &Connection, person: &PersonId) -> Result<Option<PersonKey>, KeyStoreError> {
    let secret: Option<Vec<u8>> = connection
        .prepare_cached("SELECT secret FROM person_key WHERE person = ?1")?
        .query_row([person.as_str()], |row| row.get(0))
        .optional()?;
    let key = |secret: Vec<u8>| {
        <[u8; 32]>::try_from(secret)
            .map(|secret| PersonKey::from_secret(person.clone(), secret))
            .map_err(|_| KeyStoreError::unusable(person, "it has not 32 bytes"))
    };
    secret.map(key).transpose()
}

fn keep(connection: &Connection, key: &PersonKey) -> Result<PersonKey, KeyStoreError> {
    connection.execute(
        "INSERT INTO person_key (person, secret) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        params![key.person().as_str(), key.secret()],
    )?;
    // Another process may have been first; its key counts.
    read(connection, key.person())?.ok_or_else(|| KeyStoreError::new("a key was not kept"))
}

#[cfg(unix)]
fn restrict(path: &Path) -> Result<(), KeyStoreError> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
        .map_err(|e| KeyStoreError::new(e.to_string()))
}

#[cfg(not(unix))]
fn restrict(_path: &Path) -> Result<(), KeyStoreError> {
    Ok(())
}

#[async_trait::async_trait]
impl KeyStore for SqliteKeyStore {
    async fn obtain(&self, person: &PersonId) -> Result<PersonKey, KeyStoreError> {
        let connection = self.lock();
        if let Some(key) = read(&connection, person)? {
            return Ok(key);
        }
        keep(&connection, &PersonKey::generate(person.clone(), self.entropy.as_ref()))
    }

    async fn keep(&self, key: &PersonKey) -> Result<PersonKey, KeyStoreError> {
        keep(&self.lock(), key)
    }

    async fn people(&self) -> Result<BTreeSet<PersonId>, KeyStoreError> {
        let connection = self.lock();
        let mut query = connection.prepare("SELECT person FROM person_key")?;
        let people = query.query_map([], whose)?.collect::<Result<Vec<_>, _>>()?;
        // Whoever may write a key may write beside them. How many, not which: nobody knows what such a name says.
        let strange = people.iter().filter(|person| person.is_none()).count();
        if strange > 0 {
            tracing::warn!(strange, "entries of the key store that are nobody's key are passed over");
        }
        Ok(people.into_iter().flatten().collect())
    }

    async fn find(&self, person: &PersonId) -> Result<Option<PersonKey>, KeyStoreError> {
        read(&self.lock(), person)
    }

    async fn erase(&self, person: &PersonId) -> Result<bool, KeyStoreError> {
        let connection = self.lock();
        let erased = connection.execute("DELETE FROM person_key WHERE person = ?1", [person.as_str()])?;
        // The write-ahead log still holds the page with the key until it is written back.
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(erased > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::conformance;
    use super::super::tests::Different;
    use super::*;
    use futures::executor::block_on;
    use std::sync::Arc;

    #[test]
    fn two_processes_of_one_machine_conform() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.db");
        let entropy: SharedEntropy = Arc::new(Different::default());
        let one = SqliteKeyStore::open(&path, entropy.clone()).unwrap();
        let other = SqliteKeyStore::open(&path, entropy).unwrap();
        block_on(conformance::holds(&one, &other));
    }

    #[test]
    fn a_key_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.db");
        let open = || SqliteKeyStore::open(&path, Arc::new(Different::default())).unwrap();
        let person = PersonId::new("a".repeat(32)).unwrap();
        let key = block_on(open().obtain(&person)).unwrap();
        assert_eq!(block_on(open().find(&person)).unwrap(), Some(key));
    }

    #[test]
    fn what_is_no_key_is_told_from_a_file_that_cannot_be_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.db");
        let store = SqliteKeyStore::open(&path, Arc::new(Different::default())).unwrap();
        let (ada, bob) = (PersonId::new("a".repeat(32)).unwrap(), PersonId::new("b".repeat(32)).unwrap());
        let insert = "INSERT INTO person_key (person, secret) VALUES (?1, x'00')";
        store.lock().execute(insert, [ada.as_str()]).unwrap();
        let unusable = KeyStoreError::unusable(&ada, "it has not 32 bytes");
        assert_eq!(block_on(store.find(&ada)), Err(unusable.clone()));
        assert_eq!(block_on(store.obtain(&ada)), Err(unusable));
        block_on(store.obtain(&bob)).unwrap();
        assert!(block_on(store.erase(&ada)).unwrap());
        block_on(store.obtain(&ada)).unwrap();
        store.lock().execute_batch("DROP TABLE person_key").unwrap();
        assert!(matches!(block_on(store.find(&ada)), Err(KeyStoreError::Unavailable(_))));
    }

    #[test]
    fn an_entry_under_no_persons_id_hides_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.db");
        let store = SqliteKeyStore::open(&path, Arc::new(Different::default())).unwrap();
        let ada = PersonId::new("a".repeat(32)).unwrap();
        block_on(store.obtain(&ada)).unwrap();
        for strange in ["''", "'0'", "'zed'", "CAST(x'ff' AS TEXT)"] {
            let insert = format!("INSERT INTO person_key (person, secret) VALUES ({strange}, x'00')");
            store.lock().execute_batch(&insert).unwrap();
        }
        assert_eq!(block_on(store.people()), Ok(BTreeSet::from([ada])));
    }

    #[test]
    fn an_erased_key_is_in_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.db");
        let store = SqliteKeyStore::open(&path, Arc::new(Different::default())).unwrap();
        let person = PersonId::new("a".repeat(32)).unwrap();
        let secret = *block_on(store.obtain(&person)).unwrap().secret();
        block_on(store.erase(&person)).unwrap();
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            assert!(!bytes.windows(32).any(|window| window == secret));
        }
    }
}

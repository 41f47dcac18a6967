//! Keys go from one key store to another: a backup, or back from one.
//!
//! INVARIANT: no key is replaced.

use super::has_no_key;
use crate::output::warn;
use domain::PersonId;
use journal::key_store::{KeyStore, KeyStoreError};
use journal::seal::PersonKey;
use wiring::StartError;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Copied {
    new: usize,
    there: usize,
    /// Keys that cannot be used: the others are copied all the same.
    unusable: usize,
}

impl std::fmt::Display for Copied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { new, there, unusable } = self;
        write!(f, "{new} keys copied, {there} were there")?;
        if *unusable > 0 { write!(f, ", {unusable} cannot be used and were left out") } else { Ok(()) }
    }
}

/// Copies the key of one person.
pub(super) async fn one(
    from: &dyn KeyStore,
    to: &dyn KeyStore,
    person: &PersonId,
) -> Result<Copied, StartError> {
    let key = from.find(person).await?.ok_or_else(|| has_no_key(person))?;
    match to.find(person).await? {
        Some(found) if found == key => Ok(Copied { new: 0, there: 1, unusable: 0 }),
        Some(_) => Err(another_key(1)),
        None => {
            keep(to, &key).await?;
            Ok(Copied { new: 1, there: 0, unusable: 0 })
        }
    }
}

/// Copies every key.
pub(super) async fn all(from: &dyn KeyStore, to: &dyn KeyStore) -> Result<Copied, StartError> {
    let (mut missing, mut there, mut different, mut unusable) = (Vec::new(), 0, 0, 0);
    for person in from.people().await? {
        // Who was erased meanwhile stays so.
        let key = match from.find(&person).await {
            Ok(Some(key)) => key,
            Ok(None) => continue,
            Err(error @ KeyStoreError::Unusable { .. }) => {
                warn(&error.to_string());
                unusable += 1;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        match to.find(&person).await? {
            None => missing.push(key),
            Some(found) if found == key => there += 1,
            Some(_) => different += 1,
        }
    }
    if different > 0 {
        return Err(another_key(different));
    }
    for key in &missing {
        keep(to, key).await?;
    }
    let copied = Copied { new: missing.len(), there, unusable };
    // Not one of them: it is the wrapping keys that are wrong.
    if unusable > 0 && copied.new == 0 && there == 0 {
        return Err(StartError::Other(format!(
            "none of {unusable} keys can be used: are these the wrapping keys?"
        )));
    }
    Ok(copied)
}

/// Keeps a key where there was none a moment ago.
async fn keep(to: &dyn KeyStore, key: &PersonKey) -> Result<(), StartError> {
    if to.keep(key).await? == *key { Ok(()) } else { Err(another_key(1)) }
}

fn another_key(people: usize) -> StartError {
    StartError::Other(format!(
        "{people} people have another key in the target, and no key is replaced: is it the key store of another log?"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use journal::key_store::MemoryKeyStore;
    use service_runtime::clock::SystemEntropy;
    use std::sync::Arc;

    fn store() -> MemoryKeyStore {
        MemoryKeyStore::new(Arc::new(SystemEntropy))
    }

    fn person(digit: char) -> PersonId {
        PersonId::new(digit.to_string().repeat(32)).unwrap()
    }

    #[tokio::test]
    async fn one_key_that_cannot_be_used_keeps_no_other_from_being_copied() {
        let (store, backup) = (store(), store());
        store.obtain(&person('a')).await.unwrap();
        store.damage(&person('b'));
        let copied = all(&store, &backup).await.unwrap();
        assert_eq!(copied, Copied { new: 1, there: 0, unusable: 1 });
        assert_eq!(copied.to_string(), "1 keys copied, 0 were there, 1 cannot be used and were left out");
        store.damage(&person('a'));
        assert!(all(&store, &backup).await.is_err(), "none of them: somebody should know");
    }

    #[tokio::test]
    async fn a_justification_can_be_read_again_after_the_key_store_was_lost_and_restored() {
        let (lost, backup, new) = (store(), store(), store());
        let key = lost.obtain(&person('a')).await.unwrap();
        let sealed = key.seal("place", "the pager went off", &SystemEntropy).unwrap();
        assert_eq!(all(&lost, &backup).await.unwrap(), Copied { new: 1, there: 0, unusable: 0 });
        assert_eq!(all(&backup, &new).await.unwrap(), Copied { new: 1, there: 0, unusable: 0 });
        let restored = new.find(&person('a')).await.unwrap().unwrap();
        assert_eq!(restored.open("place", &sealed).unwrap(), "the pager went off");
        assert_eq!(all(&backup, &new).await.unwrap(), Copied { new: 0, there: 1, unusable: 0 }, "once more");
    }

    #[tokio::test]
    async fn where_anybody_has_another_key_nothing_is_copied() {
        let (from, to) = (store(), store());
        from.obtain(&person('a')).await.unwrap();
        from.obtain(&person('b')).await.unwrap();
        let theirs = to.keep(&PersonKey::from_secret(person('b'), [7; 32])).await.unwrap();
        let refused = all(&from, &to).await.unwrap_err().to_string();
        assert!(refused.starts_with("1 people have another key"), "{refused}");
        assert_eq!(to.find(&person('a')).await.unwrap(), None);
        assert_eq!(to.find(&person('b')).await.unwrap(), Some(theirs));
    }

    #[tokio::test]
    async fn who_was_erased_before_the_backup_stays_erased() {
        let (from, to) = (store(), store());
        from.obtain(&person('a')).await.unwrap();
        from.erase(&person('a')).await.unwrap();
        assert_eq!(all(&from, &to).await.unwrap(), Copied { new: 0, there: 0, unusable: 0 });
        assert_eq!(to.find(&person('a')).await.unwrap(), None);
    }

    #[tokio::test]
    async fn one_person_is_copied_alone_and_over_nothing() {
        let (backup, store) = (store(), store());
        let key = backup.obtain(&person('a')).await.unwrap();
        backup.obtain(&person('b')).await.unwrap();
        let copied = one(&backup, &store, &person('a')).await.unwrap();
        assert_eq!(copied, Copied { new: 1, there: 0, unusable: 0 });
        assert_eq!(store.find(&person('a')).await.unwrap(), Some(key));
        assert_eq!(store.find(&person('b')).await.unwrap(), None, "erased since the backup, say");
        let copied = one(&backup, &store, &person('a')).await.unwrap();
        assert_eq!(copied, Copied { new: 0, there: 1, unusable: 0 });

        store.obtain(&person('b')).await.unwrap();
        let refused = one(&backup, &store, &person('b')).await.unwrap_err().to_string();
        assert!(refused.starts_with("1 people have another key"), "{refused}");
        assert!(one(&backup, &store, &person('c')).await.is_err(), "nobody's");
        store.damage(&person('a'));
        assert!(one(&backup, &store, &person('a')).await.is_err(), "what is there is taken away first");
    }
}

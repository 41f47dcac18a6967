//! What is stored for a person and is no key is taken away: they get a new one when they need it, or theirs from a backup.
//!
//! INVARIANT: a key that can be used, or may be again, stays.

use super::has_no_key;
use domain::PersonId;
use journal::key_store::{KeyStore, KeyStoreError};
use wiring::StartError;

/// Takes it away, and tells what it was. What a wrapping key that is not here may read goes only if that one `is_lost`.
pub(super) async fn discard(
    store: &dyn KeyStore,
    person: &PersonId,
    is_lost: bool,
) -> Result<String, StartError> {
    let no = |why: &str| Err(StartError::Other(format!("the key of {person} stays: {why}")));
    let unusable = match store.find(person).await {
        Ok(None) => return Err(has_no_key(person)),
        Ok(Some(_)) => return no("it can be used"),
        Err(KeyStoreError::Unusable { wrapping_key_missing: true, .. }) if !is_lost => {
            return no(
                "the key that it was wrapped with is not in the file of wrapping keys. Put it there; \
                or, if it is lost for ever, say so: --wrapping-key-is-lost",
            );
        }
        Err(error @ KeyStoreError::Unusable { .. }) => error,
        Err(error) => return Err(error.into()),
    };
    if store.erase(person).await? {
        Ok(format!("{unusable}: it was taken away"))
    } else {
        Err(has_no_key(person))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use journal::key_store::MemoryKeyStore;
    use service_runtime::clock::SystemEntropy;
    use std::sync::Arc;

    #[tokio::test]
    async fn what_is_no_key_is_taken_away_and_a_key_stays() {
        let store = MemoryKeyStore::new(Arc::new(SystemEntropy));
        let (ada, bob) = (PersonId::new("a".repeat(32)).unwrap(), PersonId::new("b".repeat(32)).unwrap());
        let key = store.obtain(&ada).await.unwrap();
        for is_lost in [false, true] {
            let refused = discard(&store, &ada, is_lost).await.unwrap_err().to_string();
            assert_eq!(refused, format!("the key of {ada} stays: it can be used"));
        }
        store.damage(&bob);
        let told = discard(&store, &bob, false).await.unwrap();
        assert_eq!(told, format!("the key of {bob} cannot be used: it is damaged: it was taken away"));
        assert!(discard(&store, &bob, false).await.is_err(), "there is nothing any more");
        store.obtain(&bob).await.unwrap();
        assert_eq!(store.find(&ada).await.unwrap(), Some(key));
    }
}

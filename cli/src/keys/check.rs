//! Whose key cannot be used, and why.

use super::has_no_key;
use domain::PersonId;
use journal::key_store::{KeyStore, KeyStoreError};
use std::collections::BTreeSet;
use wiring::StartError;

/// What was found. Nothing of a key is in it.
#[derive(Debug, Default)]
pub(super) struct Checked {
    usable: usize,
    /// Each tells its person, and why.
    unusable: Vec<KeyStoreError>,
}

impl Checked {
    pub(super) fn is_well(&self) -> bool {
        self.unusable.is_empty()
    }

    fn keys(&self) -> usize {
        self.usable + self.unusable.len()
    }
}

impl std::fmt::Display for Checked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for error in &self.unusable {
            writeln!(f, "{error}")?;
        }
        write!(f, "{} keys, {} cannot be used", self.keys(), self.unusable.len())
    }
}

/// Looks at every key, or at `only` one person's, which must be there.
pub(super) async fn check(store: &dyn KeyStore, only: Option<&PersonId>) -> Result<Checked, StartError> {
    let people = match only {
        Some(person) => BTreeSet::from([person.clone()]),
        None => store.people().await?,
    };
    let mut checked = Checked::default();
    for person in people {
        match store.find(&person).await {
            Ok(Some(_)) => checked.usable += 1,
            // Erased meanwhile.
            Ok(None) => {}
            Err(error @ KeyStoreError::Unusable { .. }) => checked.unusable.push(error),
            Err(error) => return Err(error.into()),
        }
    }
    if let Some(person) = only
        && checked.keys() == 0
    {
        return Err(has_no_key(person));
    }
    Ok(checked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use journal::key_store::MemoryKeyStore;
    use service_runtime::clock::SystemEntropy;
    use std::sync::Arc;

    fn person(digit: char) -> PersonId {
        PersonId::new(digit.to_string().repeat(32)).unwrap()
    }

    #[tokio::test]
    async fn each_key_that_cannot_be_used_is_told_and_the_others_are_counted() {
        let store = MemoryKeyStore::new(Arc::new(SystemEntropy));
        store.obtain(&person('a')).await.unwrap();
        store.obtain(&person('b')).await.unwrap();
        let checked = check(&store, None).await.unwrap();
        assert!(checked.is_well());
        assert_eq!(checked.to_string(), "2 keys, 0 cannot be used");
        store.damage(&person('b'));
        store.damage(&person('c'));
        let checked = check(&store, None).await.unwrap();
        assert!(!checked.is_well());
        let [b, c] =
            [person('b'), person('c')].map(|of| format!("the key of {of} cannot be used: it is damaged"));
        assert_eq!(checked.to_string(), format!("{b}\n{c}\n3 keys, 2 cannot be used"));
    }

    #[tokio::test]
    async fn one_person_is_looked_at_alone_and_must_have_a_key() {
        let store = MemoryKeyStore::new(Arc::new(SystemEntropy));
        store.obtain(&person('a')).await.unwrap();
        store.damage(&person('b'));
        assert!(check(&store, Some(&person('a'))).await.unwrap().is_well());
        assert!(!check(&store, Some(&person('b'))).await.unwrap().is_well());
        let none = check(&store, Some(&person('c'))).await.unwrap_err().to_string();
        assert_eq!(none, format!("{} has no key", person('c')));
    }
}

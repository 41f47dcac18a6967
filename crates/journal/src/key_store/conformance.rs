//! The contract of the key store as a suite that every implementation runs, over two handles on one store: two replicas, or the
//! same one twice.

#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a test suite: a broken promise is told by panicking"
)]

use super::KeyStore;
use crate::seal::{PersonKey, Unreadable};
use domain::PersonId;
use domain::ports::Entropy;
use futures::future::join_all;

/// How many people two replicas make keys for at the same moment.
const RACES: u32 = 20;

/// Runs every case. The store must be empty.
pub async fn holds(one: &dyn KeyStore, other: &dyn KeyStore) {
    a_key_is_made_once_and_kept(one, other).await;
    everyone_has_a_key_of_their_own(one).await;
    of_racing_makers_all_get_the_same_key(one, other).await;
    an_erased_key_is_gone_for_every_replica(one, other).await;
    a_key_of_a_backup_is_kept_where_there_is_none_and_replaces_nothing(one, other).await;
}

fn person(number: u32) -> PersonId {
    PersonId::new(format!("{number:032x}")).expect("32 hexadecimal digits")
}

/// What `find` does not make, `obtain` makes once.
pub async fn a_key_is_made_once_and_kept(one: &dyn KeyStore, other: &dyn KeyStore) {
    let ada = person(1);
    assert_eq!(one.find(&ada).await.expect("found"), None);
    let key = one.obtain(&ada).await.expect("made");
    assert_eq!(other.obtain(&ada).await.expect("known"), key);
    assert_eq!(other.find(&ada).await.expect("found"), Some(key));
}

/// No two people share a key.
pub async fn everyone_has_a_key_of_their_own(store: &dyn KeyStore) {
    let (ada, bob) = (person(2), person(3));
    let keys = (store.obtain(&ada).await.expect("made"), store.obtain(&bob).await.expect("made"));
    assert_ne!(keys.0.secret(), keys.1.secret());
}

/// The one that loses takes the winner's: text that was sealed with either can be read.
pub async fn of_racing_makers_all_get_the_same_key(one: &dyn KeyStore, other: &dyn KeyStore) {
    let people: Vec<PersonId> = (100..100 + RACES).map(person).collect();
    let (ones, others) = futures::join!(
        join_all(people.iter().map(|person| one.obtain(person))),
        join_all(people.iter().map(|person| other.obtain(person)))
    );
    for (person, (key, others_key)) in people.iter().zip(ones.into_iter().zip(others)) {
        let key = key.expect("made");
        assert_eq!(others_key.expect("made"), key);
        assert_eq!(one.find(person).await.expect("found"), Some(key));
    }
}

/// No replica seals with it or opens with it any more; a new one reads nothing of what it sealed.
pub async fn an_erased_key_is_gone_for_every_replica(one: &dyn KeyStore, other: &dyn KeyStore) {
    let (ada, bob) = (person(200), person(201));
    let key = one.obtain(&ada).await.expect("made");
    let bobs = one.obtain(&bob).await.expect("made");
    assert_eq!(other.obtain(&ada).await.expect("known"), key);
    let sealed = key.seal("place", "words", &Zeros).expect("sealed");
    assert!(one.erase(&ada).await.expect("erased"));
    assert_eq!(other.find(&ada).await.expect("looked for"), None);
    assert!(!other.erase(&ada).await.expect("nothing to erase"));
    let new = other.obtain(&ada).await.expect("made anew");
    assert_eq!(new.open("place", &sealed), Err(Unreadable::Foreign));
    assert_eq!(one.obtain(&ada).await.expect("known"), new);
    assert_eq!(other.find(&bob).await.expect("found"), Some(bobs), "another person's key went with it");
}

/// A restored key reads what it sealed; where there is one already, that one stays. Those who have a key are told, others are not.
pub async fn a_key_of_a_backup_is_kept_where_there_is_none_and_replaces_nothing(
    one: &dyn KeyStore,
    other: &dyn KeyStore,
) {
    let (ada, bob) = (person(300), person(301));
    let key = one.obtain(&ada).await.expect("made");
    assert!(one.erase(&ada).await.expect("erased"));
    assert!(!other.people().await.expect("told").contains(&ada));
    assert_eq!(one.keep(&key).await.expect("kept"), key);
    assert_eq!(other.find(&ada).await.expect("found"), Some(key.clone()));
    let another = PersonKey::from_secret(ada.clone(), [9; 32]);
    assert_eq!(other.keep(&another).await.expect("looked at"), key, "the one that is there stays");
    let people = other.people().await.expect("told");
    assert!(people.contains(&ada) && !people.contains(&bob));
}

/// A nonce that is used once.
struct Zeros;
impl Entropy for Zeros {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

//! The key store on a real nats-server.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use domain::PersonId;
use domain::ports::{Entropy, SharedEntropy};
use journal::key_store::{KeyStore as _, KeyStoreError, conformance};
use key_store_jetstream::{Bucket, JetStreamKeyStore, PREFIX, STREAM, WrappingKeys, bucket_config};
use nats_connection::Connection;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use test_servers::nats::{NatsOptions, NatsServer};

#[derive(Default)]
struct Different(AtomicU64);
impl Entropy for Different {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let round = self.0.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            chunk.copy_from_slice(&round.to_le_bytes()[..chunk.len()]);
        }
    }
}

fn person(digit: char) -> PersonId {
    PersonId::new(digit.to_string().repeat(32)).unwrap()
}

fn wrapping(digit: char) -> WrappingKeys {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wrapping.keys");
    std::fs::write(&file, digit.to_string().repeat(64)).unwrap();
    WrappingKeys::read(&file).unwrap()
}

async fn store(server: &NatsServer, entropy: &SharedEntropy, wrapping: WrappingKeys) -> JetStreamKeyStore {
    let bucket = Bucket::open(&Connection::to(server.url()), 1, true).await.unwrap();
    JetStreamKeyStore::new(bucket, wrapping, entropy.clone())
}

fn entropy() -> SharedEntropy {
    Arc::new(Different::default())
}

/// Whether any file below `folder` holds these bytes.
fn is_in_a_file(folder: &Path, bytes: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return is_in_a_file(&path, bytes);
        }
        std::fs::read(path).unwrap().windows(bytes.len()).any(|window| window == bytes)
    })
}

#[tokio::test]
async fn two_replicas_conform() {
    let server = NatsServer::start(NatsOptions::default()).await.unwrap();
    let entropy = entropy();
    let one = store(&server, &entropy, wrapping('1')).await;
    let other = store(&server, &entropy, wrapping('1')).await;
    conformance::holds(&one, &other).await;
}

#[tokio::test]
async fn keys_survive_the_server_and_while_it_is_down_the_store_says_so() {
    let mut server = NatsServer::start(NatsOptions::default()).await.unwrap();
    let entropy = entropy();
    let one = store(&server, &entropy, wrapping('1')).await;
    let key = one.obtain(&person('a')).await.unwrap();
    server.kill();
    for outcome in [
        one.find(&person('a')).await.err(),
        one.obtain(&person('b')).await.err(),
        one.erase(&person('a')).await.err(),
    ] {
        assert!(matches!(outcome, Some(KeyStoreError::Unavailable(_))), "without a server: {outcome:?}");
    }
    server.restart().await.unwrap();
    let other = store(&server, &entropy, wrapping('1')).await;
    assert_eq!(other.find(&person('a')).await.unwrap(), Some(key));
    assert_eq!(other.find(&person('b')).await.unwrap(), None);
}

#[tokio::test]
async fn an_erased_key_is_in_no_file_of_the_server_and_no_other_ever_was() {
    let mut server = NatsServer::start(NatsOptions::default()).await.unwrap();
    let entropy = entropy();
    let store = store(&server, &entropy, wrapping('1')).await;
    let secret = *store.obtain(&person('a')).await.unwrap().secret();
    store.obtain(&person('b')).await.unwrap();
    let client = async_nats::connect(server.url()).await.unwrap();
    let stream = async_nats::jetstream::new(client).get_stream(STREAM).await.unwrap();
    let wrapped = stream.get_raw_message(1).await.unwrap().payload;
    assert!(is_in_a_file(server.store(), &wrapped), "this would find nothing");
    assert!(!is_in_a_file(server.store(), &secret), "a key is stored as it is");
    assert!(store.erase(&person('a')).await.unwrap());
    assert!(!is_in_a_file(server.store(), &wrapped));
    server.restart().await.unwrap();
    assert!(!is_in_a_file(server.store(), &wrapped));
}

#[tokio::test]
async fn a_key_under_another_wrapping_key_is_an_error_and_not_erased() {
    let server = NatsServer::start(NatsOptions::default()).await.unwrap();
    let entropy = entropy();
    let one = store(&server, &entropy, wrapping('1')).await;
    let key = one.obtain(&person('a')).await.unwrap();
    let other = store(&server, &entropy, wrapping('2')).await;
    for outcome in [other.find(&person('a')).await.err(), other.obtain(&person('a')).await.err()] {
        let told = matches!(outcome, Some(KeyStoreError::Unusable { wrapping_key_missing: true, .. }));
        assert!(told, "{outcome:?}");
    }
    assert_eq!(one.find(&person('a')).await.unwrap(), Some(key));
}

#[tokio::test]
async fn what_is_no_key_is_about_its_person_alone_until_it_is_erased() {
    let server = NatsServer::start(NatsOptions::default()).await.unwrap();
    let entropy = entropy();
    let store = store(&server, &entropy, wrapping('1')).await;
    let context = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
    for rubbish in ["", "x"] {
        let stored =
            context.publish(format!("{PREFIX}{}", person('a').as_str()), rubbish.into()).await.unwrap();
        stored.await.unwrap();
        for outcome in [store.find(&person('a')).await.err(), store.obtain(&person('a')).await.err()] {
            let told = matches!(outcome, Some(KeyStoreError::Unusable { wrapping_key_missing: false, .. }));
            assert!(told, "{outcome:?}");
        }
        store.obtain(&person('b')).await.unwrap();
        assert!(store.erase(&person('a')).await.unwrap());
    }
    store.obtain(&person('a')).await.unwrap();
}

#[tokio::test]
async fn what_is_under_no_persons_id_hides_nobody() {
    let server = NatsServer::start(NatsOptions::default()).await.unwrap();
    let store = store(&server, &entropy(), wrapping('1')).await;
    store.obtain(&person('a')).await.unwrap();
    let context = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
    for strange in ["nobody", "Ada", "two.tokens"] {
        let stored = context.publish(format!("{PREFIX}{strange}"), "x".into()).await.unwrap();
        stored.await.unwrap();
    }
    store.obtain(&person('b')).await.unwrap();
    assert_eq!(store.people().await.unwrap(), [person('a'), person('b')].into());
}

#[tokio::test]
async fn a_bucket_that_keeps_what_is_erased_is_refused_and_left_as_it_is() {
    let server = NatsServer::start(NatsOptions::default()).await.unwrap();
    let client = async_nats::connect(server.url()).await.unwrap();
    let context = async_nats::jetstream::new(client);
    let loose = async_nats::jetstream::stream::Config { max_messages_per_subject: 64, ..bucket_config(1) };
    context.create_stream(loose).await.unwrap();
    let refused = Bucket::open(&Connection::to(server.url()), 1, true).await.err().unwrap();
    assert!(
        matches!(&refused, KeyStoreError::Unsafe(why) if why.contains("max_msgs_per_subject")),
        "{refused}"
    );
    let info = context.get_stream(STREAM).await.unwrap().cached_info().clone();
    assert_eq!(info.config.max_messages_per_subject, 64);
    // Three copies are not to be had from one server.
    assert!(Bucket::open(&Connection::to(server.url()), 3, false).await.is_err());
}

//! `daypass keys`: a key that cannot be used is told, taken away and brought back, on both engines, with `daypass` alone.

use crate::given::{daypass, keys_on, make_keys, wrapping_keys};
use domain::PersonId;
use service_runtime::clock::SystemEntropy;
use std::sync::Arc;
use tempfile::TempDir;
use test_servers::nats::{NatsOptions, NatsServer};
use wiring::{KeysSection, key_store};

/// The id of somebody who has a key in what [`make_keys`] makes.
fn id(person: u8) -> String {
    format!("{person:032x}")
}

/// Of three keys in `store`, which were copied to `backup`, the one of person 1 was damaged since.
async fn is_mended(store: &str, backup: &str, options: &[&str]) {
    let keys = async |words: &[&str]| daypass(&[&["keys"][..], words, options].concat()).await;
    let (damaged, well) = (id(1), id(2));
    let (code, told, complaint) = keys(&["check", store]).await;
    assert_eq!(code, Some(1), "{told}{complaint}");
    assert!(told.starts_with(&format!("the key of {damaged} cannot be used: ")), "{told}");
    assert!(told.ends_with("\n3 keys, 1 cannot be used") && told.lines().count() == 2, "{told}");
    let (code, told, _) = keys(&["check", store, "--person", &well]).await;
    assert_eq!((code, told.as_str()), (Some(0), "1 keys, 0 cannot be used"));
    let (code, told, _) = keys(&["check", backup, "--person", &damaged]).await;
    assert_eq!((code, told.as_str()), (Some(0), "1 keys, 0 cannot be used"));

    // Whoever makes a backup now hears whose key is not in it.
    let (code, told, complaint) = keys(&["copy", store, &format!("{backup}.next")]).await;
    assert_eq!(code, Some(0), "{complaint}");
    assert!(
        told.ends_with("1 cannot be used and were left out") && complaint.contains(&damaged),
        "{complaint}"
    );

    let (code, _, complaint) = keys(&["discard", store, "--person", &well]).await;
    assert!(code == Some(1) && complaint.contains("it can be used"), "{complaint}");
    let (code, _, complaint) = keys(&["copy", backup, store, "--person", &damaged]).await;
    assert!(code == Some(1) && complaint.contains("cannot be used"), "{complaint}");
    let (code, told, complaint) = keys(&["discard", store, "--person", &damaged]).await;
    assert!(code == Some(0) && told.ends_with("it was taken away"), "{told}{complaint}");
    let (code, _, complaint) = keys(&["check", store, "--person", &damaged]).await;
    assert!(code == Some(1) && complaint.contains("has no key"), "{complaint}");
    let (code, told, complaint) = keys(&["copy", backup, store, "--person", &damaged]).await;
    assert_eq!((code, told.as_str()), (Some(0), "1 keys copied, 0 were there"), "{complaint}");
    let (code, told, _) = keys(&["check", store]).await;
    assert_eq!((code, told.as_str()), (Some(0), "3 keys, 0 cannot be used"));
}

#[tokio::test]
async fn a_damaged_key_in_a_file_is_told_taken_away_and_brought_back() {
    let folder = TempDir::new().unwrap();
    let path = |file: &str| folder.path().join(file).display().to_string();
    let (store, backup) = (path("keys.db"), path("backup.db"));
    make_keys(&KeysSection::Sqlite { path: store.clone().into() }, 3).await;
    daypass(&["keys", "copy", &store, &backup]).await;
    let damage = "UPDATE person_key SET secret = x'00' WHERE person = ?1";
    rusqlite::Connection::open(&store).unwrap().execute(damage, [id(1)]).unwrap();
    is_mended(&store, &backup, &[]).await;
}

#[tokio::test]
async fn a_damaged_key_on_nats_is_told_taken_away_and_brought_back() {
    let folder = TempDir::new().unwrap();
    let backup = folder.path().join("backup.db").display().to_string();
    let wrapping = wrapping_keys(folder.path(), '1');
    let server = NatsServer::start(NatsOptions::default()).await.unwrap();
    let section = keys_on(&server.url(), &wrapping);
    make_keys(&section, 3).await;
    let words = wrapping.display().to_string();
    let options = ["--nats-dev", "--wrapping-keys", &words];
    daypass(&[&["keys", "copy", &server.url(), &backup][..], &options[..]].concat()).await;
    // What is there is not overwritten, not even by this test.
    let person = PersonId::new(id(1)).unwrap();
    key_store::open(&section, Arc::new(SystemEntropy)).await.unwrap().erase(&person).await.unwrap();
    let context = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let stored =
        context.publish(format!("{}{}", wiring::nats::KEYS_PREFIX, id(1)), "x".into()).await.unwrap();
    stored.await.unwrap();
    is_mended(&server.url(), &backup, &options).await;
}

#[tokio::test]
async fn what_a_missing_wrapping_key_may_read_again_stays_until_that_one_is_given_up() {
    let folder = TempDir::new().unwrap();
    let (right, wrong) = (wrapping_keys(folder.path(), '1'), wrapping_keys(folder.path(), '2'));
    let (right_words, wrong_words) = (right.display().to_string(), wrong.display().to_string());
    let server = NatsServer::start(NatsOptions::default()).await.unwrap();
    let url = server.url();
    make_keys(&keys_on(&url, &right), 2).await;
    let keys = async |verb: &str, wrapping: &str, more: &[&str]| {
        let words = ["keys", verb, &url, "--nats-dev", "--wrapping-keys", wrapping];
        daypass(&[&words[..], more].concat()).await
    };
    let person = id(1);
    let (code, told, _) = keys("check", &wrong_words, &[]).await;
    assert!(code == Some(1) && told.ends_with("2 keys, 2 cannot be used"), "{told}");
    assert!(told.contains("not in the file of wrapping keys"), "{told}");
    let (code, _, complaint) = keys("discard", &wrong_words, &["--person", &person]).await;
    assert!(code == Some(1) && complaint.contains("--wrapping-key-is-lost"), "{complaint}");
    let (code, told, _) = keys("check", &right_words, &[]).await;
    assert_eq!((code, told.as_str()), (Some(0), "2 keys, 0 cannot be used"));

    let given_up = ["--person", &person, "--wrapping-key-is-lost"];
    let (code, _, complaint) = keys("discard", &right_words, &given_up).await;
    assert!(code == Some(1) && complaint.contains("it can be used"), "{complaint}");
    let (code, _, complaint) = keys("discard", &wrong_words, &given_up).await;
    assert_eq!(code, Some(0), "{complaint}");
    let (_, told, _) = keys("check", &right_words, &[]).await;
    assert_eq!(told, "1 keys, 0 cannot be used");
}

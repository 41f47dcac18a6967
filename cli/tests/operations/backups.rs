//! Logs and key stores that are copied out of NATS and back.

use crate::given::{daypass, keys_on, log_on, make_keys, make_log, wrapping_keys};
use domain::PersonId;
use service_runtime::clock::SystemEntropy;
use std::sync::Arc;
use tempfile::TempDir;
use test_servers::nats::{NatsOptions, NatsServer};
use wiring::{KeysSection, key_store};

#[tokio::test]
async fn a_log_on_nats_is_backed_up_to_a_file_and_restored_to_other_servers_and_not_to_its_own() {
    let folder = TempDir::new().unwrap();
    let backup = folder.path().join("backup.db").display().to_string();
    let lost = NatsServer::start(NatsOptions::default()).await.unwrap();
    let new = NatsServer::start(NatsOptions::default()).await.unwrap();
    make_log(&log_on(vec![lost.url()], vec![lost.monitoring_url().unwrap()], 1)).await;
    let on = |server: &NatsServer| {
        [server.url(), format!("--nats-monitoring={}", server.monitoring_url().unwrap())]
    };
    let [lost_url, lost_monitoring] = on(&lost);
    let [new_url, new_monitoring] = on(&new);
    // A policy makes an event.
    let dev = folder.path().join("dev.db").display().to_string();
    crate::given::seed(&dev).await;
    let (code, _, complaint) =
        daypass(&["log", "copy", &dev, &lost_url, "--nats-dev", &lost_monitoring]).await;
    assert_eq!(code, Some(0), "{complaint}");
    daypass(&["log", "copy", &lost_url, &backup, "--nats-dev", &lost_monitoring]).await;

    let (code, told, complaint) =
        daypass(&["log", "restore", &backup, &new_url, "--nats-dev", &new_monitoring]).await;
    assert_eq!(code, Some(0), "{complaint}");
    assert!(told.starts_with("1 events restored to a new log"), "{told}");
    let (code, told, _) =
        daypass(&["log", "restore", &backup, &new_url, "--resume", "--nats-dev", &new_monitoring]).await;
    assert!(code == Some(0) && told.contains("nothing is left to do"), "{told}");
    let (code, _, complaint) =
        daypass(&["log", "restore", &backup, &lost_url, "--nats-dev", &lost_monitoring]).await;
    assert_eq!(code, Some(1));
    assert!(complaint.contains("the target has events"), "{complaint}");
    // What is not there is not made by reading it.
    let empty = NatsServer::start(NatsOptions::default()).await.unwrap();
    let [empty_url, empty_monitoring] = on(&empty);
    let other = folder.path().join("other.db").display().to_string();
    let (code, _, complaint) =
        daypass(&["log", "copy", &empty_url, &other, "--nats-dev", &empty_monitoring]).await;
    assert!(code == Some(1) && complaint.contains("DAYPASS_LOG is not there"), "{complaint}");
}

#[tokio::test]
async fn keys_go_to_a_file_and_back_and_replace_nobodys() {
    let folder = TempDir::new().unwrap();
    let wrapping = wrapping_keys(folder.path(), '1');
    let (file, words) = (folder.path().join("backup.db"), wrapping.display().to_string());
    let shown = file.display().to_string();
    let (lost, new) = (
        NatsServer::start(NatsOptions::default()).await.unwrap(),
        NatsServer::start(NatsOptions::default()).await.unwrap(),
    );
    make_keys(&keys_on(&lost.url(), &wrapping), 3).await;
    let options = ["--nats-dev", "--wrapping-keys", &words];
    let copy =
        async |from: &str, to: &str| daypass(&[&["keys", "copy", from, to], &options[..]].concat()).await;
    let (code, told, complaint) = copy(&lost.url(), &shown).await;
    assert_eq!((code, told.as_str()), (Some(0), "3 keys copied, 0 were there"), "{complaint}");
    let (_, told, _) = copy(&shown, &new.url()).await;
    assert_eq!(told, "3 keys copied, 0 were there");
    let (_, told, _) = copy(&shown, &new.url()).await;
    assert_eq!(told, "0 keys copied, 3 were there");

    let open = async |keys: &KeysSection| key_store::open(keys, Arc::new(SystemEntropy)).await.unwrap();
    let person = PersonId::new(format!("{:032x}", 1)).unwrap();
    let (original, restored) =
        (open(&keys_on(&lost.url(), &wrapping)).await, open(&keys_on(&new.url(), &wrapping)).await);
    assert_eq!(original.find(&person).await.unwrap(), restored.find(&person).await.unwrap());
    // Somebody's key is another one meanwhile.
    restored.erase(&person).await.unwrap();
    restored.obtain(&person).await.unwrap();
    let (code, _, complaint) = copy(&shown, &new.url()).await;
    assert!(code == Some(1) && complaint.contains("1 people have another key"), "{complaint}");
}

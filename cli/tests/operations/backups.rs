//! Logs and key stores that are copied out of NATS and back.

use crate::given::{daypass, keys_on, log_on, make_keys, make_log, wrapping_keys};
use async_nats::HeaderMap;
use async_nats::jetstream::Context;
use domain::{EventId, PersonId};
use event_log::{Envelope, EventLog, Expected, Position, Revision, Writer};
use futures::TryStreamExt as _;
use service_runtime::clock::SystemEntropy;
use service_runtime::config::LogConfig;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use test_servers::nats::{NatsOptions, NatsServer};
use wiring::{KeysSection, engine, key_store};

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

/// An event of no meaning has this id and this body.
fn event(stream: &str, revision: u64) -> (EventId, String) {
    let id = EventId::from_parts([stream.as_bytes(), revision.to_be_bytes().as_slice()]);
    (id, format!("{stream} {revision}"))
}

/// Appends an event of no meaning.
async fn append(log: &dyn EventLog, stream: &str, revision: u64) {
    let (id, body) = event(stream, revision);
    let envelope =
        Envelope { event_id: *id.as_uuid(), writer: Writer::new("audit").unwrap(), body: body.into() };
    let expected = Expected::after(revision.checked_sub(1).map(Revision));
    log.append(&stream.parse().unwrap(), expected, envelope).await.unwrap();
}

/// The headers of a message that looks like an event.
fn well_formed(id: &str, revision: u64) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("Daypass-Event-Id", id);
    headers.insert("Daypass-Revision", revision.to_string());
    headers
}

/// Publishes what no engine has written, and waits until it is stored.
async fn publish(jetstream: &Context, subject: &str, headers: HeaderMap, body: &str) {
    let subject = subject.to_owned();
    let sent = jetstream.publish_with_headers(subject, headers, body.to_owned().into()).await.unwrap();
    sent.await.unwrap();
}

/// A client that may do anything.
async fn anybody(server: &NatsServer) -> Context {
    async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap())
}

/// Stream and ordinal of every event of a log in a file, in its order.
async fn events_of(file: &Path) -> Vec<(String, u64)> {
    let log = LogConfig::Sqlite { path: file.to_owned() };
    let log = engine::open_read_only(&log, &SystemEntropy).await.unwrap();
    let events = log.read_all(Position::START);
    events.map_ok(|event| (event.stream.to_string(), event.revision.0)).try_collect().await.unwrap()
}

#[tokio::test]
async fn what_is_no_event_is_left_out_with_what_follows_in_its_stream_and_all_else_is_copied_and_restored() {
    let folder = TempDir::new().unwrap();
    let server = NatsServer::start(NatsOptions::default()).await.unwrap();
    let monitoring = server.monitoring_url().unwrap();
    let config = log_on(vec![server.url()], vec![monitoring.clone()], 1);
    let log = engine::open(&config, &SystemEntropy).await.unwrap().log;
    append(log.as_ref(), "duty-good", 0).await;
    append(log.as_ref(), "duty-poisoned", 0).await;
    let jetstream = anybody(&server).await;
    for (subject, headers) in [
        ("daypass.log.audit.duty.poisoned", HeaderMap::new()),
        ("daypass.log.audit.duty.poisoned", well_formed("0190b5a8-0000-8000-8000-000000000001", 1)),
        ("daypass.log.audit.DUTY.x", HeaderMap::new()),
        ("daypass.log.audit.duty.gap", well_formed("0190b5a8-0000-8000-8000-000000000002", 5)),
    ] {
        publish(&jetstream, subject, headers, "x").await;
    }
    append(log.as_ref(), "duty-later", 0).await;

    let (url, monitoring) = (server.url(), format!("--nats-monitoring={monitoring}"));
    let file = folder.path().join("backup.db");
    let shown = file.display().to_string();
    let copy = async || daypass(&["log", "copy", &url, &shown, "--nats-dev", &monitoring]).await;
    let (code, told, complaint) = copy().await;
    assert_eq!((code, told.as_str()), (Some(0), "3 events copied; 3 streams were cut short"), "{complaint}");
    for stream in ["duty-poisoned: ", "stray-5: ", "duty-gap: "] {
        assert_eq!(complaint.lines().filter(|line| line.starts_with(stream)).count(), 1, "{complaint}");
    }
    let whole =
        |events: &[&str]| events.iter().map(|stream| ((*stream).to_owned(), 0_u64)).collect::<Vec<_>>();
    assert_eq!(events_of(&file).await, whole(&["duty-good", "duty-poisoned", "duty-later"]));
    // The next night.
    append(log.as_ref(), "duty-good", 1).await;
    let (code, told, complaint) = copy().await;
    assert_eq!((code, told.as_str()), (Some(0), "1 events copied; 3 streams were cut short"), "{complaint}");
    assert_eq!(events_of(&file).await.last(), Some(&("duty-good".to_owned(), 1)));

    // From the servers themselves, and then once more, as if it had been cut short.
    let new = folder.path().join("new.db").display().to_string();
    let (code, told, complaint) = daypass(&["log", "restore", &url, &new, "--nats-dev", &monitoring]).await;
    assert_eq!(code, Some(0), "{complaint}");
    assert!(told.starts_with("4 events restored") && told.ends_with("; 3 streams were cut short"), "{told}");
    assert!(complaint.contains("duty-poisoned: "), "{complaint}");
    let (code, told, complaint) =
        daypass(&["log", "restore", &url, &new, "--resume", "--nats-dev", &monitoring]).await;
    assert!(code == Some(0) && told.contains("nothing is left to do"), "{told}{complaint}");
}

#[tokio::test]
async fn an_id_that_is_twice_in_a_stream_ends_it_there_and_all_else_is_copied_and_restored() {
    let folder = TempDir::new().unwrap();
    let server = NatsServer::start(NatsOptions::default()).await.unwrap();
    let monitoring = server.monitoring_url().unwrap();
    let config = log_on(vec![server.url()], vec![monitoring.clone()], 1);
    let log = engine::open(&config, &SystemEntropy).await.unwrap().log;
    for stream in ["duty-good", "duty-same", "duty-forged"] {
        append(log.as_ref(), stream, 0).await;
    }
    let jetstream = anybody(&server).await;
    // Once more in its stream, with its body and with another; and in another stream, where it takes nothing away.
    for (of, subject, revision, body) in [
        ("duty-same", "daypass.log.audit.duty.same", 1, event("duty-same", 0).1.as_str()),
        ("duty-forged", "daypass.log.audit.duty.forged", 1, "x"),
        ("duty-good", "daypass.log.audit.duty.elsewhere", 0, "x"),
    ] {
        publish(&jetstream, subject, well_formed(&event(of, 0).0.to_string(), revision), body).await;
    }
    append(log.as_ref(), "duty-later", 0).await;

    let (url, monitoring) = (server.url(), format!("--nats-monitoring={monitoring}"));
    let file = folder.path().join("backup.db");
    let shown = file.display().to_string();
    let run = async |verb: &[&str]| {
        daypass(&[&["log"], verb, &[url.as_str(), &shown, "--nats-dev", &monitoring]].concat()).await
    };
    let (code, told, complaint) = run(&["copy"]).await;
    assert_eq!((code, told.as_str()), (Some(0), "5 events copied; 2 streams were cut short"), "{complaint}");
    for (stream, position) in [("duty-same", 4), ("duty-forged", 5)] {
        let line =
            format!("{stream}: cut short, what is at position {position} has the id of an event before it");
        assert!(complaint.contains(&line), "{complaint}");
    }
    let streams: Vec<String> = events_of(&file).await.into_iter().map(|(stream, _)| stream).collect();
    assert_eq!(streams, ["duty-good", "duty-same", "duty-forged", "duty-elsewhere", "duty-later"]);
    // The next night.
    append(log.as_ref(), "duty-good", 1).await;
    let (code, told, complaint) = run(&["copy"]).await;
    assert_eq!((code, told.as_str()), (Some(0), "1 events copied; 2 streams were cut short"), "{complaint}");

    // A restore that was cut short before its last event: it left out the same.
    append(log.as_ref(), "duty-later", 1).await;
    let (code, told, complaint) = run(&["restore", "--resume"]).await;
    assert_eq!(code, Some(0), "{complaint}");
    assert!(told.starts_with("7 events restored") && told.ends_with("; 2 streams were cut short"), "{told}");
}

#[tokio::test]
async fn a_target_that_somebody_else_has_written_to_is_refused_with_what_to_do() {
    const WHAT_TO_DO: &str = "make a new one (another file, NATS servers on empty volumes,";
    let folder = TempDir::new().unwrap();
    let backup = folder.path().join("backup.db").display().to_string();
    let source =
        engine::open(&LogConfig::Sqlite { path: backup.as_str().into() }, &SystemEntropy).await.unwrap();
    for stream in ["duty-good", "duty-poisoned"] {
        append(source.log.as_ref(), stream, 0).await;
    }
    source.close().await;
    let server = NatsServer::start(NatsOptions::default()).await.unwrap();
    let monitoring = server.monitoring_url().unwrap();
    make_log(&log_on(vec![server.url()], vec![monitoring.clone()], 1)).await;
    publish(&anybody(&server).await, "daypass.log.audit.duty.poisoned", HeaderMap::new(), "x").await;

    let (url, monitoring) = (server.url(), format!("--nats-monitoring={monitoring}"));
    for (verb, found) in [
        (&["copy"][..], "duty-poisoned: the target holds there what is no event"),
        (&["restore", "--resume"][..], "position 1 what the backup has not there, in duty-poisoned"),
    ] {
        let words = [&["log"], verb, &[backup.as_str(), &url, "--nats-dev", &monitoring]].concat();
        let (code, told, complaint) = daypass(&words).await;
        assert_eq!((code, told.as_str()), (Some(1), ""), "{verb:?}");
        assert!(complaint.contains(found) && complaint.contains(WHAT_TO_DO), "{verb:?}: {complaint}");
    }
}

#[tokio::test]
async fn a_name_of_kurrentdb_is_no_file() {
    let folder = TempDir::new().unwrap();
    let other = folder.path().join("other.db").display().to_string();
    // Refused by a program with KurrentDB as well: a password is in a file.
    let name = "kurrentdb+discover://ops:canary@127.0.0.1:1";
    for words in [
        ["log", "copy", name, &other],
        ["log", "copy", &other, name],
        ["log", "restore", name, &other],
        ["log", "restore", &other, name],
        ["keys", "copy", name, &other],
        ["keys", "copy", &other, name],
    ] {
        let (code, told, complaint) = daypass(&words).await;
        assert_eq!((code, told.as_str()), (Some(2), ""), "{words:?}: {complaint}");
        assert!(complaint.contains("KurrentDB") || complaint.contains("password"), "{words:?}: {complaint}");
        assert!(!complaint.contains("canary"), "{words:?}: {complaint}");
        assert!(!Path::new(&other).exists(), "{words:?}");
    }
}

#[tokio::test]
async fn what_libraries_warn_of_is_on_standard_error_and_leaves_the_answer_as_it_is() {
    let folder = TempDir::new().unwrap();
    let server = NatsServer::start(NatsOptions::default()).await.unwrap();
    let (url, monitoring) = (server.url(), server.monitoring_url().unwrap());
    let wrapping = wrapping_keys(folder.path(), '1');
    make_log(&log_on(vec![server.url()], vec![monitoring.clone()], 1)).await;
    make_keys(&keys_on(&url, &wrapping), 1).await;
    let jetstream = anybody(&server).await;
    publish(&jetstream, "daypass.log.audit.duty.poisoned", HeaderMap::new(), "x").await;
    publish(&jetstream, "$KV.DAYPASS_KEYS.nobody", HeaderMap::new(), "x").await;
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (monitoring, wrapping) =
        (format!("--nats-monitoring={monitoring}"), format!("--wrapping-keys={}", wrapping.display()));

    let (code, told, complaint) =
        daypass(&["log", "copy", &url, &path("log.db"), "--nats-dev", &monitoring]).await;
    assert_eq!((code, told.as_str()), (Some(0), "0 events copied; 1 stream was cut short"), "{complaint}");
    let subject = "a message in the log is no event subject=\"daypass.log.audit.duty.poisoned\"";
    assert!(complaint.contains(subject), "{complaint}");
    let (code, told, complaint) =
        daypass(&["keys", "copy", &url, &path("keys.db"), "--nats-dev", &wrapping]).await;
    assert_eq!((code, told.as_str()), (Some(0), "1 keys copied, 0 were there"), "{complaint}");
    let passed_over = "entries of the key store that are nobody's key are passed over strange=1";
    assert!(complaint.contains(passed_over), "{complaint}");
    // Nothing that went well is told there.
    assert!(!complaint.contains("INFO"), "{complaint}");
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

//! History: replayed, exported, folded again, and copied from one engine to another.

use crate::deployment::Deployment;
use crate::job::{Told, get};
use crate::world::{World, now, run};
use api::audit::v1::{EventFilter, ListEventsRequest, ReplayRequest};
use api::types::v1::Request;
use aws::{Directory, DirectorySource as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use domain::RequestId;
use event_log::{EventLog as _, Position};
use event_log_sqlite::SqliteLog;
use futures::TryStreamExt as _;
use journal::{Event, Stream};
use serde_json::Value;
use service_runtime::clock::SystemEntropy;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use test_servers::nats::{NatsOptions, NatsServer};
use tonic::Code;
use views::remote_directory::GrpcDirectory;
use views::{Story, resource};

/// Eve, who audits, is told every story in full; what she exports adds up to what Ada sees; and nobody else is told. Gives back the
/// exported bytes.
pub(crate) async fn is_all_there(world: &World, deployment: &Deployment, told: &Told) -> Vec<Vec<u8>> {
    for (id, expected) in &told.stories {
        let replayed = replay(world, deployment, id).await;
        assert_eq!(replayed, *expected, "of {id}");
    }
    let refused = world.audit(deployment, "dave").replay(ReplayRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "an administrator is no auditor");

    let exported = export(world, deployment).await;
    let folded = fold(world, deployment, &exported).await;
    assert_eq!(folded.len(), told.stories.len());
    for (id, request) in folded {
        assert_eq!(request, get(world, deployment, &id.to_string()).await);
    }
    exported
}

/// The stored types of the events of a request, as `daypass audit replay` prints them for programs and for people.
async fn replay(world: &World, deployment: &Deployment, id: &str) -> Vec<String> {
    let printed =
        world.daypass(deployment, "eve", &["audit", "replay", id, "--output", "json"]).await.unwrap();
    let events: Value = serde_json::from_str(&printed).unwrap();
    let events = events.as_array().unwrap();
    let types = events.iter().map(|event| event.get("eventType").unwrap().as_str().unwrap().to_owned());
    let types: Vec<String> = types.collect();
    // Why, and who: sealed in the log, opened for the auditor.
    let justification = events.first().unwrap().pointer("/payload/justification").unwrap();
    assert!(justification.as_str().is_some_and(|text| !text.is_empty()), "{justification}");

    let printed = world.daypass(deployment, "eve", &["audit", "replay", id]).await.unwrap();
    // An event begins with its time and its type; what it says is indented.
    let lines = printed.lines().filter(|line| !line.starts_with(' '));
    let for_people: Vec<&str> = lines.filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(for_people, types, "{printed}");
    types
}

/// How many events of this type audit tells, if it answers.
pub(crate) async fn recorded(world: &World, deployment: &Deployment, event: &str) -> Option<usize> {
    let filter = EventFilter { event_types: vec![event.to_owned()], ..EventFilter::default() };
    let message = ListEventsRequest { filter: Some(filter), page_size: 1_000, ..Default::default() };
    let listed = world.audit(deployment, "eve").list_events(message).await.ok()?;
    Some(listed.into_inner().events.len())
}

/// The stored bytes of every event, in the order of the log, as `daypass audit export` writes them.
pub(crate) async fn export(world: &World, deployment: &Deployment) -> Vec<Vec<u8>> {
    let file = world.folder().join("history.jsonl");
    let arguments = ["audit", "export", "--format", "jsonl", "--out", file.to_str().unwrap()];
    world.daypass(deployment, "eve", &arguments).await.unwrap();
    let text = std::fs::read_to_string(file).unwrap();
    let envelope = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap();
        assert_eq!(event.get("undecodable"), None, "{event}");
        BASE64.decode(event.get("envelope").unwrap().as_str().unwrap()).unwrap()
    };
    text.lines().map(envelope).collect()
}

/// Every request, as the exported events alone make it, shown as Ada would see it.
async fn fold(world: &World, deployment: &Deployment, exported: &[Vec<u8>]) -> BTreeMap<RequestId, Request> {
    let mut streams: BTreeMap<RequestId, Vec<Event>> = BTreeMap::new();
    for body in exported {
        let event = journal::decode(body).unwrap();
        if let Stream::Request(id) = event.stream {
            streams.entry(id).or_default().push(event);
        }
    }
    let contents = GrpcDirectory::new(world.directory(deployment)).fetch().await.unwrap();
    let directory = Directory::new(now(), contents);
    let keys = wiring::key_store::open(&deployment.keys, Arc::new(SystemEntropy)).await.unwrap();
    let mut shown = BTreeMap::new();
    for (id, events) in streams {
        let story = Story::fold(events, Position::START).unwrap();
        let justification = resource::justification(keys.as_ref(), &story).await;
        shown.insert(id, resource::request(&story, Some(&directory), justification, now()));
    }
    shown
}

/// From SQLite to JetStream and back, the log has the same events with the same bytes in the same order: those that were exported.
pub(crate) async fn survives_being_copied(world: &World, mut deployment: Deployment, exported: &[Vec<u8>]) {
    deployment.kill();
    let nats = NatsServer::start(NatsOptions::default()).await.unwrap();
    let back = world.folder().join("back.db");
    let (server, back_file) = (nats.url(), back.display().to_string());
    let options = ["--nats-dev".to_owned(), format!("--nats-monitoring={}", nats.monitoring_url().unwrap())];
    let all = format!("{} events copied", exported.len());
    assert_eq!(copy(&deployment.log, &server, &options).await, all);
    assert_eq!(copy(&server, &back_file, &options).await, all);
    let original = events(Path::new(&deployment.log)).await;
    assert_eq!(bodies(&original), exported);
    assert_eq!(events(&back).await, original);
    // What is there already is not copied again.
    assert_eq!(copy(&deployment.log, &server, &options).await, "0 events copied");
}

/// A copy of a log on JetStream, made while everything runs, has the bytes that were exported.
pub(crate) async fn is_in_the_log(world: &World, deployment: &Deployment, exported: &[Vec<u8>]) {
    let file = world.folder().join("copy.db");
    let options = deployment.nats.as_ref().unwrap().options("log-backup");
    copy(&deployment.log, &file.display().to_string(), &options).await;
    assert_eq!(bodies(&events(&file).await), exported);
}

async fn copy(from: &str, to: &str, options: &[String]) -> String {
    let mut arguments = ["log", "copy", from, to].map(ToOwned::to_owned).to_vec();
    arguments.extend_from_slice(options);
    run(&arguments).await.unwrap().trim().to_owned()
}

/// Stream, ordinal, writer and stored bytes of an event.
type Stored = (String, u64, String, Vec<u8>);

fn bodies(events: &[Stored]) -> Vec<Vec<u8>> {
    events.iter().map(|(.., body)| body.clone()).collect()
}

/// Every event, in the order of the log.
async fn events(file: &Path) -> Vec<Stored> {
    let log = SqliteLog::open_read_only(file).unwrap();
    let read = log.read_all(Position::START).map_ok(|event| {
        let envelope = event.envelope;
        (event.stream.to_string(), event.revision.0, envelope.writer.to_string(), envelope.body.to_vec())
    });
    read.try_collect().await.unwrap()
}

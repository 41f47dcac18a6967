//! Servers and streams that could lose or change events are refused, by name, and left as they are.

use crate::given::{ID, config, open, server};
use async_nats::jetstream::stream::{
    Config, DiscardPolicy, PersistenceMode, Republish, RetentionPolicy, Source, StorageType, SubjectTransform,
};
use event_log::{EventLog, LogError};
use event_log_jetstream::{ID_KEY, JetStreamConfig, JetStreamLog, STREAM, stream_config};
use std::time::Duration;
use test_servers::nats::{NatsOptions, NatsServer};
use uuid::Uuid;

type Unsafe = (&'static str, fn(&mut Config));

/// A name, and the least that makes the server accept a stream with it.
const UNSAFE: [Unsafe; 25] = [
    ("storage", |config| config.storage = StorageType::Memory),
    ("retention", |config| config.retention = RetentionPolicy::Interest),
    ("discard", |config| config.discard = DiscardPolicy::Old),
    ("subjects", |config| config.subjects = vec!["daypass.log.request.>".into()]),
    ("max_age", |config| config.max_age = Duration::from_hours(24 * 3_650)),
    ("max_msgs", |config| config.max_messages = 1_000_000_000),
    ("max_bytes", |config| config.max_bytes = 1 << 30),
    ("max_msgs_per_subject", |config| config.max_messages_per_subject = 1_000),
    ("max_msg_size", |config| config.max_message_size = 1_000),
    ("deny_delete", |config| config.deny_delete = false),
    ("deny_purge", |config| config.deny_purge = false),
    ("allow_rollup_hdrs", |config| (config.deny_purge, config.allow_rollup) = (false, true)),
    ("allow_msg_ttl", |config| config.allow_message_ttl = true),
    ("subject_delete_marker_ttl", |config| {
        config.subject_delete_marker_ttl = Some(Duration::from_mins(1));
        (config.allow_message_ttl, config.allow_rollup, config.deny_purge) = (true, true, false);
    }),
    ("allow_msg_schedules", |config| {
        (config.allow_message_schedules, config.discard) = (true, DiscardPolicy::Old);
    }),
    ("allow_msg_counter", |config| {
        (config.allow_message_counter, config.discard) = (true, DiscardPolicy::Old);
    }),
    ("allow_atomic", |config| config.allow_atomic_publish = true),
    ("allow_batched", |config| config.allow_batch_publish = true),
    ("persist_mode", |config| config.persist_mode = Some(PersistenceMode::Async)),
    ("no_ack", |config| config.no_ack = true),
    ("mirror", |config| {
        config.subjects.clear();
        config.mirror = Some(source());
    }),
    ("sources", |config| config.sources = Some(vec![source()])),
    ("subject_transform", |config| {
        let (source, destination) = ("daypass.log.>".into(), "elsewhere.>".into());
        config.subject_transform = Some(SubjectTransform { source, destination });
    }),
    ("republish", |config| {
        let (source, destination) = ("daypass.log.>".into(), "elsewhere.>".into());
        config.republish = Some(Republish { source, destination, headers_only: false });
    }),
    ("first_seq", |config| config.first_sequence = Some(1_000)),
];

fn source() -> Source {
    Source { name: "OTHER".into(), ..Source::default() }
}

pub(crate) fn refusal(opened: Result<JetStreamLog, LogError>) -> String {
    match opened.err() {
        Some(LogError::Unsafe(why)) => why,
        other => panic!("not refused as unsafe: {other:?}"),
    }
}

#[tokio::test]
async fn a_stream_that_could_lose_or_change_events_is_refused_and_left_alone() {
    let server = server().await;
    let jetstream = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let other = Config { name: "OTHER".into(), ..Config::default() };
    jetstream.create_stream(other).await.unwrap();
    for (setting, make_unsafe) in UNSAFE {
        let mut settings = stream_config(1, ID);
        make_unsafe(&mut settings);
        jetstream.create_stream(&settings).await.unwrap_or_else(|error| panic!("{setting}: {error}"));
        let before = jetstream.get_stream(STREAM).await.unwrap().cached_info().config.clone();
        let why = refusal(JetStreamLog::open(config(&server.url())).await);
        assert!(why.contains(&format!("{setting} must")), "{setting}: {why}");
        let after = jetstream.get_stream(STREAM).await.unwrap().cached_info().config.clone();
        assert_eq!(after, before, "{setting}");
        jetstream.delete_stream(STREAM).await.unwrap();
    }
}

#[tokio::test]
async fn a_sealed_stream_is_refused() {
    let server = server().await;
    let jetstream = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
    jetstream.create_stream(stream_config(1, ID)).await.unwrap();
    // Only an existing stream can be sealed; that also sets what is refused on its own account.
    let sealed = Config { sealed: true, ..stream_config(1, ID) };
    jetstream.update_stream(sealed).await.unwrap();
    let why = refusal(JetStreamLog::open(config(&server.url())).await);
    assert!(why.contains("sealed must"), "{why}");
}

#[tokio::test]
async fn a_stream_without_identity_is_refused() {
    let server = server().await;
    let jetstream = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
    jetstream.create_stream(Config { metadata: [].into(), ..stream_config(1, ID) }).await.unwrap();
    let why = refusal(JetStreamLog::open(config(&server.url())).await);
    assert!(why.contains(ID_KEY), "{why}");
}

#[tokio::test]
async fn fewer_than_three_replicas_are_for_development_only() {
    let server = server().await;
    for (replicas, dev) in [(1, false), (2, false), (0, true)] {
        let why =
            refusal(JetStreamLog::open(JetStreamConfig { replicas, dev, ..config(&server.url()) }).await);
        assert!(why.contains("replicas must"), "{why}");
    }
    // A stream with one replica stays a stream with one replica, whatever is asked for.
    drop(open(&server.url()).await);
    let asked = JetStreamConfig { replicas: 3, dev: false, ..config(&server.url()) };
    let why = refusal(JetStreamLog::open(asked).await);
    assert!(why.contains("num_replicas must be at least 3"), "{why}");
}

fn seen(server: &NatsServer, operator_asserts_sync_always: bool) -> JetStreamConfig {
    let monitoring_urls = server.monitoring_url().into_iter().collect();
    JetStreamConfig { monitoring_urls, operator_asserts_sync_always, ..config(&server.url()) }
}

#[tokio::test]
async fn servers_of_others_vouch_for_nothing() {
    let (server, other) = (server().await, server().await);
    for asserted in [false, true] {
        let monitoring_urls = other.monitoring_url().into_iter().collect();
        let staging = JetStreamConfig { monitoring_urls, ..seen(&server, asserted) };
        let why = refusal(JetStreamLog::open(staging).await);
        assert!(why.contains("monitoring_urls must"), "{why}");
    }
    drop(JetStreamLog::open(seen(&server, false)).await.unwrap());
}

#[tokio::test]
async fn a_server_that_acknowledges_before_it_syncs_is_refused_whatever_the_operator_says() {
    let options = NatsOptions { sync_always: false, ..NatsOptions::default() };
    let server = NatsServer::start(options).await.unwrap();
    for asserted in [false, true] {
        let why = refusal(JetStreamLog::open(seen(&server, asserted)).await);
        assert!(why.contains("sync_interval"), "{why}");
    }
}

#[tokio::test]
async fn that_a_server_syncs_must_be_seen_or_asserted() {
    let server = server().await;
    JetStreamLog::open(seen(&server, false)).await.unwrap();
    let unseen = JetStreamConfig { operator_asserts_sync_always: false, ..config(&server.url()) };
    let why = refusal(JetStreamLog::open(unseen).await);
    assert!(why.contains("sync_interval"), "{why}");
}

#[tokio::test]
async fn messages_must_have_room_for_the_largest_body() {
    let options = NatsOptions { extra: "max_payload: 100000".into(), ..NatsOptions::default() };
    let server = NatsServer::start(options).await.unwrap();
    let why = refusal(JetStreamLog::open(config(&server.url())).await);
    assert!(why.contains("max_payload must"), "{why}");
}

#[tokio::test]
async fn a_log_keeps_the_identity_that_it_was_created_with() {
    let server = server().await;
    let clients = (0..8_u128).map(|n| {
        let config = JetStreamConfig { new_id: Uuid::from_u128(100 + n), ..config(&server.url()) };
        tokio::spawn(async { JetStreamLog::open(config).await.unwrap().id().await.unwrap() })
    });
    let mut ids = Vec::new();
    for client in clients.collect::<Vec<_>>() {
        ids.push(client.await.unwrap());
    }
    let first = ids.first().copied().unwrap();
    assert!(ids.iter().all(|id| *id == first), "of several creators one wins: {ids:?}");
    assert_eq!(open(&server.url()).await.id().await, Ok(first));
}

#[tokio::test]
async fn without_a_server_the_log_is_unavailable() {
    let mut server = server().await;
    server.kill();
    let opened = JetStreamLog::open(config(&server.url())).await;
    assert!(matches!(opened.err(), Some(LogError::Unavailable(_))));
}

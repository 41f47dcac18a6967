//! Messages in the log that no engine of ours wrote: they hold up their own stream, and nobody else.

use crate::given::{all, event, fill, in_time, open, put, server, stream};
use async_nats::HeaderMap;
use event_log::{EventLog, Expected, LogError, Position};
use futures::{StreamExt, TryStreamExt};
use test_servers::nats::publish_raw;
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_no_event_holds_up_its_own_stream_alone() {
    in_time(Box::pin(async {
        let server = server().await;
        let log = open(&server.url()).await;
        put(&log, &stream("request-good"), Expected::NoStream, &event(1)).await.unwrap();
        let client = async_nats::connect(server.url()).await.unwrap();
        let jetstream = async_nats::jetstream::new(client);
        let mut no_uuid = HeaderMap::new();
        no_uuid.insert("Daypass-Event-Id", "poison");
        no_uuid.insert("Daypass-Revision", "0");
        for (subject, headers) in [
            ("daypass.log.request.request.poison", HeaderMap::new()),
            ("daypass.log.request.request.other", no_uuid),
            ("daypass.log.request.request.too.long", HeaderMap::new()),
            ("daypass.log.request.KIND.x", HeaderMap::new()),
        ] {
            let sent = jetstream.publish_with_headers(subject, headers, "x".into()).await.unwrap();
            sent.await.unwrap();
        }
        put(&log, &stream("request-later"), Expected::NoStream, &event(2)).await.unwrap();

        let read = all(&log).await;
        let names: Vec<String> = read.iter().map(|event| event.stream.to_string()).collect();
        assert_eq!(
            names,
            ["request-good", "request-poison", "request-other", "stray-4", "stray-5", "request-later"]
        );
        let positions: Vec<u64> = read.iter().map(|event| event.position.0).collect();
        assert_eq!(positions, [1, 2, 3, 4, 5, 6], "nothing is skipped silently");
        let followed: Vec<_> =
            log.subscribe(Position::START).take(6).map(|event| event.unwrap()).collect().await;
        assert_eq!(followed, read);
        for event in &read {
            assert_eq!(
                log.event_at(event.position).await.unwrap().as_ref(),
                Some(event),
                "also as a checkpoint"
            );
        }
        let poisoned: Result<Vec<_>, LogError> =
            log.read_stream(&stream("request-poison"), None).try_collect().await;
        assert!(matches!(poisoned, Err(LogError::Corrupt(_))), "{poisoned:?}");
        let later: Vec<_> = log.read_stream(&stream("request-later"), None).try_collect().await.unwrap();
        assert_eq!(later.len(), 1);
    }))
    .await;
}

/// The second message is an event, so that the first one is read by a direct get as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_stored_with_what_servers_add_is_no_event_however_it_is_read() {
    in_time(Box::pin(async {
        let server = server().await;
        let log = open(&server.url()).await;
        let client = async_nats::connect(server.url()).await.unwrap();
        let jetstream = async_nats::jetstream::new(client);
        for (number, revision, added) in [(1, "0", Some("1")), (2, "1", None)] {
            let mut headers = HeaderMap::new();
            headers.insert("Daypass-Event-Id", Uuid::from_u128(number).to_string());
            headers.insert("Daypass-Revision", revision);
            if let Some(sequence) = added {
                headers.insert("Nats-Sequence", sequence);
            }
            let subject = "daypass.log.request.request.forged";
            let sent = jetstream.publish_with_headers(subject, headers, "x".into()).await.unwrap();
            sent.await.unwrap();
        }

        let read = all(&log).await;
        let revisions: Vec<u64> = read.iter().map(|event| event.revision.0).collect();
        assert_eq!(revisions, [u64::MAX, 1]);
        assert_eq!(log.event_at(Position(1)).await.unwrap().as_ref(), read.first());
        let forged: Result<Vec<_>, LogError> =
            log.read_stream(&stream("request-forged"), None).try_collect().await;
        match forged {
            Err(LogError::Corrupt(why)) => assert!(why.contains("a header that servers add"), "{why}"),
            other => panic!("read as events: {other:?}"),
        }
    }))
    .await;
}

/// The leader counts more events than the last one's revision tells: as where a server answers that lags behind, but it stays so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_repeats_a_revision_is_damage_and_not_a_server_that_lags_behind() {
    in_time(Box::pin(async {
        let server = server().await;
        let log = open(&server.url()).await;
        fill(&log, &stream("request-forged"), 1, 3).await;
        let jetstream = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
        let mut headers = HeaderMap::new();
        headers.insert("Daypass-Event-Id", Uuid::from_u128(99).to_string());
        headers.insert("Daypass-Revision", "1");
        let subject = "daypass.log.request.request.forged";
        jetstream.publish_with_headers(subject, headers, "x".into()).await.unwrap().await.unwrap();

        // Whoever has read the stream, and whoever has not.
        for (log, other) in [(log, "request-one"), (open(&server.url()).await, "request-two")] {
            for _ in 0..2 {
                let forged: Result<Vec<_>, LogError> =
                    log.read_stream(&stream("request-forged"), None).try_collect().await;
                assert!(matches!(forged, Err(LogError::Corrupt(_))), "{forged:?}");
            }
            put(&log, &stream(other), Expected::NoStream, &event(10)).await.unwrap();
        }
    }))
    .await;
}

/// The connection that such a message is delivered on ends, and is made again.
async fn connected<T>(read: impl AsyncFn() -> Result<T, LogError>) -> Result<T, LogError> {
    loop {
        match read().await {
            Err(LogError::Unavailable(_)) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
            read => return read,
        }
    }
}

/// No connection outlives the delivery of such a message: the client does not understand it, and gives up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_whose_headers_cannot_be_read_holds_up_its_own_stream_alone() {
    in_time(Box::pin(async {
        let server = server().await;
        let log = open(&server.url()).await;
        put(&log, &stream("request-good"), Expected::NoStream, &event(1)).await.unwrap();
        put(&log, &stream("request-poisoned"), Expected::NoStream, &event(2)).await.unwrap();
        let poison: [&[u8]; 3] =
            [b"NATS/1.0\r\nnocolon\r\n\r\n", b"NATS/1.0\r\na: \xff\r\n\r\n", b"XX\r\n\r\n"];
        for headers in poison {
            let subject = b"daypass.log.request.request.poisoned";
            publish_raw(&server.url(), subject, headers, b"x").await.unwrap();
        }
        put(&log, &stream("request-later"), Expected::NoStream, &event(3)).await.unwrap();

        let followed: Vec<_> =
            log.subscribe(Position::START).take(6).map(|event| event.unwrap()).collect().await;
        let names: Vec<String> = followed.iter().map(|event| event.stream.to_string()).collect();
        let poisoned = ["request-poisoned"; 4];
        assert_eq!(names, [["request-good"].as_slice(), &poisoned, &["request-later"]].concat());
        let whole = connected(async || log.read_all(Position::START).try_collect::<Vec<_>>().await).await;
        assert_eq!(whole.as_ref(), Ok(&followed));
        for event in &followed {
            let at = connected(async || log.event_at(event.position).await).await;
            assert_eq!(at.unwrap().as_ref(), Some(event));
        }
        // What is behind it looks like an event, so that the whole stream is read.
        let mut headers = HeaderMap::new();
        headers.insert("Daypass-Event-Id", Uuid::from_u128(9).to_string());
        headers.insert("Daypass-Revision", "4");
        let jetstream = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
        let subject = "daypass.log.request.request.poisoned";
        jetstream.publish_with_headers(subject, headers, "x".into()).await.unwrap().await.unwrap();
        let read = async |name| {
            connected(async || log.read_stream(&stream(name), None).try_collect::<Vec<_>>().await).await
        };
        let broken = read("request-poisoned").await;
        assert!(matches!(broken, Err(LogError::Corrupt(_))), "{broken:?}");
        assert_eq!(read("request-later").await.unwrap().len(), 1);
        put(&log, &stream("request-more"), Expected::NoStream, &event(4)).await.unwrap();
    }))
    .await;
}
